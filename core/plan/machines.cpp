#include "core/plan/machines.hpp"

#include <algorithm>
#include <array>
#include <map>

#include "core/base/ip.hpp"

namespace cloudos::plan {
namespace {

using model::HostFacts;

constexpr std::uint16_t api_port = 6443;

bool usable(std::string_view text) {
  const auto ip = Ip::parse(text);
  return ip && !ip->v6 && !ip->loopback();
}

// The address that most ways to other machines start from.
std::string reaching_address(const MachineId& id, const std::vector<model::Reach>& reach) {
  std::map<std::string, int> votes;
  for (const auto& way : reach)
    if (way.from == id && way.to != id && way.tcp && usable(way.source)) ++votes[way.source];
  const auto most = std::ranges::max_element(votes, {}, [](const auto& vote) { return vote.second; });
  return most == votes.end() ? std::string{} : most->first;
}

// Networks that Kubernetes or another runtime made are not a way to other machines.
bool made_by_containers(std::string_view interface) {
  static constexpr std::array<std::string_view, 7> prefixes = {"lo", "cni", "flannel", "veth", "docker", "br-", "virbr"};
  return std::ranges::any_of(prefixes, [&](auto prefix) { return interface.starts_with(prefix); });
}

std::string first_address(const HostFacts& facts) {
  for (const auto& route : facts.routes)
    if (route.destination == "0.0.0.0/0" && usable(route.source)) return route.source;
  for (const auto& interface : facts.interfaces) {
    if (made_by_containers(interface.name)) continue;
    for (const auto& address : interface.addresses)
      if (const auto plain = address.substr(0, address.find('/')); usable(plain)) return plain;
  }
  return {};
}

std::string cluster_address(const model::MachineConfig& config, const HostFacts& facts, const std::vector<model::Reach>& reach) {
  if (!config.address.empty()) return config.address;
  // A master's address is in its certificates and in etcd: it keeps the one it joined with.
  if (facts.kubernetes.state == "joined" && usable(facts.kubernetes.server_address)) return facts.kubernetes.server_address;
  if (auto address = reaching_address(config.id, reach); !address.empty()) return address;
  if (usable(config.host) && holds_address(facts, config.host)) return config.host;
  return first_address(facts);
}

const Member* choose_lead(const std::vector<Member>& members) {
  const auto find = [&](auto&& wanted) -> const Member* {
    const auto found = std::ranges::find_if(members, wanted);
    return found == members.end() ? nullptr : &*found;
  };
  if (const auto* healthy = find([](const Member& m) { return m.master() && m.joined && m.facts->kubernetes.api_healthy; })) return healthy;
  if (const auto* joined = find([](const Member& m) { return m.master() && m.joined; })) return joined;
  // Cut off between kubeadm and the note of what it belongs to: it holds the cluster all the same.
  if (const auto* founded = find([](const Member& m) { return m.master() && m.facts->kubernetes.state == "joined"; })) return founded;
  return find([](const Member& m) { return m.master(); });
}

}  // namespace

std::string node_name(const model::MachineConfig& config, const HostFacts& facts) {
  if (facts.kubernetes.state == "joined" && !facts.kubernetes.node_name.empty()) return facts.kubernetes.node_name;
  return config.hostname.empty() ? facts.hostname : config.hostname;
}

std::vector<const Member*> Cluster::joining() const {
  std::vector<const Member*> all;
  for (const auto& member : members)
    if (!member.joined) all.push_back(&member);
  return all;
}

bool holds_address(const HostFacts& facts, std::string_view address) {
  return std::ranges::any_of(facts.interfaces, [&](const auto& interface) {
    return std::ranges::any_of(interface.addresses,
                               [&](const auto& prefixed) { return std::string_view(prefixed).substr(0, prefixed.find('/')) == address; });
  });
}

Cluster resolve(const Input& input) {
  Cluster cluster;
  for (const auto& config : input.config.machines) {
    const auto seen = input.machines.find(config.id);
    std::string address;
    if (seen != input.machines.end()) {
      const auto& facts = seen->second.facts;
      address = cluster_address(config, facts, input.reach);
      const bool joined = facts.kubernetes.state == "joined" && facts.kubernetes.cluster_id == input.cluster_id;
      cluster.members.push_back({&config, &facts, node_name(config, facts), address, joined});
    } else {
      // A master that does not answer now may be back in a minute: balancers keep it on their list and look themselves.
      address = !config.address.empty() ? config.address : usable(config.host) ? config.host : "";
    }
    if (config.role == model::Role::master && !address.empty()) cluster.api.push_back(host_port(address, api_port));
  }
  cluster.lead = choose_lead(cluster.members);
  cluster.exists = cluster.lead && cluster.lead->joined;
  return cluster;
}

bool lacks(const HostFacts& facts, std::string_view feature) {
  const auto found = facts.features.find(std::string(feature));
  return found != facts.features.end() && !found->second.works;
}

bool container(const HostFacts& facts) {
  static constexpr std::array<std::string_view, 11> kinds = {
      "systemd-nspawn", "lxc", "lxc-libvirt", "docker", "podman", "openvz", "rkt", "wsl", "proot", "pouch", "container-other"};
  return std::ranges::contains(kinds, facts.virtualisation);
}

bool keeps_swap(const HostFacts& facts) { return facts.memory.swap_total.count > 0 && container(facts); }

bool nftables_everywhere(const Cluster& cluster) {
  return std::ranges::none_of(cluster.members, [](const Member& m) { return lacks(*m.facts, "nft"); });
}

}  // namespace cloudos::plan
