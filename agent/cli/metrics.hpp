// Inside agent/cli: the command that prints what the agent serves at /metrics.
#pragma once

namespace CLI {
class App;
}

namespace cloudos::agent {

// Adds `metrics` to the commands; its exit status goes to `status`, which outlives the parsing.
void add_metrics(CLI::App& app, int& status);

}  // namespace cloudos::agent
