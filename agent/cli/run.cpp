#include "agent/cli/run.hpp"

#include <CLI/CLI.hpp>
#include <cstdio>

#include "agent/daemon/daemon.hpp"

namespace cloudos::agent {

void add_run(CLI::App& app, int& status) {
  auto* command = app.add_subcommand("run", "A half of the agent that stays; systemd starts both");
  command->require_subcommand(1);
  const auto add = [&](const char* name, const char* what, Status (*half)()) {
    command->add_subcommand(name, what)->callback([half, &status] {
      const auto ended = half();
      status = ended ? 0 : exit_status(ended.error().kind);
      if (!ended) std::fprintf(stderr, "<3>%s\n", ended.error().text().c_str());
    });
  };
  add("root", "Root, without a network: looks at the machine, restarts what hangs, offers GPUs", daemon::run_root);
  add("network", "Without rights: tells the API what was found, serves the metrics", daemon::run_network);
}

}  // namespace cloudos::agent
