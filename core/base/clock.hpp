// The time, as numbers that are sent and kept. Spans are measured with std::chrono::steady_clock.
#pragma once

#include <ctime>

#include <chrono>
#include <cstdint>

namespace cloudos {

// Since 1970, by the clock that people set.
[[nodiscard]] inline std::int64_t wall_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}
[[nodiscard]] inline std::int64_t wall_s() { return wall_ms() / 1000; }

// Since the machine was started, time asleep included; nobody can set it (clock_gettime(2), CLOCK_BOOTTIME).
[[nodiscard]] inline std::int64_t boot_ms() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

}  // namespace cloudos
