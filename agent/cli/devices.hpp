// Inside agent/cli: the command that tells how GPUs are offered to kubelet.
#pragma once

namespace CLI {
class App;
}

namespace cloudos::agent {

// Adds `devices` to the commands; its exit status goes to `status`, which outlives the parsing.
void add_devices(CLI::App& app, int& status);

}  // namespace cloudos::agent
