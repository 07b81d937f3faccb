#pragma once

#include <CLI/CLI.hpp>

namespace cloudos::agent {

// join: this machine becomes a node by itself.
void add_join(CLI::App& app, int& status);

}  // namespace cloudos::agent
