// Inside agent/cli: the command that tells what the machine uses.
#pragma once

namespace CLI {
class App;
}

namespace cloudos::agent {

// Adds `sample` to the commands; its exit status goes to `status`, which outlives the parsing.
void add_sample(CLI::App& app, int& status);

}  // namespace cloudos::agent
