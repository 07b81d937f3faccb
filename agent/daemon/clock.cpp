#include "agent/daemon/clock.hpp"

#include <sys/timex.h>
#include <time.h>

#include <algorithm>

namespace cloudos::daemon {
namespace {

std::int64_t milliseconds(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

std::optional<health::Sample::Clock> read_clock() {
  timex state{};
  const int said = adjtimex(&state);
  if (said == -1) return std::nullopt;
  const auto offset = static_cast<std::int64_t>(state.offset);
  return health::Sample::Clock{.offset_us = (state.status & STA_NANO) != 0 ? offset / 1000 : offset,
                               .synchronised = said != TIME_ERROR && (state.status & STA_UNSYNC) == 0};
}

}  // namespace

bool ClockWatch::look() {
  health::Sample sample{.wall_ms = milliseconds(CLOCK_REALTIME), .monotonic_ms = milliseconds(CLOCK_BOOTTIME), .clock = read_clock()};
  auto outcome = monitor_.look(sample);
  std::ranges::move(outcome.events, std::back_inserter(events_));
  const auto changed = std::ranges::find(outcome.changed, health::type::clock, &health::Condition::type);
  if (changed == outcome.changed.end()) return false;
  condition_ = *changed;
  return true;
}

std::vector<health::Problem> ClockWatch::problems() const {
  auto all = monitor_.problems();
  std::erase_if(all, [](const auto& problem) { return problem.type != health::type::clock; });
  return all;
}

}  // namespace cloudos::daemon
