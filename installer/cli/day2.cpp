#include "installer/cli/day2.hpp"

namespace cloudos::cli {

void DayTwoFlags::add_to(CLI::App& command) {
  constexpr auto group = "Cluster";
  command.add_option("--masters", inventory.masters, "Its masters; else the cluster that this computer installed last under --name")
      ->allow_extra_args(false)  // what stands behind it may be the node that the command is about
      ->group(group);
  command.add_option("--config", inventory.file, "cluster.toml")->group(group);
  command.add_option("--name", inventory.name, "The cluster's name, when this computer knows several")->group(group);
  command.add_option("--log-file", log_file, "Where the full log goes; else ~/.local/state/cloudos/logs")->group(group);
  connection.add_to(command);
}

Result<std::optional<DayTwo>> begin(const DayTwoFlags& flags, const Context& context, std::string_view command) {
  CLOUDOS_ASSIGN(auto session, Session::open(context, command, flags.log_file));
  auto loaded = load_cluster(flags.inventory, flags.connection);
  if (!loaded) {
    show(loaded.error(), context);
    return std::nullopt;
  }
  loaded->config = with_flags(std::move(loaded->config), flags.connection);
  CLOUDOS_ASSIGN(auto connect, connector(flags.connection, *loaded, session->terminal(), session->log(), day_two_patience));
  auto setting = session->setting(std::move(connect));
  return DayTwo{.session = std::move(session), .loaded = std::move(*loaded), .setting = std::move(setting)};
}

}  // namespace cloudos::cli
