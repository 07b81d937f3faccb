// Inside agent/cli: the command that checks agent.toml.
#pragma once

namespace CLI {
class App;
}

namespace cloudos::agent {

// Adds `settings` to the commands; its exit status goes to `status`, which outlives the parsing.
void add_settings(CLI::App& app, int& status);

}  // namespace cloudos::agent
