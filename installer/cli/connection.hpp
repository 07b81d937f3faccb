#pragma once

#include "core/base/log.hpp"
#include "installer/cli/command.hpp"
#include "installer/cli/terminal.hpp"
#include "installer/config/config.hpp"
#include "installer/driver/driver.hpp"

namespace cloudos::cli {

// How machines are reached, as flags.
struct ConnectionFlags {
  std::string user, key, password_file, sudo_password_file, known_hosts, ssh_config;
  std::optional<std::uint16_t> port;
  bool accept_new_host_keys = false, ask_password = false, ask_sudo_password = false;
  void add_to(CLI::App& command);
};
// Which machines, as flags, beside ConnectionFlags' user, key and port.
struct InventoryFlags {
  std::string file, endpoint, name, pod_cidr, service_cidr;
  std::vector<std::string> masters, nodes;
  void add_to(CLI::App& command);
};
[[nodiscard]] config::Flags merge(const InventoryFlags& inventory, const ConnectionFlags& connection);

// Opens connections as the flags say. Asks for the passwords that --ask-… announce now, once for all machines.
// `terminal` and `log` outlive the result. Errors: usage (nobody to ask).
[[nodiscard]] Result<driver::Connect> connector(const ConnectionFlags& flags, const config::Loaded& loaded, Terminal& terminal, Log& log,
                                                Milliseconds patience = Milliseconds{15'000});
// For questions to masters of which any will do: a dead one should not hold up the answer.
inline constexpr Milliseconds day_two_patience{10'000};

// The machines of a config with their defaults filled in and the flags put over them.
[[nodiscard]] model::ClusterConfig with_flags(model::ClusterConfig config, const ConnectionFlags& flags);

}  // namespace cloudos::cli
