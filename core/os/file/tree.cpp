#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <format>
#include <memory>
#include <vector>

#include "core/base/text.hpp"
#include "core/os/file/file.hpp"

namespace cloudos::os {
namespace {

// Which mount a descriptor is on. Bind mounts share st_dev with where they come from, and statx(2)'s mount id is younger
// (Linux 5.8) than the kernels of RHEL 8; proc(5)'s fdinfo has had the line mnt_id since 3.15.
Result<std::uint64_t> mount_of(int fd, const fs::path& path) {
  CLOUDOS_ASSIGN(const auto info, read(std::format("/proc/self/fdinfo/{}", fd)));
  for (const auto& line : split(info, '\n'))
    if (line.starts_with("mnt_id:")) return parse_number(trim(std::string_view(line).substr(7)), 0, UINT64_MAX);
  return fail(ErrorKind::io, "the kernel does not tell which mount " + path.string() + " is on");
}

Result<std::vector<std::string>> names_in(int fd, const fs::path& path) {
  // fdopendir(3) takes its descriptor away; ours is still needed.
  const int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) return fail_errno("list " + path.string(), errno);
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::fdopendir(copy), [](DIR* d) { return ::closedir(d); });
  if (!folder) {
    const int error = errno;
    ::close(copy);
    return fail_errno("list " + path.string(), error);
  }
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(folder.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
    errno = 0;
  }
  if (errno != 0) return fail_errno("list " + path.string(), errno);
  return names;
}

// Removes `name` in the folder that `parent` is open on; `path` is for messages.
Status remove_at(int parent, const std::string& name, const fs::path& path, std::uint64_t mount) {
  if (::unlinkat(parent, name.c_str(), 0) == 0 || errno == ENOENT) return {};
  // A folder is EISDIR on Linux, EPERM by POSIX.
  if (errno != EISDIR && errno != EPERM) return fail_errno("remove " + path.string(), errno);
  const int unlink_error = errno;
  const Fd fd(::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return fail_errno("remove " + path.string(), errno == ENOTDIR ? unlink_error : errno);
  CLOUDOS_ASSIGN(const auto here, mount_of(fd.get(), path));
  if (here != mount)
    return fail(ErrorKind::conflict, path.string() + " is a mount point and is not removed", "umount " + path.string() + " first");
  CLOUDOS_ASSIGN(const auto names, names_in(fd.get(), path));
  for (const auto& inner : names) CLOUDOS_TRY(remove_at(fd.get(), inner, path / inner, mount));
  if (::unlinkat(parent, name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) return fail_errno("remove " + path.string(), errno);
  return {};
}

}  // namespace

Status remove_tree(const fs::path& path) {
  const fs::path plain = path.has_filename() ? path : path.parent_path();
  const std::string name = plain.filename().string();
  if (name.empty() || name == "." || name == "..") return fail(ErrorKind::usage, "'" + path.string() + "' is not a tree to remove");
  const fs::path folder = plain.has_parent_path() ? plain.parent_path() : fs::path(".");
  const Fd parent(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!parent && (errno == ENOENT || errno == ENOTDIR)) return {};
  if (!parent) return fail_errno("open " + folder.string(), errno);
  CLOUDOS_ASSIGN(const auto mount, mount_of(parent.get(), folder));
  return remove_at(parent.get(), name, plain, mount);
}

}  // namespace cloudos::os
