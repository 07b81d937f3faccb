// What else may live on a machine that becomes a node: a container runtime on its usual places with a container that runs,
// Docker's state, another CNI network's configuration, a firewall with rules of its own.
#pragma once

#include <string>

#include "tests/machines/machines.hpp"

namespace cloudos::machines {

// Lays all of it. Needs carry_firewall() with `in_path`.
void lay_neighbours(const Sandbox& sandbox, const Machine& machine);
// The process numbers of that runtime and of its container, and that both answer.
std::string neighbours_alive(const Sandbox& sandbox, const Machine& machine);

}  // namespace cloudos::machines
