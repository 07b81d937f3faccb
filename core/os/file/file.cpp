#include "core/os/file/file.hpp"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <format>
#include <span>

namespace cloudos::os {
namespace {

fs::path folder_of(const fs::path& path) { return path.has_parent_path() ? path.parent_path() : fs::path("."); }

// A name next to `path` that nobody else uses. It starts with a dot: kubelet's manifest folder, systemd's unit folders
// and conf.d folders all pass over such files, so half of one is never taken up.
std::string temporary_name(const fs::path& path) {
  std::uint64_t random = 0;
  while (getrandom(&random, sizeof random, 0) != sizeof random) {}
  return std::format("{}/.{}.{:016x}", folder_of(path).string(), path.filename().string(), random);
}

// Removes its file unless told that it got its final name.
class Unfinished {
 public:
  explicit Unfinished(std::string path) : path_(std::move(path)) {}
  ~Unfinished() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  Unfinished(const Unfinished&) = delete;
  Unfinished& operator=(const Unfinished&) = delete;
  void finished() { path_.clear(); }

 private:
  std::string path_;
};

Status rename_into(const std::string& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) return fail_errno("rename to " + to.string(), errno);
  return fsync_folder(folder_of(to));
}

}  // namespace

void Fd::reset(int fd) {
  if (fd_ >= 0 && fd_ != fd) ::close(fd_);
  fd_ = fd;
}

Result<Fd> open(const fs::path& path, int flags, mode_t mode) {
  int fd = -1;
  do fd = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  while (fd < 0 && errno == EINTR);
  if (fd < 0) return fail_errno("open " + path.string(), errno);
  return Fd(fd);
}

Result<std::string> read(const fs::path& path, std::size_t limit) {
  CLOUDOS_ASSIGN(const auto fd, open(path, O_RDONLY));
  std::string out;
  std::array<char, 16U << 10> buffer{};
  while (true) {
    const ssize_t n = ::read(fd.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("read " + path.string(), errno);
    if (n == 0) return out;
    if (out.size() + static_cast<std::size_t>(n) > limit)
      return fail(ErrorKind::input, std::format("{} is larger than {} bytes", path.string(), limit));
    out.append(buffer.data(), static_cast<std::size_t>(n));
  }
}

Result<std::optional<std::string>> read_if_any(const fs::path& path, std::size_t limit) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0 && (errno == ENOENT || errno == ENOTDIR)) return std::nullopt;
  CLOUDOS_ASSIGN(auto text, read(path, limit));
  return std::optional(std::move(text));
}

Status write_all(int fd, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("write", errno);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

Status write_atomic(const fs::path& path, std::string_view content, mode_t mode) {
  CLOUDOS_TRY(make_folders(folder_of(path)));
  const std::string name = temporary_name(path);
  CLOUDOS_ASSIGN(const auto fd, open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  Unfinished unfinished(name);
  CLOUDOS_TRY_WITH(write_all(fd.get(), std::as_bytes(std::span(content))), "writing " + path.string());
  // Not by open(2): the umask would take bits away.
  if (::fchmod(fd.get(), mode) != 0) return fail_errno("chmod " + path.string(), errno);
  if (::fsync(fd.get()) != 0) return fail_errno("fsync " + path.string(), errno);
  CLOUDOS_TRY(rename_into(name, path));
  unfinished.finished();
  return {};
}

Status append_synced(int fd, std::string_view line) {
  struct stat before{};
  if (::fstat(fd, &before) != 0) return fail_errno("stat the journal", errno);
  ssize_t n = -1;
  do n = ::write(fd, line.data(), line.size());
  while (n < 0 && errno == EINTR);
  const int error = errno;
  if (n == static_cast<ssize_t>(line.size())) return ::fsync(fd) == 0 ? Status{} : fail_errno("fsync", errno);
  // A full disk takes part of a record: take that back, so that the next record starts on a line of its own.
  if (n > 0 && ::ftruncate(fd, before.st_size) != 0) return fail_errno("truncate after a short write", errno);
  return fail_errno("append", n < 0 ? error : ENOSPC);
}

Status fsync_folder(const fs::path& folder) {
  CLOUDOS_ASSIGN(const auto fd, open(folder, O_RDONLY | O_DIRECTORY));
  if (::fsync(fd.get()) != 0) return fail_errno("fsync " + folder.string(), errno);
  return {};
}

Status make_folders(const fs::path& path, mode_t mode) {
  struct stat info{};
  if (path.empty() || (::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode))) return {};
  if (path.has_parent_path() && path.parent_path() != path) CLOUDOS_TRY(make_folders(path.parent_path(), mode));
  if (!path.has_filename() || path.filename() == ".") return {};
  if (::mkdir(path.c_str(), mode) != 0) {
    const int error = errno;
    // Somebody else may have made it meanwhile.
    if (error == EEXIST && ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) return {};
    return fail_errno("make folder " + path.string(), error == EEXIST ? ENOTDIR : error);
  }
  if (::chmod(path.c_str(), mode) != 0) return fail_errno("chmod " + path.string(), errno);
  return fsync_folder(folder_of(path));
}

Status link_atomic(const fs::path& path, const fs::path& target) {
  CLOUDOS_TRY(make_folders(folder_of(path)));
  const std::string name = temporary_name(path);
  if (::symlink(target.c_str(), name.c_str()) != 0) return fail_errno("link " + path.string(), errno);
  Unfinished unfinished(name);
  CLOUDOS_TRY(rename_into(name, path));
  unfinished.finished();
  return {};
}

Result<Space> space_of(const fs::path& path) {
  struct statvfs info{};
  if (::statvfs(path.c_str(), &info) != 0) return fail_errno("statvfs " + path.string(), errno);
  return Space{.total = {info.f_blocks * info.f_frsize},
               .free = {info.f_bavail * info.f_frsize},
               .used = {(info.f_blocks - info.f_bfree) * info.f_frsize},
               .inodes_total = info.f_files,
               .inodes_free = info.f_favail};
}

}  // namespace cloudos::os
