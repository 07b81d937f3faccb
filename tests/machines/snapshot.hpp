// A machine as it stands, as lines that can be compared: files, links, routes, rules, mounts, control groups, sysctls, units,
// processes, users. And what it is seen with: nft and iptables, which the machines themselves do not have, carried there.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "tests/machines/machines.hpp"

namespace cloudos::machines {

// Puts nft and iptables of the build root, with their libraries and loader, into /opt/firewall of the machine. With
// `in_path`, nft and iptables are also commands there, as on a machine that has a firewall.
void carry_firewall(const Sandbox& sandbox, const Machine& machine, bool in_path);

using Snapshot = std::set<std::string>;
// Needs carry_firewall().
Snapshot take_snapshot(const Sandbox& sandbox, const Machine& machine);

// What is in one of the two only, "-" and "+" before it; without what may differ, each with its reason, in snapshot.cpp.
std::vector<std::string> differences(const Snapshot& before, const Snapshot& after);

}  // namespace cloudos::machines
