// agent/cli: the command line of cloudos-agent, as the installer speaks it over SSH: JSON in on standard input, JSON lines
// out on standard output, an error's text on standard error. Here: reading and writing that, nothing else.
#pragma once

#include <string>
#include <vector>

namespace cloudos::agent {

// Runs the command that the arguments (without the program's name) name. Gives the exit status: 0 done, 1 failed, 2 bad
// usage or input, 3 refused, 4 unknown run.
[[nodiscard]] int run(std::vector<std::string> arguments);

}  // namespace cloudos::agent
