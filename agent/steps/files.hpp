// Files of the machine that a step writes: what is there, what was there before, and taking it back.
#pragma once

#include <optional>
#include <string>

#include "agent/steps/session.hpp"

namespace cloudos::steps {

struct FileState {
  enum class Kind { absent, file, folder, link, other };
  Kind kind = Kind::absent;
  unsigned mode = 0;
  std::uint64_t size = 0;
  std::int64_t mtime_ns = 0;
  std::uint64_t inode = 0;
  unsigned uid = 0, gid = 0;
};
// lstat(2). Errors: io, but not for what is absent.
[[nodiscard]] Result<FileState> state_of(const fs::path& path);

// Whether a file has this content and mode, and how it differs.
[[nodiscard]] Result<Check> check_file(const Session& session, const std::string& path, std::string_view content, unsigned mode);
// Keeps what stands at `path` under its digest in paths::backups; gives "path", "before" (digest, "" when absent),
// "mode" and "after" for the journal.
[[nodiscard]] Result<Undo> keep_before(Session& session, const std::string& path, const Digest& after);
[[nodiscard]] Status write_file(Session& session, const std::string& path, std::string_view content, unsigned mode);

// Takes a file back as an undo record says. Gives a sentence when it was left because it is not what we wrote.
[[nodiscard]] Result<std::optional<std::string>> take_back_file(Environment& env, const Undo& undo);

}  // namespace cloudos::steps
