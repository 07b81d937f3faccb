// NAME.lock.toml: every version that a recipe resolved to, with its digest, so that the next build takes the same or
// fails. Private to this room.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/base/units.hpp"
#include "images/recipe.hpp"

namespace cloudos::images {

struct LockedModule {
  std::string module, version, sum, mod_sum;  // sums as in go.sum: "h1:…"
  std::map<std::string, Digest> programs;     // what was built, by `toolchain`; programs with cgo are not here
  bool operator==(const LockedModule&) const = default;
};
struct LockedPackage {
  std::string name, version, architecture;
  Digest digest;  // of the .deb
  bool operator==(const LockedPackage&) const = default;
};
struct LockedPackages {
  std::vector<std::string> request;  // what was asked for: a changed recipe is resolved again
  std::vector<LockedPackage> packages;
  bool operator==(const LockedPackages&) const = default;
};
struct LockFile {
  std::string toolchain;  // "go1.26.11": with another one the same sources give other bytes
  std::map<std::string, LockedModule> go;
  std::map<std::string, LockedPackages> deb;
  bool operator==(const LockFile&) const = default;
};

[[nodiscard]] std::filesystem::path lock_path(const std::filesystem::path& recipe);
// Nothing when there is no such file. Errors: input, with line and column.
[[nodiscard]] Result<std::optional<LockFile>> read_lock(const std::filesystem::path& file);
[[nodiscard]] std::string format(const LockFile& lock);
// What a recipe asks of Debian, in the form that the lock keeps.
[[nodiscard]] std::vector<std::string> request_of(const DebSource& deb);

}  // namespace cloudos::images
