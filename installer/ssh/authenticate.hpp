// Who we are: public keys (from the agent or a file), password, keyboard-interactive, in ssh's order.
#pragma once

#include <string>
#include <vector>

#include "installer/ssh/session.hpp"
#include "installer/ssh/transport.hpp"

namespace cloudos::ssh {

struct Identity {
  std::string user;
  std::vector<std::string> files;        // private keys that the operator named; all must be readable
  std::vector<std::string> maybe_files;  // of ssh_config or the default ones, where they are
  bool agent = true;                     // offer all keys of ssh-agent
  std::optional<Secret> passphrase;      // of the files
  std::optional<Secret> password;        // also the answer to keyboard-interactive questions
};

// Gives the login password when one was needed. Errors: auth (names what was tried and what the server takes), timeout, network.
[[nodiscard]] Result<std::optional<Secret>> authenticate(Session& session, const Identity& identity, const Prompts& prompts,
                                                         Milliseconds step_timeout, Log& log);

// How a private key file is protected. PEM (RFC 1421, 7468) and OpenSSH's own format (PROTOCOL.key in its sources).
enum class KeyProtection { none, passphrase, not_a_key };
[[nodiscard]] KeyProtection protection_of(std::string_view key_file);

}  // namespace cloudos::ssh
