#pragma once

#include <filesystem>

#include "installer/cli/connection.hpp"

namespace cloudos::cli {

// ~/.config/cloudos/clusters/NAME.toml: what `install` was given, as a config file without secrets, so that later commands
// need no flags. The file is a convenience of this computer; the cluster itself holds the wanted state.
[[nodiscard]] std::filesystem::path saved_clusters();
[[nodiscard]] Status save_cluster(const config::Loaded& loaded);
void forget_cluster(const std::string& name);

// The cluster that a command is about: by --masters or --config, else the saved one that --name tells, else the only one
// that is saved. Findings when it cannot be told or read.
[[nodiscard]] model::Checked<config::Loaded> load_cluster(const InventoryFlags& inventory, const ConnectionFlags& connection);

}  // namespace cloudos::cli
