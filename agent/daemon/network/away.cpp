#include "agent/daemon/network/away.hpp"

#include <algorithm>
#include <format>

#include "core/base/text.hpp"

namespace cloudos::daemon {

namespace {

constexpr Milliseconds shortest_pause{1'000}, longest_pause{300'000};
constexpr Milliseconds told_every{1'800'000};

Milliseconds between(Time from, Time to) { return std::chrono::duration_cast<Milliseconds>(to - from); }

}  // namespace

Milliseconds pause(unsigned failures, double fraction) {
  auto whole = shortest_pause;
  for (unsigned i = 1; i < failures && whole < longest_pause; ++i) whole *= 2;
  whole = std::min(whole, longest_pause);
  return whole / 2 + Milliseconds(static_cast<std::int64_t>(static_cast<double>(whole.count()) / 2 * std::clamp(fraction, 0.0, 1.0)));
}

std::optional<std::string> AwayLog::failed(const std::string& what, const std::string& why, Time now) {
  if (failures_++ == 0) {
    since_ = told_ = now;
    return std::format("{}: {}; trying again", what, why);
  }
  if (between(told_, now) < told_every) return std::nullopt;
  told_ = now;
  return std::format("{}: for {} now, {} tries: {}", what, human(between(since_, now)), failures_, why);
}

std::optional<std::string> AwayLog::back(const std::string& what, Time now) {
  const auto tries = std::exchange(failures_, 0U);
  if (tries == 0) return std::nullopt;
  return std::format("{}: well again after {}, {} tries", what, human(between(since_, now)), tries);
}

}  // namespace cloudos::daemon
