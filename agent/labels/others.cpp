#include <algorithm>
#include <format>

#include "agent/labels/groups.hpp"
#include "core/base/text.hpp"

namespace cloudos::labels {

namespace {

using GpuDevice = model::HostFacts::GpuDevice;

std::vector<const GpuDevice*> of_vendor(const model::HostFacts& facts, std::string_view vendor) {
  std::vector<const GpuDevice*> out;
  for (const auto& gpu : facts.gpu_devices) {
    if (gpu.vendor == vendor) out.push_back(&gpu);
  }
  return out;
}

}  // namespace

// The names of AMD's node labeller (its device plugin's repository, cmd/k8s-node-labeller). One model a node, as there.
void add_amd(const model::HostFacts& facts, Found& found) {
  if (facts.unknown.contains("pci")) found.unknown.insert("amd.com/gpu.");
  const auto all = of_vendor(facts, "amd");
  const auto gpu = std::ranges::find(all, "amdgpu", &GpuDevice::driver);
  if (gpu == all.end()) return;
  const auto set = [&](std::string_view name, std::string value) {
    if (!value.empty()) add(found.labels, std::format("amd.com/gpu.{}", name), std::move(value));
  };
  set("device-id", (*gpu)->device.substr((*gpu)->device.find(':') + 1));
  set("product-name", version_value((*gpu)->model));
  if ((*gpu)->compute_units > 0) {
    set("cu-count", std::to_string((*gpu)->compute_units));
    set("simd-count", std::to_string((*gpu)->simds));
  }
  if ((*gpu)->memory.count > 0) set("vram", std::format("{}G", (*gpu)->memory.count >> 30U));
  if (const auto driver = facts.gpu_drivers.find("amd"); driver != facts.gpu_drivers.end())
    set("driver-version", value_of(driver->second.version));
}

// The names of Intel's rules for its GPUs (its device plugins' repository, "Labels").
void add_intel(const model::HostFacts& facts, Found& found) {
  if (facts.unknown.contains("pci")) found.unknown.insert("gpu.intel.com/");
  std::map<std::string, int> counts;
  for (const auto* gpu : of_vendor(facts, "intel")) {
    ++counts[std::format("{}-{}", gpu->pci_class.substr(0, 4), gpu->device.substr(gpu->device.find(':') + 1))];
    constexpr std::string_view maker = "Intel Data Center GPU ";  // "Max 1550", "Flex 170"
    if (!gpu->model.starts_with(maker)) continue;
    const auto words = split(std::string_view(gpu->model).substr(maker.size()), ' ');
    if (words.size() != 2) continue;
    add(found.labels, "gpu.intel.com/family", words[0] + "_Series");
    add(found.labels, "gpu.intel.com/product", words[0] + "_" + words[1]);
  }
  for (const auto& [device, count] : counts) {
    add(found.labels, std::format("gpu.intel.com/device-id.{}.present", device), "true");
    add(found.labels, std::format("gpu.intel.com/device-id.{}.count", device), std::to_string(count));
  }
}

}  // namespace cloudos::labels
