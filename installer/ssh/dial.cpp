#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <format>
#include <future>
#include <thread>

#include "installer/ssh/session.hpp"

namespace cloudos::ssh {

namespace {

struct AddressesDelete {
  void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};
using Addresses = std::unique_ptr<addrinfo, AddressesDelete>;

struct Lookup {
  int status = EAI_FAIL;
  Addresses addresses;
};

Lookup look_up(const std::string& host, const std::string& port, int flags) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  const int status = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &list);
  return {.status = status, .addresses = Addresses(status == 0 ? list : nullptr)};
}

// getaddrinfo(3) has no deadline: a name is looked up in a thread that is left behind when it takes too long.
Result<Lookup> look_up_by(const std::string& host, const std::string& port, Deadline deadline) {
  if (auto numeric = look_up(host, port, AI_NUMERICHOST); numeric.status == 0) return numeric;
  std::packaged_task<Lookup()> task([host, port] { return look_up(host, port, 0); });
  auto answer = task.get_future();
  std::thread(std::move(task)).detach();
  if (answer.wait_until(deadline) != std::future_status::ready)
    return fail(Error{.kind = ErrorKind::timeout,
                      .message = std::format("the name {} could not be looked up in time", host),
                      .hint = "check the name servers of this computer, or give an address",
                      .retryable = true});
  return answer.get();
}

Result<os::Fd> connect_one(const addrinfo& address, const std::string& where, Deadline deadline) {
  os::Fd fd(::socket(address.ai_family, address.ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, address.ai_protocol));
  if (!fd) return fail_errno("socket", errno);
  const int on = 1;
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (::connect(fd.get(), address.ai_addr, address.ai_addrlen) == 0) return fd;
  int problem = errno;
  if (problem == EINPROGRESS) {
    pollfd p{.fd = fd.get(), .events = POLLOUT, .revents = 0};
    int ready = 0;
    do {
      const auto left = std::chrono::ceil<Milliseconds>(std::min(deadline, in(std::chrono::hours(1))) - std::chrono::steady_clock::now());
      ready = ::poll(&p, 1, static_cast<int>(std::max(left, Milliseconds{0}).count()));
    } while (ready < 0 && errno == EINTR);
    if (ready == 0)
      return fail(Error{.kind = ErrorKind::timeout,
                        .message = std::format("{} did not take the connection in time", where),
                        .hint = "is the machine on, and does a firewall drop the port?",
                        .retryable = true});
    socklen_t size = sizeof problem;
    ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &problem, &size);
  }
  if (problem == 0) return fd;
  return fail(Error{.kind = ErrorKind::network,
                    .message = std::format("cannot connect to {}: {}", where, std::strerror(problem)),
                    .hint = "is the machine on, and does sshd run on that port?",
                    .retryable = true});
}

}  // namespace

Result<os::Fd> dial(const std::string& host, std::uint16_t port, Deadline deadline) {
  const std::string where = host.contains(':') ? std::format("[{}]:{}", host, port) : std::format("{}:{}", host, port);
  CLOUDOS_ASSIGN(const Lookup found, look_up_by(host, std::to_string(port), deadline));
  if (found.status != 0)
    return fail(Error{.kind = ErrorKind::network,
                      .message = std::format("the name {} is not known: {}", host, ::gai_strerror(found.status)),
                      .hint = "check the spelling, or give an address",
                      .retryable = found.status == EAI_AGAIN});
  Result<os::Fd> last = fail(ErrorKind::network, std::format("{} has no address", where));
  for (const addrinfo* address = found.addresses.get(); address != nullptr; address = address->ai_next) {
    // A dead first address must leave time for the others.
    const auto now = std::chrono::steady_clock::now();
    const auto share = address->ai_next != nullptr ? now + (deadline - now) / 2 : deadline;
    last = connect_one(*address, where, share);
    if (last) return last;
  }
  return last;
}

}  // namespace cloudos::ssh
