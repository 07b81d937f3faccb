// One libssh2 session over one connected socket: non-blocking, with a deadline on every wait, freed when it goes.
#pragma once

#include <libssh2.h>

#include <memory>
#include <string>
#include <string_view>

#include "core/base/result.hpp"
#include "core/base/units.hpp"
#include "core/os/file/file.hpp"

namespace cloudos::ssh {

// A TCP connection to `host` (a name or an address), with TCP_NODELAY. Errors: network (retryable), timeout, input (no such name).
[[nodiscard]] Result<os::Fd> dial(const std::string& host, std::uint16_t port, Deadline deadline);

class Session {
 public:
  // `peer`: as messages name it. `keepalive`: the span of silence after which the peer is asked for a sign of life, at least
  // 2 s; two questions without an answer end the session.
  static Result<std::unique_ptr<Session>> over(os::Fd socket, std::string peer, Milliseconds keepalive);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  [[nodiscard]] LIBSSH2_SESSION* get() const { return session_; }
  [[nodiscard]] int socket() const { return socket_.get(); }
  [[nodiscard]] const std::string& peer() const { return peer_; }
  // Whether libssh2 stopped in the middle of a packet that it sends. Then only the same call may follow: libssh2 refuses any
  // other that sends (transport.c, LIBSSH2_ERROR_BAD_USE).
  [[nodiscard]] bool sending() const;

  // Waits until libssh2 can go on.
  // Errors: timeout at the deadline, network when the peer gave no sign of life.
  Status wait(Deadline deadline, std::string_view doing);
  // Repeats a libssh2 call until it gives something else than LIBSSH2_ERROR_EAGAIN. Gives its status, negative ones too.
  template <class Call>
  Result<int> finish(const Call& call, Deadline deadline, std::string_view doing) {
    for (;;) {
      const int status = static_cast<int>(call());
      if (status != LIBSSH2_ERROR_EAGAIN) return status;
      CLOUDOS_TRY(wait(deadline, doing));
    }
  }
  // finish(), where a negative status is an error.
  template <class Call>
  Status must(const Call& call, Deadline deadline, std::string_view doing) {
    CLOUDOS_ASSIGN(const int status, finish(call, deadline, doing));
    if (status < 0) return std::unexpected(error(doing));
    return {};
  }
  // libssh2's last error as ours: network.
  [[nodiscard]] Error error(std::string_view doing) const;
  // Whether the peer closes its side of the connection within a span.
  [[nodiscard]] bool hung_up(Milliseconds within) const;
  // From here on the peer is asked for signs of life; not before authentication, where servers take it as an offence.
  void keep_alive();

 private:
  Session(os::Fd socket, std::string peer, Milliseconds keepalive, LIBSSH2_SESSION* session);
  Status idle(Milliseconds waited);

  os::Fd socket_;
  std::string peer_;
  Milliseconds keepalive_;
  LIBSSH2_SESSION* session_;
  bool ask_for_life_ = false;
  Milliseconds silent_{0};
  int unanswered_ = 0;
};

}  // namespace cloudos::ssh
