// Inside agent/facts: the few netlink requests that tell what the kernel can do (netlink(7), rtnetlink(7),
// linux/netfilter/nf_tables.h). All are made in the network namespace that the caller is in.
#pragma once

#include <string>

#include "core/base/result.hpp"

namespace cloudos::facts {

// Makes a link of this kind ("vxlan", "bridge", "veth") and leaves it: the caller's namespace goes with it. Errors: io,
// with the kernel's answer.
[[nodiscard]] Status make_link(const std::string& kind);
// Commits a table with a NAT chain, and in it a rule of what kube-proxy's nftables mode needs: numgen, ct and masquerade.
[[nodiscard]] Status make_nat_rule();
// Asks nf_tables for xtables' MASQUERADE target: what iptables-nft needs.
[[nodiscard]] Status has_xtables_compat();
// Rules in tables that are neither kube-proxy's nor flannel's; 0 when the kernel has no nf_tables. Errors: io.
[[nodiscard]] Result<int> count_nft_rules();

}  // namespace cloudos::facts
