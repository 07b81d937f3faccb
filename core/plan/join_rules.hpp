#pragma once

#include <string>

#include "core/plan/machines.hpp"

namespace cloudos::plan {

// The manifest of what a join token may do and what the masters of this cluster may, who admit machines with it.
[[nodiscard]] std::string join_rules(const Cluster& cluster);

}  // namespace cloudos::plan
