// What is left of us on a machine after undo: looked for anew, not concluded from what was done.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "agent/steps/environment.hpp"

namespace cloudos::steps {

// By which a machine joins by itself. It came with the machine, as the agent's folder did, and stays.
inline constexpr auto join_unit = "cloudos-join.service";

// A sentence for each thing. `kubernetes`: whether the Kubernetes that was here was ours; then what it makes counts too.
// `tables_before`: the firewall tables from before it.
[[nodiscard]] std::vector<std::string> residue(Environment& env, bool kubernetes, const std::set<std::string>& tables_before);

}  // namespace cloudos::steps
