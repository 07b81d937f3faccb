#include "installer/ssh/tunnel.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <format>
#include <vector>

#include "installer/ssh/exec.hpp"

namespace cloudos::ssh {

namespace {

constexpr std::size_t buffer_size = 256U << 10;
constexpr unsigned window = 16U << 20;

std::string number32(std::size_t n) {
  std::string out;
  for (const int shift : {24, 16, 8, 0}) out += static_cast<char>(n >> shift & 0xff);
  return out;
}

// What a direct-tcpip request carries (RFC 4254, section 7.2). libssh2's own call opens with a window of 2 MiB, too small here.
std::string direct_tcpip(const std::string& host, std::uint16_t port) {
  const std::string origin = "127.0.0.1";
  return number32(host.size()) + host + number32(port) + number32(origin.size()) + origin + number32(0);
}

// Bytes on their way in one direction: [from, to).
struct Way {
  std::vector<std::byte> room = std::vector<std::byte>(buffer_size);
  std::size_t from = 0, to = 0;
  bool ended = false;     // the source has no more
  bool end_told = false;  // and the sink knows
  [[nodiscard]] bool empty() const { return from == to; }
};

}  // namespace

class Tunnel::Pump {
 public:
  Pump(std::unique_ptr<Session> outer, Channel channel, os::Fd far, os::Fd stop)
      : outer_(std::move(outer)), channel_(std::move(channel)), far_(std::move(far)), stop_(std::move(stop)) {}

  void run() {
    while (turn()) {}
    // Whoever reads the near end sees the end of it; the session itself goes with the object.
    ::shutdown(far_.get(), SHUT_RDWR);
  }
  void stop() const { ::eventfd_write(stop_.get(), 1); }

 private:
  // One round: moves what can be moved, then waits. False: over.
  bool turn() {
    // In the middle of a packet only the same call may follow (Session::sending).
    const bool in_packet = outer_->sending();
    bool moved = false;
    if (!in_packet || up_stuck_) moved = up() || moved;
    if (!outer_->sending() || !up_stuck_) moved = down() || moved;
    if (broken_ || (down_.ended && down_.empty())) return false;
    return moved || wait();
  }

  // From the near end into the channel.
  bool up() {
    if (up_.empty() && !up_.ended) fill_up();
    if (up_.empty()) {
      if (up_.ended && !up_.end_told) {
        const int status = libssh2_channel_send_eof(channel_.get());
        up_.end_told = status != LIBSSH2_ERROR_EAGAIN;
        up_stuck_ = !up_.end_told && outer_->sending();
      }
      return false;
    }
    const ssize_t n =
        libssh2_channel_write_ex(channel_.get(), 0, reinterpret_cast<const char*>(up_.room.data()) + up_.from, up_.to - up_.from);
    up_stuck_ = n == LIBSSH2_ERROR_EAGAIN && outer_->sending();
    if (n < 0 && n != LIBSSH2_ERROR_EAGAIN) broken_ = true;
    if (n > 0) up_.from += static_cast<std::size_t>(n);
    return n > 0;
  }

  void fill_up() {
    const ssize_t n = ::recv(far_.get(), up_.room.data(), up_.room.size(), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    up_.ended = n <= 0;
    up_.from = 0;
    up_.to = n > 0 ? static_cast<std::size_t>(n) : 0;
  }

  // From the channel to the near end.
  bool down() {
    bool moved = false;
    if (down_.empty() && !down_.ended) {
      const ssize_t n = libssh2_channel_read_ex(channel_.get(), 0, reinterpret_cast<char*>(down_.room.data()), down_.room.size());
      if (n < 0 && n != LIBSSH2_ERROR_EAGAIN) broken_ = true;
      down_.from = 0;
      down_.to = n > 0 ? static_cast<std::size_t>(n) : 0;
      down_.ended = n == 0 && libssh2_channel_eof(channel_.get()) == 1;
      moved = n > 0;
    }
    if (down_.empty()) return moved;
    const ssize_t n = ::send(far_.get(), down_.room.data() + down_.from, down_.to - down_.from, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EINTR) broken_ = true;
    if (n > 0) down_.from += static_cast<std::size_t>(n);
    return moved || n > 0;
  }

  bool wait() {
    short near_events = 0;
    if (up_.empty() && !up_.ended) near_events |= POLLIN;
    if (!down_.empty()) near_events |= POLLOUT;
    const auto outer_events = static_cast<short>(outer_->sending() ? POLLOUT : (down_.empty() ? POLLIN : 0));
    // An end that hung up would wake poll(2) for ever: it is left out when nothing is wanted of it.
    std::array<pollfd, 3> fds{pollfd{.fd = near_events != 0 ? far_.get() : -1, .events = near_events, .revents = 0},
                              pollfd{.fd = outer_events != 0 ? outer_->socket() : -1, .events = outer_events, .revents = 0},
                              pollfd{.fd = stop_.get(), .events = POLLIN, .revents = 0}};
    // A write that waits for the far window needs what the outer session reads.
    if (!up_.empty() && outer_events == 0) fds[1] = {.fd = outer_->socket(), .events = POLLIN, .revents = 0};
    const int ready = ::poll(fds.data(), fds.size(), 15'000);
    if (ready < 0) return errno == EINTR;
    if (fds[2].revents != 0) return false;
    int next = 0;
    if (ready == 0 && !outer_->sending()) return libssh2_keepalive_send(outer_->get(), &next) == 0;
    return true;
  }

  std::unique_ptr<Session> outer_;
  Channel channel_;
  os::Fd far_, stop_;
  Way up_, down_;
  bool up_stuck_ = false, broken_ = false;
};

Result<std::unique_ptr<Tunnel>> Tunnel::open(std::unique_ptr<Session> outer, const std::string& host, std::uint16_t port,
                                             Deadline deadline) {
  Channel channel;
  const std::string request = direct_tcpip(host, port);
  const std::string doing = std::format("opening a way to {}:{}", host, port);
  CLOUDOS_ASSIGN(const int status,
                 outer->finish(
                     [&] {
                       channel.reset(libssh2_channel_open_ex(outer->get(), "direct-tcpip", 12, window, LIBSSH2_CHANNEL_PACKET_DEFAULT,
                                                             request.data(), static_cast<unsigned>(request.size())));
                       return channel ? 0 : libssh2_session_last_errno(outer->get());
                     },
                     deadline, doing));
  if (status < 0) {
    Error error = outer->error(doing);
    if (status == LIBSSH2_ERROR_CHANNEL_FAILURE)
      error.hint = std::format("the jump host {} forbids forwarding (AllowTcpForwarding) or cannot reach that address", outer->peer());
    return std::unexpected(std::move(error));
  }
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) != 0) return fail_errno("socketpair", errno);
  os::Fd near(ends[0]), far(ends[1]), stop(::eventfd(0, EFD_CLOEXEC));
  if (!stop) return fail_errno("eventfd", errno);
  auto pump = std::make_unique<Pump>(std::move(outer), std::move(channel), std::move(far), std::move(stop));
  return std::unique_ptr<Tunnel>(new Tunnel(std::move(pump), std::move(near)));
}

Tunnel::Tunnel(std::unique_ptr<Pump> pump, os::Fd near)
    : pump_(std::move(pump)), near_(std::move(near)), thread_([this] { pump_->run(); }) {}

Tunnel::~Tunnel() {
  pump_->stop();
  if (thread_.joinable()) thread_.join();
}

}  // namespace cloudos::ssh
