// Inside agent/daemon: whether this machine's clock is right. The network half looks, not root: reading how far off the clock is
// (adjtimex(2)) is one of the calls that could set it, and this half has no right to do that. What it finds goes nowhere but to
// the API, as all else that it says.
#pragma once

#include <optional>
#include <vector>

#include "agent/health/health.hpp"

namespace cloudos::daemon {

class ClockWatch {
 public:
  void set(const health::Thresholds& thresholds) { monitor_.set(thresholds, {}); }
  // Looks. True when the condition has changed.
  bool look();
  [[nodiscard]] const std::optional<health::Condition>& condition() const { return condition_; }
  [[nodiscard]] std::vector<health::HealthEvent> take_events() { return std::exchange(events_, {}); }
  [[nodiscard]] std::vector<health::Problem> problems() const;

 private:
  health::Monitor monitor_;
  std::optional<health::Condition> condition_;
  std::vector<health::HealthEvent> events_;
};

}  // namespace cloudos::daemon
