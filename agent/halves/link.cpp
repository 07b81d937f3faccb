#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <format>

#include "agent/halves/halves.hpp"

namespace cloudos::halves {
namespace {

std::unexpected<Error> gone() {
  return fail({.kind = ErrorKind::network, .message = "the agent's other half has gone", .retryable = true});
}

bool would_wait(int error) { return error == EAGAIN || error == EWOULDBLOCK; }

std::unexpected<Error> not_sent(int error, std::size_t size) {
  switch (error) {
    case EPIPE:
    case ECONNRESET:
    case ENOTCONN: return gone();
    case EMSGSIZE:
      return fail(ErrorKind::input, std::format("a message of {} bytes is longer than this machine's sockets take", size),
                  "raise net.core.wmem_max to 212992, the kernel's default, or more");
    case ENOMEM:
    case ENOBUFS: return fail({.kind = ErrorKind::timeout, .message = "the kernel has no memory for a message now", .retryable = true});
    default: return fail_errno("send to the agent's other half", error);
  }
}

}  // namespace

Link::Link(os::Fd fd) : fd_(std::move(fd)) {
  // Errors show when a message is sent. The kernel doubles the size and bounds it by wmem_max first (socket(7)).
  const int flags = ::fcntl(fd_.get(), F_GETFL);
  if (flags >= 0) ::fcntl(fd_.get(), F_SETFL, flags | O_NONBLOCK);
  const int size = 2 * static_cast<int>(longest_message);
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

Status Link::send(std::string_view message) {
  // An empty packet looks like the end of the connection to the one who reads it.
  if (message.empty()) return fail(ErrorKind::input, "a message without text cannot be sent");
  if (message.size() > longest_message)
    return fail(ErrorKind::input,
                std::format("a message of {} bytes cannot be sent, at most {} are allowed", message.size(), longest_message));
  ssize_t sent = -1;
  do { sent = ::send(fd_.get(), message.data(), message.size(), MSG_NOSIGNAL | MSG_DONTWAIT); } while (sent < 0 && errno == EINTR);
  if (sent >= 0) return {};  // a packet goes whole or not at all
  if (would_wait(errno)) return fail({.kind = ErrorKind::timeout, .message = "the agent's other half does not read", .retryable = true});
  return not_sent(errno, message.size());
}

Result<std::optional<std::string>> Link::receive() {
  // The length first: with MSG_TRUNC that of the packet, not of what there is room for (recv(2)).
  ssize_t size = -1;
  do { size = ::recv(fd_.get(), nullptr, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT); } while (size < 0 && errno == EINTR);
  if (size < 0 && would_wait(errno)) return std::nullopt;
  if (size < 0 && errno != ECONNRESET) return fail_errno("receive from the agent's other half", errno);
  if (size <= 0) return gone();
  if (static_cast<std::size_t>(size) > longest_message)
    return fail(ErrorKind::input,
                std::format("the agent's other half sent {} bytes at once, at most {} are allowed", size, longest_message));
  std::string text(static_cast<std::size_t>(size), '\0');
  const auto got = ::recv(fd_.get(), text.data(), text.size(), MSG_TRUNC | MSG_DONTWAIT);
  // Nobody else reads this descriptor, so the packet is the one that was measured.
  if (got != size) return fail(ErrorKind::io, "a message changed while it was received");
  return text;
}

Result<std::pair<Link, Link>> pair() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) != 0)
    return fail_errno("make a pair of sockets", errno);
  return std::pair(Link(os::Fd(ends[0])), Link(os::Fd(ends[1])));
}

Result<Link> connect(const std::filesystem::path& socket) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const auto& path = socket.native();
  if (path.size() >= sizeof address.sun_path) return fail(ErrorKind::input, "the path of a socket is too long: " + path);
  std::memcpy(address.sun_path, path.data(), path.size());
  os::Fd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno("make a socket", errno);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return Link(std::move(fd));
  const int error = errno;
  auto told = fail_errno("connect to " + path, error).error();
  told.kind = would_wait(error) ? ErrorKind::timeout : ErrorKind::network;
  told.retryable = true;
  return fail(std::move(told).advise("systemctl status cloudos-agent-root.socket cloudos-agent-root.service"));
}

Result<std::optional<Link>> accept(int listening, std::uint32_t uid) {
  // systemd may have left the socket blocking (systemd.service(5), NonBlocking=), and nobody else accepts from it.
  pollfd waiting{.fd = listening, .events = POLLIN, .revents = 0};
  const int ready = ::poll(&waiting, 1, 0);
  if (ready == 0 || (ready < 0 && errno == EINTR)) return std::nullopt;
  os::Fd fd(::accept4(listening, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!fd && (would_wait(errno) || errno == EINTR || errno == ECONNABORTED)) return std::nullopt;
  if (!fd) return fail_errno("accept a connection of the agent's other half", errno);
  // The kernel's word of who connected, at that time (unix(7)).
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return fail_errno("ask who connected", errno);
  if (peer.uid != uid && peer.uid != 0)
    return fail(ErrorKind::auth, std::format("process {} of user {} connected, only user {} and root may", peer.pid, peer.uid, uid));
  return Link(std::move(fd));
}

}  // namespace cloudos::halves
