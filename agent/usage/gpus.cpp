#include "agent/usage/gpus.hpp"

#include <algorithm>
#include <format>
#include <optional>

#include "agent/drm/drm.hpp"
#include "agent/nvml/question.hpp"
#include "core/base/text.hpp"

namespace cloudos::usage {

namespace {

using Gpu = model::Usage::Gpu;

void ask_kernel(const facts::Roots& roots, Gpu& gpu) {
  const auto reading = drm::read(roots.sysfs / "bus/pci/devices" / gpu.address);
  if (reading.busy) gpu.busy_percent = static_cast<int>(*reading.busy);
  if (reading.memory_total) gpu.memory = *reading.memory_total;
  if (reading.memory_used) gpu.memory_used = *reading.memory_used;
  if (reading.temperature) gpu.temperature = static_cast<int>(*reading.temperature);
  if (reading.power) gpu.power_mw = static_cast<std::int64_t>(*reading.power);
}

std::string trouble_of(const nvml::Reading& reading) {
  if (reading.lost) return "it has fallen off the bus";
  if (reading.error) return reading.error->message;
  if (reading.remap_failed) return "its memory has no spare rows left";
  if (reading.reset_required || (reading.recovery && *reading.recovery != nvml::Recovery::none)) return "it must be reset";
  if (reading.remap_pending) return "rows of its memory wait for a reset to be replaced";
  const auto slow = nvml::throttle_reasons(reading.throttle.value_or(0));
  return slow.empty() ? "" : std::format("slowed down: {}", join(slow, ", "));
}

void put(const nvml::Gpu& known, const nvml::Reading& reading, Gpu& gpu) {
  gpu.model = known.name;
  gpu.memory = known.memory;
  if (reading.busy) gpu.busy_percent = static_cast<int>(*reading.busy);
  if (reading.temperature) gpu.temperature = static_cast<int>(*reading.temperature);
  if (reading.power) gpu.power_mw = static_cast<std::int64_t>(*reading.power);
  if (reading.memory_used) gpu.memory_used = *reading.memory_used;
  gpu.trouble = trouble_of(reading);
}

}  // namespace

struct GpuReadings::State {
  std::vector<Gpu> gpus;
  facts::Roots roots;
  std::optional<nvml::Question> question;
  std::string refused;  // why nobody could be asked
  Deadline until;
};

GpuReadings::~GpuReadings() = default;

GpuReadings::GpuReadings(const model::HostFacts& facts, const Options& options) : state_(std::make_unique<State>()) {
  state_->roots = options.roots;
  state_->until = in(options.driver_patience);
  for (const auto& device : facts.gpu_devices)
    state_->gpus.push_back({.address = device.address,
                            .vendor = device.vendor,
                            .device = device.device,
                            .model = device.model,
                            .driver = device.driver,
                            .memory = device.memory,
                            .memory_used = {},
                            .trouble = {}});
  if (std::ranges::none_of(state_->gpus, [](const Gpu& gpu) { return gpu.driver == "nvidia"; })) return;
  auto question = nvml::Question::ask(options.nvml);
  if (question) state_->question = std::move(*question);
  else state_->refused = question.error().message;
}

void GpuReadings::tell(model::Usage& usage) {
  for (auto& gpu : state_->gpus)
    if (gpu.driver == "amdgpu" || gpu.driver == "i915" || gpu.driver == "xe") ask_kernel(state_->roots, gpu);
  if (!state_->refused.empty()) usage.unknown["gpus.nvidia"] = state_->refused;
  if (state_->question) {
    const auto answer = state_->question->wait(state_->until);
    if (!answer) usage.unknown["gpus.nvidia"] = answer.error().message;
    for (std::size_t i = 0; answer && i < answer->readings.size(); ++i) {
      const auto& known = answer->inventory.gpus[i];
      const auto gpu = std::ranges::find(state_->gpus, known.pci_bus, &Gpu::address);
      if (gpu != state_->gpus.end()) put(known, answer->readings[i], *gpu);
    }
  }
  usage.gpus = std::move(state_->gpus);
}

}  // namespace cloudos::usage
