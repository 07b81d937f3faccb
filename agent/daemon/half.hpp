// agent/daemon: the agent that stays on every node, in two halves (docs/agent.md), each a program of its own so that it holds no more
// than it needs. agent/daemon/root looks at the machine, restarts what hangs, offers GPUs, and has no network. agent/daemon/network
// has no rights: it writes to the node's object in the API what the other half found, and serves the metrics. Here: what both are
// to systemd, and the settings that both follow. Not here: what is found (agent/labels, agent/health), how it is said (agent/halves,
// agent/kube), what is measured (agent/metrics).
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "agent/loop/loop.hpp"
#include "core/base/log.hpp"

namespace cloudos::daemon {

class Half {
 public:
  Half() = default;
  Half(const Half&) = delete;
  Half& operator=(const Half&) = delete;
  virtual ~Half() = default;
  // Reads the settings again.
  virtual void reload() = 0;
  // Whether systemd may hear that all is well.
  [[nodiscard]] virtual bool alive() const { return true; }
};

// The whole of a program that is a half: makes the half on a loop and runs it until SIGTERM; the log goes to the journal. Its unit
// gives it no arguments. `name` and `about` are for people who ask; `status` is what systemd shows. Gives the exit status.
[[nodiscard]] int run_half(int argc, char** argv, const std::string& about, const std::string& status,
                           const std::function<Result<std::unique_ptr<Half>>(loop::Loop&, Log&)>& make);

}  // namespace cloudos::daemon
