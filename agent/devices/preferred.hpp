// Inside agent/devices: which units go well together.
#pragma once

#include <span>

#include "agent/devices/model.hpp"

namespace cloudos::devices {

// `size` of the `available` ids, all of `must` among them: on one island of links and one NUMA node if that can be, else on
// one island, else on one node; where several fit, on the smallest, so that larger ones stay whole for those who need them.
// Shares come from as many GPUs as there are, the least shared first. Ids that are no unit's are left out; too few
// available ones give what there is.
[[nodiscard]] std::vector<std::string> prefer(const std::vector<Unit>& units, std::span<const std::string> available,
                                              std::span<const std::string> must, std::size_t size);

}  // namespace cloudos::devices
