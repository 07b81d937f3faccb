// agent/daemon: the agent that stays on every node, in two halves (docs/agent.md). The root half looks at the machine, restarts what
// hangs, offers GPUs, and has no network. The network half has no rights: it writes to the node's object in the API what the
// other half found, and serves the metrics. Here: their loops, and the decisions of what is written when (core.hpp). Not here: what
// is found (agent/labels, agent/health), how it is said (agent/halves, agent/kube), what is measured (agent/metrics).
#pragma once

#include "core/base/result.hpp"

namespace cloudos::daemon {

// Each runs until it is told to end (SIGTERM), as systemd starts it. Errors: usage (not started by its unit), io.
[[nodiscard]] Status run_root();
[[nodiscard]] Status run_network();

}  // namespace cloudos::daemon
