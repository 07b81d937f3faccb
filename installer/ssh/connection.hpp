// From options to an authenticated session: ssh_config, dialling, key exchange, host key, login.
#pragma once

#include <memory>

#include "installer/ssh/session.hpp"
#include "installer/ssh/transport.hpp"

namespace cloudos::ssh {

struct Connection {
  std::unique_ptr<Session> session;
  std::optional<Secret> login_password;  // where one was used
};
[[nodiscard]] Result<Connection> establish(const Options& options, const Prompts& prompts, Log& log);

}  // namespace cloudos::ssh
