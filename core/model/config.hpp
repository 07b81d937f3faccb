#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/base/units.hpp"

namespace cloudos::model {

enum class Role { master, node };

struct Taint {
  std::string key, value, effect;  // effect: NoSchedule, PreferNoSchedule, NoExecute
  bool operator==(const Taint&) const = default;
};

// One machine as the operator wants it.
struct MachineConfig {
  MachineId id;      // how it is named in plans, events and errors: "10.0.0.4", with ":port" unless 22
  std::string host;  // address or name to connect to; IPv6 without brackets
  std::uint16_t port = 22;
  std::string user;      // empty: ssh_config, then the operator's own name
  std::string key;       // identity file, empty: ssh_config, agent, the default ones
  std::string host_key;  // pinned "SHA256:…" fingerprint, empty: known_hosts
  Role role = Role::node;
  std::string hostname;  // wanted node name; empty: the machine's own host name
  std::string address;   // the node's cluster address; empty: the one it reaches the other machines from
  std::map<std::string, std::string> labels;
  std::vector<Taint> taints;
  bool operator==(const MachineConfig&) const = default;
};

// The wanted cluster, merged from flags and cluster.toml. Holds no secret.
struct ClusterConfig {
  static constexpr int schema = 1;
  std::string name = "cloudos";
  std::string endpoint;  // "api.example.com[:6443]" or a VIP for kubeconfigs and certificates; may be empty
  std::string pod_cidr = "10.244.0.0/16";
  std::string service_cidr = "10.96.0.0/12";
  std::string dns_domain = "cluster.local";
  std::string default_user;             // for machines that name none
  std::vector<MachineConfig> machines;  // masters first, in the order given
  bool operator==(const ClusterConfig&) const = default;

  [[nodiscard]] std::vector<const MachineConfig*> masters() const;
  [[nodiscard]] std::vector<const MachineConfig*> nodes() const;
};

[[nodiscard]] std::string encode_config(const ClusterConfig& config);
[[nodiscard]] Result<ClusterConfig> decode_config(std::string_view json);

// One thing that is wrong or odd with what the operator gave or what a machine is. All of them are shown together.
struct Finding {
  enum class Severity { warning, error };
  Severity severity = Severity::error;
  std::string code;     // stable, for scripts and waivers: "port-in-use", "unknown-key"
  std::string where;    // "cluster.toml:12:3 machines[1].role", "--nodes", or a machine's id
  std::string message;  // what was found and what was expected
  std::string remedy;   // what to do
  bool operator==(const Finding&) const = default;
};
template <class T>
using Checked = std::expected<T, std::vector<Finding>>;

}  // namespace cloudos::model
