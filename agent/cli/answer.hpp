// Inside agent/cli: how a command answers: what it found on standard output, what went wrong on standard error and as its exit status.
#pragma once

#include <string_view>

#include "core/base/result.hpp"

namespace cloudos::agent {

// As it is, without a newline of its own. Errors: io.
[[nodiscard]] Status say(std::string_view text);
// Gives the exit status.
[[nodiscard]] int tell(const Error& error);
[[nodiscard]] int tell(const Status& status);

}  // namespace cloudos::agent
