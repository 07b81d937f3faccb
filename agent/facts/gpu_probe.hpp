// The seam between facts and a vendor's driver library. What sysfs and procfs tell of GPUs is in agent/facts; a library that
// knows more (NVML) lives in a room of its own and is handed in here, so that facts link no driver and tests need none.
#pragma once

#include <string_view>
#include <vector>

#include "core/base/result.hpp"
#include "core/model/facts.hpp"

namespace cloudos::facts {

// What a driver library said: devices are matched to those of sysfs by their PCI address (a domain of four or eight digits).
// Fields that it leaves empty stay as sysfs had them; a device that sysfs does not have is left out.
struct GpuAnswer {
  model::HostFacts::GpuDriver driver;
  std::vector<model::HostFacts::GpuDevice> devices;
};

class GpuProbe {
 public:
  GpuProbe() = default;
  GpuProbe(const GpuProbe&) = delete;
  GpuProbe& operator=(const GpuProbe&) = delete;
  virtual ~GpuProbe() = default;
  // "nvidia", "amd" or "intel".
  [[nodiscard]] virtual std::string_view vendor() const = 0;
  // Asks the library. Only called when a device of the vendor is there with a driver bound. Errors: whatever kept it from
  // answering; what it would have told is then unknown, and said to be.
  [[nodiscard]] virtual Result<GpuAnswer> ask() = 0;
};

}  // namespace cloudos::facts
