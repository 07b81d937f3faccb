// A ProxyJump hop: a direct-tcpip channel (RFC 4254, section 7.2) through a session, offered as a socket.
#pragma once

#include <memory>
#include <thread>

#include "installer/ssh/session.hpp"

namespace cloudos::ssh {

// Owns the outer session, and a thread of its own that alone uses it from here on. Ends when the socket's other end is
// closed, when the outer session ends, or when the object goes.
class Tunnel {
 public:
  // Through `outer` to host:port as seen from the outer machine. Errors: network (the hop refuses or cannot reach it), timeout.
  static Result<std::unique_ptr<Tunnel>> open(std::unique_ptr<Session> outer, const std::string& host, std::uint16_t port,
                                              Deadline deadline);
  ~Tunnel();
  Tunnel(const Tunnel&) = delete;
  Tunnel& operator=(const Tunnel&) = delete;
  // The near end, once; the caller's.
  [[nodiscard]] os::Fd take_socket() { return std::move(near_); }

 private:
  class Pump;
  Tunnel(std::unique_ptr<Pump> pump, os::Fd near);
  std::unique_ptr<Pump> pump_;
  os::Fd near_;
  std::jthread thread_;
};

}  // namespace cloudos::ssh
