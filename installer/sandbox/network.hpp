// The network of a sandbox: a bridge in a network namespace of its own. The machines' ports and one cable to this computer
// are on it; nothing routes out of it. The bridge's own address is the machines' default gateway and name server, and it
// counts what it cannot deliver: no rule in this computer's firewall is needed for either, and none of its rules (Docker's
// FORWARD policy with bridge-nf-call-iptables, say) can get between the machines.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"
#include "installer/sandbox/sandbox.hpp"

namespace cloudos::sandbox {

// A /24 network, by its first three numbers.
struct Subnet {
  std::string prefix;  // "10.77.3"
  [[nodiscard]] std::string cidr() const { return prefix + ".0/24"; }
  [[nodiscard]] std::string address(unsigned host) const { return prefix + "." + std::to_string(host); }
  [[nodiscard]] std::string gateway() const { return address(1); }
  [[nodiscard]] std::string host() const { return address(2); }  // this computer
  bool operator==(const Subnet&) const = default;
};

// The same one for the same name, unless it overlaps one of `taken` ("10.0.0.0/8", "192.0.2.7"; IPv4): 10.77.N.0/24, N from
// the name and then upwards; failing all, 172.28.N.0/24. Errors: refused (no free one).
[[nodiscard]] Result<Subnet> choose_subnet(std::string_view name, std::span<const std::string> taken);
// What this computer's addresses and routes cover.
[[nodiscard]] Result<std::vector<std::string>> taken_networks();

// Makes what is missing of it.
[[nodiscard]] Status make_network(const std::string& name, const Subnet& subnet);
[[nodiscard]] bool has_network(const std::string& name);
// Removes it; a missing one is fine.
[[nodiscard]] Status remove_network(const std::string& name);

// The port of a VM on the bridge; a container's is made by systemd-nspawn. An existing one is kept.
[[nodiscard]] Status make_tap(const std::string& name, const std::string& port);
// A container's port that is still there: the kernel takes down the network namespaces of killed pods one after the other,
// and the machine's own link goes last. A missing one is fine.
[[nodiscard]] Status remove_port(const std::string& name, const std::string& port);
// Pulls or puts back a machine's cable.
[[nodiscard]] Status set_port(const std::string& name, const std::string& port, bool up);
// Whether the port is there and administratively down.
[[nodiscard]] bool port_is_down(const std::string& name, const std::string& port);

// From the texts of /proc/net/snmp and /proc/net/netstat of the bridge's namespace (RFC 4293, RFC 4113): packets without a
// route (IpExt InNoRoutes), refused for their address (Ip InAddrErrors), and datagrams to a closed port of the gateway
// (Udp NoPorts): look-ups of names.
[[nodiscard]] Escapes count_escapes(std::string_view snmp, std::string_view netstat);
[[nodiscard]] std::optional<Escapes> escapes(const std::string& name);

}  // namespace cloudos::sandbox
