// Inside agent/daemon, and for those who measure it: the core's requests made to a real API server.
#pragma once

#include "agent/daemon/network/core.hpp"
#include "agent/kube/kube.hpp"

namespace cloudos::daemon {

[[nodiscard]] Reply perform(kube::Api& api, const Request& request);

}  // namespace cloudos::daemon
