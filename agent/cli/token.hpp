#pragma once

#include <CLI/CLI.hpp>

namespace cloudos::agent {

// `token create`, `token list` and `token revoke`, on a master. What create prints is a secret: the join file with the token.
void add_token(CLI::App& app, int& status);

}  // namespace cloudos::agent
