// agent/drm: what the kernel's own GPU drivers (amdgpu, i915, xe) tell in sysfs of a GPU from moment to moment. Not here: which
// GPUs there are (agent/facts, agent/devices), NVIDIA's (agent/nvml).
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "core/base/units.hpp"

namespace cloudos::drm {

// What a driver does not tell is empty.
struct Reading {
  std::optional<unsigned> temperature;  // °C
  std::optional<std::uint64_t> power;   // mW
  std::optional<unsigned> busy;         // percent
  std::optional<Bytes> memory_total, memory_used;
  std::optional<std::uint64_t> ecc_corrected, ecc_uncorrected;  // of its memory, since the driver was loaded
  bool operator==(const Reading&) const = default;
};

// `device`: the GPU's folder, /sys/bus/pci/devices/0000:c1:00.0. One that sleeps is left asleep and tells nothing.
[[nodiscard]] Reading read(const std::filesystem::path& device);

}  // namespace cloudos::drm
