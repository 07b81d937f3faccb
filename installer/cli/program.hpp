#pragma once

#include <memory>
#include <span>

#include "installer/cli/command.hpp"

namespace cloudos::cli {

// The whole command line: every command, with the flags that each of them takes. `context` outlives it.
[[nodiscard]] std::unique_ptr<CLI::App> make_app(Context& context);

// Parses, does the work, prints errors; gives the exit status.
[[nodiscard]] int run(std::span<char*> arguments);

}  // namespace cloudos::cli
