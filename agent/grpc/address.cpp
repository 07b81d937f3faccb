#include "agent/grpc/address.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace cloudos::grpc {
namespace {

constexpr int backlog = 8;

Result<sockaddr_un> address_of(const std::filesystem::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const auto& text = path.native();
  if (text.size() >= sizeof address.sun_path) return fail(ErrorKind::input, "the path of a socket is too long: " + text);
  std::memcpy(address.sun_path, text.data(), text.size());
  return address;
}

Result<os::Fd> unix_socket() {
  os::Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno("make a socket", errno);
  return fd;
}

const sockaddr* generic(const sockaddr_un& address) { return reinterpret_cast<const sockaddr*>(&address); }

}  // namespace

Result<os::Fd> connect_unix(const std::filesystem::path& path) {
  CLOUDOS_ASSIGN(const auto address, address_of(path));
  CLOUDOS_ASSIGN(auto fd, unix_socket());
  if (::connect(fd.get(), generic(address), sizeof address) != 0) {
    auto error = fail_errno("connect to " + path.string(), errno).error();
    error.kind = ErrorKind::network;
    error.retryable = true;
    return fail(std::move(error));
  }
  return fd;
}

Result<os::Fd> listen_unix(const std::filesystem::path& path) {
  CLOUDOS_ASSIGN(const auto address, address_of(path));
  CLOUDOS_ASSIGN(auto fd, unix_socket());
  std::error_code none;
  if (std::filesystem::is_socket(std::filesystem::symlink_status(path, none))) ::unlink(path.c_str());
  // Before bind(2), on the socket itself: the name then has this mode, without a moment in which others may connect.
  if (::fchmod(fd.get(), 0600) != 0) return fail_errno("set the mode of a socket", errno);
  if (::bind(fd.get(), generic(address), sizeof address) != 0) return fail_errno("bind " + path.string(), errno);
  if (::listen(fd.get(), backlog) != 0) return fail_errno("listen on " + path.string(), errno);
  return fd;
}

}  // namespace cloudos::grpc
