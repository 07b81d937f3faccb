// Inside agent/daemon: how a peer that is away is waited for, and what is said of it: little.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "core/base/units.hpp"

namespace cloudos::daemon {

using Time = std::chrono::steady_clock::time_point;

// How long to wait after so many failures in a row: from 1 s, doubling, to 5 min; of that between a half and the whole, as
// `fraction` (0 to 1) says, so that a thousand nodes do not come back at once.
[[nodiscard]] Milliseconds pause(unsigned failures, double fraction);

class AwayLog {
 public:
  // A line for the log at the first failure, and then every half hour.
  [[nodiscard]] std::optional<std::string> failed(const std::string& what, const std::string& why, Time now);
  // A line when it had been away.
  [[nodiscard]] std::optional<std::string> back(const std::string& what, Time now);
  [[nodiscard]] unsigned failures() const { return failures_; }

 private:
  unsigned failures_ = 0;
  Time since_{}, told_{};
};

}  // namespace cloudos::daemon
