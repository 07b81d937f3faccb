// Programs built from Go modules. Private to this room.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "images/lock.hpp"
#include "images/recipe.hpp"
#include "images/work.hpp"

namespace cloudos::images {

// A module that went into a program, for the bill of materials.
struct UsedModule {
  std::string path, version, sum;
  auto operator<=>(const UsedModule&) const = default;
};

struct GoPrograms {
  std::map<std::string, Blob> programs;  // objects of the cache, by name
  std::vector<UsedModule> modules;
  LockedModule locked;
  bool cached = false;
};

// What this machine builds with: "go1.26.11". Errors: io, with what to install.
[[nodiscard]] Result<std::string> go_toolchain();

// Builds all programs of a source, or takes them from the cache. `locked`: what the module must be, or nullptr to accept
// what there is. Errors: trust (the module is not the locked one), failed (with the compiler's last lines), network.
[[nodiscard]] Result<GoPrograms> build_go(const GoSource& source, const std::string& architecture, const std::string& toolchain,
                                          const LockedModule* locked, const Work& work);

}  // namespace cloudos::images
