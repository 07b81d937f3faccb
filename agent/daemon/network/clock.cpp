#include "agent/daemon/network/clock.hpp"
#include "core/base/clock.hpp"

#include <sys/timex.h>

#include <algorithm>

namespace cloudos::daemon {
namespace {

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
  health::Sample sample{.wall_ms = wall_ms(), .monotonic_ms = boot_ms(), .clock = read_clock()};
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
