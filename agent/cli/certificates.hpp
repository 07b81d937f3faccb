// Inside agent/cli: `certificates` and `identity`.
#pragma once

#include <CLI/CLI.hpp>

namespace cloudos::agent {

// `certificates`: until when the node's certificates hold. `identity`: the hash of the agent's own key, which is made when it is not
// there. Both are for people and for the agent's root half.
void add_certificates(CLI::App& app, int& status);

}  // namespace cloudos::agent
