#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/plan/plan.hpp"

namespace cloudos::plan {

// A machine that answered, with what follows from its wish and its facts. Points into the Input.
struct Member {
  const model::MachineConfig* config = nullptr;
  const model::HostFacts* facts = nullptr;
  std::string node;     // the node's name
  std::string address;  // the node's cluster address, "" when none was found
  bool joined = false;  // to this cluster, and finished

  [[nodiscard]] const MachineId& id() const { return config->id; }
  [[nodiscard]] bool master() const { return config->role == model::Role::master; }
};

// The machines that answered, in the order of the configuration (masters first), and what holds for all of them.
struct Cluster {
  std::vector<Member> members;
  const Member* lead = nullptr;  // the master that does the cluster's own work: a healthy joined one, else the first
  bool exists = false;           // a master has joined already
  bool by_itself = false;        // its one member joins on its own: nobody labels the node for it
  std::vector<std::string> api;  // "10.0.0.1:6443" of every master, joined or to be joined, reachable now or not

  [[nodiscard]] std::vector<const Member*> joining() const;
};
[[nodiscard]] Cluster resolve(const Input& input);

// The same of a machine that joins by itself. The cluster points into the input.
[[nodiscard]] Input input_of(const Joiner& joiner);
[[nodiscard]] Cluster resolve(const Joiner& joiner, const Input& input);

// The name that a machine gets or has as a node: what it joined with, else the wanted hostname, else its own.
[[nodiscard]] std::string node_name(const model::MachineConfig& config, const model::HostFacts& facts);

// --- Facts, read with the doubt that they deserve ----------------------------------------------------------------------
// Whether the feature was tried and failed. One that was not tried is not taken for missing.
[[nodiscard]] bool lacks(const model::HostFacts& facts, std::string_view feature);
// Whether the machine shares its kernel with others (systemd-detect-virt(1), "container"): what is not the machine's own,
// such as swap, modules and most sysctls, must be left alone.
[[nodiscard]] bool container(const model::HostFacts& facts);
// Whether one of its interfaces has the address.
[[nodiscard]] bool holds_address(const model::HostFacts& facts, std::string_view address);
// Whether swap stays on because it is not the machine's own.
[[nodiscard]] bool keeps_swap(const model::HostFacts& facts);
// Whether every machine that answered has nftables, so that kube-proxy and flannel can use it.
[[nodiscard]] bool nftables_everywhere(const Cluster& cluster);

}  // namespace cloudos::plan
