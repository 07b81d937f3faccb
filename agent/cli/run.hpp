#pragma once

namespace CLI {
class App;
}

namespace cloudos::agent {

// `run root` and `run network`: the two halves of the daemon, as systemd starts them.
void add_run(CLI::App& app, int& status);

}  // namespace cloudos::agent
