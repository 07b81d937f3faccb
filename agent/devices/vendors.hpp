// Inside agent/devices: each vendor's GPUs, seen as what is offered and what goes into a container.
#pragma once

#include "agent/devices/devices.hpp"
#include "agent/devices/health.hpp"
#include "agent/devices/model.hpp"
#include "agent/nvml/nvml.hpp"
#include "core/os/kernel_files/kernel_files.hpp"

namespace cloudos::devices {

constexpr auto nvidia = "nvidia", amd = "amd", intel = "intel";

// `folder`: where the driver's libraries are.
[[nodiscard]] Vendor offer_nvidia(const nvml::Inventory& inventory, const std::filesystem::path& folder, const Options& options);
// Whether an NVIDIA GPU is on the PCI bus, with or without a driver.
[[nodiscard]] bool has_nvidia(const Options& options);
// The nodes below /dev that a GPU of NVIDIA's cannot do without and that are not there.
[[nodiscard]] std::vector<std::string> missing_nodes(const nvml::Gpu& gpu, const Options& options);

// A GPU of AMD's or Intel's with a driver, as /sys/class/drm shows it.
struct DrmGpu {
  std::string vendor;        // amd or intel
  std::string bus;           // "0000:c1:00.0"
  std::string driver;        // "amdgpu", "i915", "xe"
  std::string render, card;  // "renderD128", "card1"; card may be empty
  std::optional<int> numa = {};
  std::string island = {};
  bool operator==(const DrmGpu&) const = default;
};
[[nodiscard]] std::vector<DrmGpu> drm_gpus(const Options& options);
[[nodiscard]] Vendor offer_drm(const std::string& vendor, const std::vector<DrmGpu>& gpus, const Options& options);
[[nodiscard]] Seen look_at(const DrmGpu& gpu, const Options& options);

using os::names_in;
[[nodiscard]] inline std::string text_of(const std::filesystem::path& file) { return os::text_of(file, 1U << 20U); }
// Of KEY=value lines, the value; "" without one.
[[nodiscard]] std::string assignment(std::string_view text, std::string_view key);
// The resources with each unit as often as is configured, and what was asked for and is not there, in `remarks`.
void share(Vendor& vendor, const Options& options);

}  // namespace cloudos::devices
