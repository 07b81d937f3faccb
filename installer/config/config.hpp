// installer/config: what the operator wants, from flags and cluster.toml, merged and checked. All findings at once, each
// with file, line and column or flag, what was found, what is allowed and the nearest name. Touches no machine.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/base/secret.hpp"
#include "core/model/config.hpp"

namespace cloudos::config {

// The flags as given, unparsed. Flags override the file.
struct Flags {
  std::optional<std::filesystem::path> file;  // --config
  std::vector<std::string> masters, nodes;    // "10.0.0.1-10.0.0.3", "ops@[fd00::1]:2222", "db-1,db-2"
  std::optional<std::string> user, key, endpoint, name, pod_cidr, service_cidr;
  std::optional<std::uint16_t> port;
  std::optional<std::filesystem::path> password_file, sudo_password_file;
};

struct Loaded {
  model::ClusterConfig config;
  std::vector<model::Finding> warnings;           // e.g. an even number of masters
  std::map<std::string, std::string> origin;      // "pod_cidr" -> "cluster.toml:4:1" | "--pod-cidr" | "default"
  std::optional<Secret> password, sudo_password;  // from the files that were named; never empty
};
// Reads the file and the secret files that it or a flag names; looks at nothing else. "~/" in paths is $HOME; other relative
// paths in the file start from its folder.
[[nodiscard]] model::Checked<Loaded> load(const Flags& flags);
// The merged result as TOML, each value with a comment that says where it came from: --print-config.
[[nodiscard]] std::string print(const Loaded& loaded);

}  // namespace cloudos::config
