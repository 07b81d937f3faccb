// Inside agent/devices: whether a GPU is fit to be given out, from what is seen of it over time. Pure: time is an argument.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "agent/devices/devices.hpp"
#include "agent/nvml/nvml.hpp"

namespace cloudos::devices {

using Time = std::chrono::steady_clock::time_point;

// What an Xid asks for (NVIDIA, "Xid Errors": the recommended actions).
enum class XidClass {
  application,  // a program's fault, or a report: the GPU is fit for the next one
  transient,    // the GPU may have recovered by itself: it must show that
  reset,        // not before it was reset, or the machine restarted
  replace,      // a reset may help for now; the GPU should be replaced
};
[[nodiscard]] XidClass class_of(std::uint64_t xid);
// "Xid 79: the GPU has fallen off the bus".
[[nodiscard]] std::string describe(std::uint64_t xid);

// One look at a GPU.
struct Seen {
  std::string problem = {};             // "" when it is well
  bool sure = false;                    // this problem does not go by asking again
  std::optional<bool> reset_done = {};  // whether the driver has nothing left to recover; nothing when it cannot say
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

 private:
  bool fall(std::string cause, Time now);

  Timing timing_;
  bool fit_ = true;
  bool wants_reset_ = false;
  std::string cause_;
  int doubtful_ = 0;  // looks in a row with a problem that may go
  int relapses_ = 0;
  std::optional<Time> well_since_, recovered_;
};

}  // namespace cloudos::devices
