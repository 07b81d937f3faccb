#pragma once

#include "installer/config/draft.hpp"

namespace cloudos::config {

// A machine of the merged list with the place that named it.
struct Placed {
  model::MachineConfig machine;
  std::string where;
};

// What is wrong or odd with the merged values, each by itself and with one another.
void check_networks(const Draft& merged, const model::ClusterConfig& config, Findings& findings);
void check_names(const Draft& merged, Findings& findings);
void check_machines(const std::vector<Placed>& machines, const model::ClusterConfig& config, Findings& findings);
// How many masters there are; only of a list that could be read whole.
void check_masters(const std::vector<Placed>& machines, Findings& findings);

}  // namespace cloudos::config
