// From options to an authenticated session: ssh_config, jump hosts, dialling, key exchange, host key, login.
#pragma once

#include <memory>
#include <vector>

#include "installer/ssh/session.hpp"
#include "installer/ssh/transport.hpp"
#include "installer/ssh/tunnel.hpp"

namespace cloudos::ssh {

struct Connection {
  std::vector<std::unique_ptr<Tunnel>> way;  // through jump hosts, outermost first; each outlives what runs through it
  std::unique_ptr<Session> session;
  std::optional<Secret> login_password;  // where one was used

  Connection() = default;
  Connection(Connection&&) = default;
  Connection& operator=(Connection&&) = delete;
  ~Connection() {
    session.reset();
    while (!way.empty()) way.pop_back();
  }
};
// Errors: as Transport's, and input for a host, user or ssh_config that cannot be meant.
[[nodiscard]] Result<Connection> establish(const Options& options, const Prompts& prompts, Log& log);

}  // namespace cloudos::ssh
