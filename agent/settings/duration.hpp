// Inside agent/settings: spans of time as people write them.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "core/base/result.hpp"

namespace cloudos::settings {

// "10s", "500ms", "5m", "1h", "14d", "100us". Errors: input.
[[nodiscard]] Result<std::chrono::microseconds> parse_duration(std::string_view text);
// In the largest unit that gives a whole number.
[[nodiscard]] std::string duration_text(std::chrono::microseconds span);

}  // namespace cloudos::settings
