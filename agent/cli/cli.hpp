// agent/cli: the command line of cloudos-agent, as the installer speaks it over SSH: JSON in on standard input, JSON lines
// out on standard output, an error's text on standard error. Here: reading and writing that, nothing else.
#pragma once

#include <CLI/CLI.hpp>

namespace cloudos::agent {

// Adds every command to `app`. The one that is called leaves its exit status in `status`: 0 done, 1 failed, 2 bad usage or
// input, 3 refused, 4 unknown run.
void add_commands(CLI::App& app, int& status);

}  // namespace cloudos::agent
