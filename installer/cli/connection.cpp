#include "installer/cli/connection.hpp"

#include <format>

namespace cloudos::cli {

void ConnectionFlags::add_to(CLI::App& command) {
  constexpr auto group = "Connections";
  command.add_option("--user", user, "Login user; not root: sudo is used")->group(group);
  command.add_option("--key", key, "Private key file")->group(group);
  command.add_option("--port", port, "SSH port")->check(CLI::Range(1, 65535))->group(group);
  command
      .add_flag("--accept-new-host-keys", accept_new_host_keys, "Trust unknown host keys and remember them; a changed key is still fatal")
      ->group(group);
  auto* ask = command.add_flag("--ask-password", ask_password, "Ask for the login password, once for all machines")->group(group);
  command.add_option("--password-file", password_file, "File with the login password; readable by you only")->excludes(ask)->group(group);
  auto* ask_sudo =
      command.add_flag("--ask-sudo-password", ask_sudo_password, "Ask for sudo's password; else it is the login password")->group(group);
  command.add_option("--sudo-password-file", sudo_password_file, "File with sudo's password")->excludes(ask_sudo)->group(group);
  command.add_option("--known-hosts", known_hosts, "Instead of ~/.ssh/known_hosts")->group(group);
  command.add_option("--ssh-config", ssh_config, "Instead of ~/.ssh/config")->group(group);
}

void InventoryFlags::add_to(CLI::App& command) {
  constexpr auto group = "Machines";
  command.add_option("--masters", masters, "Control-plane machines: 10.0.0.1-10.0.0.3, ops@[fd00::1]:2222, db-1,db-2")->group(group);
  command.add_option("--nodes", nodes, "Worker machines, written the same way")->group(group);
  command.add_option("--config", file, "cluster.toml; flags override it")->group(group);
  command.add_option("--name", name, "The cluster's name")->group(group);
  command.add_option("--endpoint", endpoint, "A VIP or DNS name of the API for clients")->group(group);
  command.add_option("--pod-cidr", pod_cidr, "Addresses of pods")->group(group);
  command.add_option("--service-cidr", service_cidr, "Addresses of services")->group(group);
}

config::Flags merge(const InventoryFlags& inventory, const ConnectionFlags& connection) {
  const auto given = [](const std::string& text) { return text.empty() ? std::nullopt : std::optional{text}; };
  config::Flags flags;
  if (!inventory.file.empty()) flags.file = inventory.file;
  flags.masters = inventory.masters;
  flags.nodes = inventory.nodes;
  flags.user = given(connection.user);
  flags.key = given(connection.key);
  flags.endpoint = given(inventory.endpoint);
  flags.name = given(inventory.name);
  flags.pod_cidr = given(inventory.pod_cidr);
  flags.service_cidr = given(inventory.service_cidr);
  flags.port = connection.port;
  if (!connection.password_file.empty()) flags.password_file = connection.password_file;
  if (!connection.sudo_password_file.empty()) flags.sudo_password_file = connection.sudo_password_file;
  return flags;
}

namespace {

Result<std::optional<Secret>> asked(bool wanted, const std::string& what, const std::string& flag, Terminal& terminal) {
  if (!wanted) return std::nullopt;
  auto answer = terminal.secret(what);
  if (!answer || answer->empty())
    return fail(ErrorKind::usage, std::format("no {} was given", what), std::format("without a terminal use {}", flag));
  return answer;
}

}  // namespace

Result<driver::Connect> connector(const ConnectionFlags& flags, const config::Loaded& loaded, Terminal& terminal, Log& log,
                                  Milliseconds patience) {
  auto password = loaded.password;
  auto sudo = loaded.sudo_password;
  if (!password) { CLOUDOS_ASSIGN(password, asked(flags.ask_password, "login password", "--password-file", terminal)); }
  if (!sudo) { CLOUDOS_ASSIGN(sudo, asked(flags.ask_sudo_password, "sudo password", "--sudo-password-file", terminal)); }
  ssh::Options common{.accept_new_host_keys = flags.accept_new_host_keys,
                      .known_hosts_file = flags.known_hosts,
                      .ssh_config_file = flags.ssh_config,
                      .password = std::move(password),
                      .sudo_password = std::move(sudo),
                      .connect_timeout = patience};
  return [common = std::move(common), &terminal, &log](const model::MachineConfig& machine) {
    auto options = common;
    options.host = machine.host;
    options.port = machine.port == 22 ? std::uint16_t{0} : machine.port;  // 22 is the default that ~/.ssh/config may change
    options.user = machine.user;
    options.identity_file = machine.key;
    options.pinned_host_key = machine.host_key;
    return ssh::connect(options, terminal.prompts(), log);
  };
}

model::ClusterConfig with_flags(model::ClusterConfig config, const ConnectionFlags& flags) {
  for (auto& machine : config.machines) {
    if (!flags.user.empty()) machine.user = flags.user;
    if (machine.user.empty()) machine.user = config.default_user;
    if (!flags.key.empty()) machine.key = flags.key;
  }
  return config;
}

}  // namespace cloudos::cli
