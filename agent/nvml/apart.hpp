// Inside agent/nvml: threads that nobody waits for, because they may never come back from a call into a driver.
#pragma once

#include <functional>

#include "core/base/result.hpp"

namespace cloudos::nvml {

// Errors: io.
[[nodiscard]] Status run_apart(std::function<void()> work);

}  // namespace cloudos::nvml
