// Inside agent/devices: whether a GPU is fit to be given out, from what is seen of it over time. Pure: time is an argument.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "agent/devices/devices.hpp"
#include "agent/nvml/nvml.hpp"
#include "agent/xid/xid.hpp"

namespace cloudos::devices {

using Time = std::chrono::steady_clock::time_point;

// One look at a GPU.
struct Seen {
  std::string problem = {};                // "" when it is well
  bool sure = false;                       // this problem does not go by asking again
  xid::Remedy remedy = xid::Remedy::time;  // what the problem takes
  std::optional<bool> reset_done = {};     // whether the driver has nothing left to recover; nothing when it cannot say
};
[[nodiscard]] Seen seen_of(const nvml::Reading& reading);

class Health {
 public:
  explicit Health(const Timing& timing) : timing_(timing) {}
  // Both give true when the GPU became fit or unfit by this.
  bool look(const Seen& seen, Time now);
  bool xid(std::uint64_t number, Time now);

  [[nodiscard]] bool fit() const { return fit_; }
  // Why it is unfit, or why it last was.
  [[nodiscard]] const std::string& cause() const { return cause_; }
  // What it takes: of all that has come since it became unfit, the gravest. Of a fit one: none.
  [[nodiscard]] xid::Remedy remedy() const { return remedy_; }

 private:
  bool fall(std::string cause, xid::Remedy remedy, Time now);

  Timing timing_;
  bool fit_ = true;
  bool wants_reset_ = false;
  std::string cause_;
  xid::Remedy remedy_ = xid::Remedy::none;
  int doubtful_ = 0;  // looks in a row with a problem that may go
  int relapses_ = 0;
  std::optional<Time> well_since_, recovered_;
};

}  // namespace cloudos::devices
