#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <format>
#include <thread>

#include "core/base/text.hpp"
#include "core/os/file/file.hpp"

namespace cloudos::os {
namespace {

// flock(2) has no deadline and tells nobody when it is released, so that wait is a poll.
constexpr Milliseconds poll_interval{100};

bool is_still(int fd, const fs::path& path) {
  struct stat held{};
  struct stat named{};
  return ::fstat(fd, &held) == 0 && ::stat(path.c_str(), &named) == 0 && held.st_dev == named.st_dev && held.st_ino == named.st_ino;
}

Status write_holder(int fd, const fs::path& path, std::string_view holder) {
  const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  const std::string text = std::format("{}, since {:%F %T} UTC\n", holder, now);
  if (::ftruncate(fd, 0) != 0 || ::pwrite(fd, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size()))
    return fail_errno("write " + path.string(), errno);
  return {};
}

// The lock's descriptor; nothing when somebody else holds it.
Result<std::optional<Fd>> attempt(const fs::path& path, std::string_view holder) {
  while (true) {
    CLOUDOS_ASSIGN(auto fd, open(path, O_RDWR | O_CREAT | O_NOFOLLOW));
    int result = -1;
    do result = ::flock(fd.get(), LOCK_EX | LOCK_NB);
    while (result != 0 && errno == EINTR);
    if (result != 0 && errno == EWOULDBLOCK) return std::nullopt;
    if (result != 0) return fail_errno("flock " + path.string(), errno);
    // Its holder may have removed the file before it let go: a lock on a file without a name keeps nobody out.
    if (!is_still(fd.get(), path)) continue;
    CLOUDOS_TRY(write_holder(fd.get(), path, holder));
    return std::optional(std::move(fd));
  }
}

std::unexpected<Error> held_by_another(const fs::path& path) {
  const auto text = read_if_any(path, 4096);
  const std::string who = text && *text ? sanitise(trim(**text)) : "";
  return fail(ErrorKind::conflict, std::format("{} is locked by {}", path.string(), who.empty() ? "another process" : who),
              "wait until it is done, or stop it");
}

}  // namespace

Result<Lock> Lock::try_take(const fs::path& path, std::string_view holder) {
  CLOUDOS_TRY(make_folders(path.parent_path()));
  CLOUDOS_ASSIGN(auto fd, attempt(path, holder));
  if (!fd) return held_by_another(path);
  return Lock(std::move(*fd));
}

Result<Lock> Lock::take(const fs::path& path, std::string_view holder, Deadline deadline) {
  CLOUDOS_TRY(make_folders(path.parent_path()));
  while (true) {
    CLOUDOS_ASSIGN(auto fd, attempt(path, holder));
    if (fd) return Lock(std::move(*fd));
    if (std::chrono::steady_clock::now() >= deadline) return held_by_another(path);
    std::this_thread::sleep_for(std::min<Deadline::duration>(poll_interval, deadline - std::chrono::steady_clock::now()));
  }
}

}  // namespace cloudos::os
