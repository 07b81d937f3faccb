#include <algorithm>
#include <array>
#include <format>
#include <set>

#include "core/base/text.hpp"
#include "core/plan/checks.hpp"

namespace cloudos::plan {
namespace {

struct Port {
  std::string_view protocol;
  std::uint16_t number;
  std::string_view used_by;
  bool masters_only;
};
// https://kubernetes.io/docs/reference/networking/ports-and-protocols/, the kubelet's and kube-proxy's local ones, ours.
constexpr std::array<Port, 12> ports = {{{"tcp", 6443, "kube-apiserver", true},
                                         {"tcp", 2379, "etcd", true},
                                         {"tcp", 2380, "etcd", true},
                                         {"tcp", 2381, "etcd", true},
                                         {"tcp", 10257, "kube-controller-manager", true},
                                         {"tcp", 10259, "kube-scheduler", true},
                                         {"tcp", 10248, "kubelet", false},
                                         {"tcp", 10250, "kubelet", false},
                                         {"tcp", 10249, "kube-proxy", false},
                                         {"tcp", 10256, "kube-proxy", false},
                                         {"tcp", 7443, "the API balancer", false},
                                         {"udp", 8472, "flannel", false}}};

// Processes that an install which was cut off has left; the kernel keeps 15 characters of a name (proc(5), comm).
bool left_by_us(const model::HostFacts::Listener& listener) {
  static constexpr std::array<std::string_view, 8> names = {"kubelet",    "kube-apiserver", "kube-controller", "kube-scheduler",
                                                            "kube-proxy", "etcd",           "flanneld",        ""};
  return std::ranges::contains(names, listener.process);
}

bool ours(const Member& m, const model::HostFacts::Listener& listener) {
  if (listener.unit.starts_with("cloudos-")) return true;
  // The balancer's socket is systemd's.
  if (listener.port == 7443 && listener.process == "systemd") return true;
  return begun(*m.facts) && left_by_us(listener);
}

}  // namespace

void check_ports(const Member& member, Report& report) {
  if (member.joined) return;
  std::set<std::pair<std::string_view, std::uint16_t>> told;
  for (const auto& port : ports) {
    if (port.masters_only && !member.master()) continue;
    for (const auto& listener : member.facts->listeners) {
      // "tcp6" and "udp6" sockets take the IPv4 port too unless told otherwise (ipv6(7), IPV6_V6ONLY).
      if (listener.port != port.number || !listener.protocol.starts_with(port.protocol) || ours(member, listener)) continue;
      if (!told.emplace(port.protocol, port.number).second) continue;
      const auto holder = listener.process.empty() ? std::string("somebody")
                          : listener.unit.empty()  ? sanitise(listener.process)
                                                   : std::format("{} ({})", sanitise(listener.process), sanitise(listener.unit));
      report.error(member.id(), "port-in-use",
                   std::format("{} port {}, which {} needs, is held by {}", port.protocol, port.number, port.used_by, holder),
                   std::format("stop {}, or move it to another port", holder));
    }
  }
}

}  // namespace cloudos::plan
