#include <algorithm>
#include <array>
#include <format>
#include <map>
#include <set>

#include "core/base/ip.hpp"
#include "core/base/text.hpp"
#include "core/plan/checks.hpp"

namespace cloudos::plan {
namespace {

// Interfaces that a joined node has because of us.
bool our_interface(std::string_view name) {
  return name == "cni0" || name.starts_with("flannel.") || name.starts_with("veth") || name == "kube-ipvs0";
}

void check_routes(const Input& input, const Member& m, Report& report) {
  const std::array<std::pair<std::string_view, std::string_view>, 2> networks = {
      {{"pod_cidr", input.config.pod_cidr}, {"service_cidr", input.config.service_cidr}}};
  for (const auto& [name, text] : networks) {
    const auto cidr = Cidr::parse(text);
    if (!cidr) continue;
    for (const auto& route : m.facts->routes) {
      const auto destination = Cidr::parse(route.destination);
      if (!destination || destination->bits == 0 || !destination->overlaps(*cidr)) continue;
      if (begun(*m.facts) && our_interface(route.device)) continue;
      report.error(
          m.id(), "cidr-overlap",
          std::format("{} {} overlaps the machine's route to {} by {}", name, text, sanitise(route.destination), sanitise(route.device)),
          std::format("give another {} in cluster.toml, or remove the route", name));
    }
  }
}

bool has_default_route(const model::HostFacts& facts) {
  return std::ranges::any_of(facts.routes, [](const auto& route) { return route.destination == "0.0.0.0/0"; });
}
bool reaches_services(const Input& input, const model::HostFacts& facts) {
  const auto services = Cidr::parse(input.config.service_cidr);
  return services && std::ranges::any_of(facts.routes, [&](const auto& route) {
           const auto destination = Cidr::parse(route.destination);
           return destination && destination->bits <= services->bits && destination->contains(services->address);
         });
}

int link_mtu(const Member& m) {
  for (const auto& interface : m.facts->interfaces)
    for (const auto& address : interface.addresses)
      if (address.substr(0, address.find('/')) == m.address) return interface.mtu;
  return 0;
}

}  // namespace

void check_network(const Input& input, const Member& member, Report& report) {
  const auto& facts = *member.facts;
  if (member.address.empty())
    report.error(member.id(), "no-address", "the machine has no IPv4 address that the other machines could reach",
                 "give it one, or set address for this machine in cluster.toml");
  else if (!facts.interfaces.empty() && !facts.unknown.contains("interfaces.addresses") && !holds_address(facts, member.address))
    report.error(member.id(), "address-not-here",
                 std::format("the cluster address {} is on none of the machine's interfaces", sanitise(member.address)),
                 "correct address for this machine in cluster.toml, or give the machine that address");
  check_routes(input, member, report);
  // A connection from the host is routed before its address is translated: no route, no service.
  if (!facts.routes.empty() && !has_default_route(facts) && !reaches_services(input, facts))
    report.warning(
        member.id(), "no-default-route",
        std::format("no route leads to {}: processes of the machine itself (not pods) cannot reach services by their cluster addresses",
                    input.config.service_cidr),
        std::format("add a route for {}, for example through the machine's own interface", input.config.service_cidr));
}

void check_reach(const Input& input, const Cluster& cluster, Report& report) {
  std::map<MachineId, const Member*> by_id;
  for (const auto& member : cluster.members) by_id[member.id()] = &member;
  for (const auto& way : input.reach) {
    const auto from = by_id.find(way.from);
    if (from == by_id.end() || way.from == way.to || !by_id.contains(way.to)) continue;
    if (!way.tcp) {
      report.error(way.from, "no-way", std::format("cannot reach {}: {}", way.to.value, sanitise(way.reason)),
                   "open the way between the two (routes, firewalls, security groups), or leave one of them out");
      continue;
    }
    if (const int mtu = link_mtu(*from->second); way.mtu > 0 && mtu > way.mtu)
      report.warning(way.from, "small-mtu",
                     std::format("packets to {} may have {} bytes, the interface says {}", way.to.value, way.mtu, mtu),
                     std::format("set the interface's MTU to {} on both, so that the pod network fits", way.mtu));
  }
}

void check_endpoint(const Input& input, const Cluster& cluster, Report& report) {
  const auto& endpoint = input.config.endpoint;
  if (endpoint.empty()) return;
  const auto host = Ip::parse(endpoint) ? endpoint : endpoint.substr(0, endpoint.rfind(':'));
  if (!Ip::parse(host)) return;
  const Member* holder = nullptr;
  for (const auto& member : cluster.members) {
    if (!holds_address(*member.facts, host)) continue;
    if (!member.master())
      report.error(member.id(), "endpoint-in-use", std::format("the endpoint {} is an address of this node, which serves no API", endpoint),
                   "choose a free address that leads to the masters");
    if (holder)
      report.error(member.id(), "endpoint-in-use", std::format("{} also has the endpoint's address {}", holder->id().value, host),
                   "an address belongs to one machine at a time; look at what assigns it");
    holder = &member;
  }
}

}  // namespace cloudos::plan
