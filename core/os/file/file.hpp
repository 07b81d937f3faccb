// core/os/file: files written so that a power cut leaves the old or the new one, never half of one; locks; mounts.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include <sys/types.h>

#include "core/base/argv.hpp"
#include "core/base/units.hpp"

namespace cloudos::os {

namespace fs = std::filesystem;

// An owned file descriptor; closed when it goes.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    reset(std::exchange(other.fd_, -1));
    return *this;
  }
  ~Fd() { reset(); }
  void reset(int fd = -1);
  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] int release() { return std::exchange(fd_, -1); }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

// open(2) with O_CLOEXEC. Errors: io, with the path.
[[nodiscard]] Result<Fd> open(const fs::path& path, int flags, mode_t mode = 0644);
// All of a file, at most `limit` bytes (more is an error). Works for /proc and /sys, whose sizes lie.
[[nodiscard]] Result<std::string> read(const fs::path& path, std::size_t limit = 64U << 20);
// read() of a file that may not be there: nothing when it is not.
[[nodiscard]] Result<std::optional<std::string>> read_if_any(const fs::path& path, std::size_t limit = 64U << 20);
// Temp file in the same folder, written, fsynced, renamed, folder fsynced. Parent folders are made (0755).
[[nodiscard]] Status write_atomic(const fs::path& path, std::string_view content, mode_t mode);
// Appends in one write(2) and fsyncs: one journal record.
[[nodiscard]] Status append_synced(int fd, std::string_view line);
[[nodiscard]] Status fsync_folder(const fs::path& folder);
[[nodiscard]] Status make_folders(const fs::path& path, mode_t mode = 0755);
// symlink(2) to a temp name and rename(2): readers see the old target or the new one.
[[nodiscard]] Status link_atomic(const fs::path& path, const fs::path& target);
// Removes a tree; a missing one is fine. Never crosses into another mount and never follows a symlink.
[[nodiscard]] Status remove_tree(const fs::path& path);
[[nodiscard]] Status write_all(int fd, std::span<const std::byte> bytes);

// An exclusive flock(2) on a file, held until the object goes. The holder writes who it is into the file.
class Lock {
 public:
  // Does not wait. Errors: conflict, with the holder's text and since when.
  static Result<Lock> try_take(const fs::path& path, std::string_view holder);
  // Waits until the deadline.
  static Result<Lock> take(const fs::path& path, std::string_view holder, Deadline deadline);

 private:
  explicit Lock(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

struct Space {
  Bytes total, free;  // free to an unprivileged writer (statvfs(3) f_bavail)
  Bytes used;         // taken, as df(1) counts (f_blocks - f_bfree)
  std::uint64_t inodes_total = 0, inodes_free = 0;
};
[[nodiscard]] Result<Space> space_of(const fs::path& path);

}  // namespace cloudos::os
