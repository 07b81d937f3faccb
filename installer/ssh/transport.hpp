// installer/ssh: how the installer reaches a machine. One small contract, `Transport`, with three fulfilments: SSH over
// libssh2, a local process, and a fake for tests. What lives here: host keys, authentication, ~/.ssh/config, sudo. What does
// not: what is run (driver) and on which machines (config).
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/argv.hpp"
#include "core/base/log.hpp"
#include "core/base/secret.hpp"
#include "core/base/units.hpp"

namespace cloudos::ssh {

// How a remote command ended: by status or by signal.
struct RemoteExit {
  std::optional<int> code;
  std::string signal;  // without SIG, "" when it exited by itself
  [[nodiscard]] bool ok() const { return code == 0; }
};

struct Streams {
  ByteSource in = no_bytes();
  ByteSink out = discard();
  ByteSink err = discard();
};

// A connection to one machine on which commands run as root (through sudo where the login user is not). Not thread-safe:
// one command at a time; open a second connection for a second stream.
// Errors of every call: network (gone; retryable), timeout (names the deadline's step), auth (login or sudo), trust (host
// key), and those of the caller's streams. A non-zero exit is not an error. After an error the connection may be closed;
// whether the command ran is then unknown, and the caller must look before it repeats it.
class Transport {
 public:
  virtual ~Transport() = default;
  virtual Result<RemoteExit> run(const Argv& argv, Streams streams, Deadline deadline) = 0;
  // The machine as messages name it: "ops@10.0.0.4:22".
  [[nodiscard]] virtual std::string peer() const = 0;
  virtual void close() = 0;
};

// What the operator may be asked on a terminal. Without one, each gives nothing and the error says which flag helps.
struct Prompts {
  std::function<std::optional<Secret>(const std::string& what)> secret;  // "password of ops@10.0.0.4", "passphrase of …/id"
  std::function<bool(const std::string& question)> confirm;              // an unknown host key, with its SHA256
};

struct Options {
  std::string host;             // as in the inventory; ssh_config's HostName may replace it
  std::uint16_t port = 0;       // 0: ssh_config, else 22
  std::string user;             // "": ssh_config, else the local user
  std::string identity_file;    // "": ssh_config, agent, ~/.ssh/id_*
  std::string pinned_host_key;  // "SHA256:…" or ""
  bool accept_new_host_keys = false;
  std::string known_hosts_file;         // "": ~/.ssh/known_hosts (and /etc/ssh/ssh_known_hosts, read only)
  std::string ssh_config_file;          // "": ~/.ssh/config
  std::optional<Secret> password;       // also for keyboard-interactive
  std::optional<Secret> sudo_password;  // "": the login password
  std::optional<Secret> passphrase;
  bool become_root = true;
  Milliseconds connect_timeout{15'000};
  Milliseconds keepalive{15'000};  // at least 2 s; two unanswered ones end the connection
};

[[nodiscard]] Result<std::unique_ptr<Transport>> connect(const Options& options, const Prompts& prompts, Log& log);
// Commands on this computer, as the caller. For tests and for `cloudos install` on the machine it runs on.
[[nodiscard]] std::unique_ptr<Transport> local();

}  // namespace cloudos::ssh
