#include "agent/usage/gpus.hpp"

#include <algorithm>
#include <format>
#include <optional>

#include <poll.h>

#include "agent/nvml/watch.hpp"
#include "core/base/text.hpp"
#include "core/os/file/file.hpp"

namespace cloudos::usage {

namespace fs = std::filesystem;

namespace {

using Gpu = model::Usage::Gpu;

std::optional<std::uint64_t> number_in(const fs::path& file) {
  const auto text = os::read(file, 4096);
  if (!text) return std::nullopt;
  const auto value = parse_number(trim(*text), 0, ~0ULL);
  return value ? std::optional(*value) : std::nullopt;
}

// Documentation/gpu/amdgpu/thermal.rst, and driver-misc.rst for the memory.
void ask_amd(const facts::Roots& roots, Gpu& gpu) {
  const auto folder = roots.sysfs / "bus/pci/devices" / gpu.address;
  if (const auto busy = number_in(folder / "gpu_busy_percent")) gpu.busy_percent = static_cast<int>(std::min<std::uint64_t>(*busy, 100));
  if (const auto total = number_in(folder / "mem_info_vram_total")) gpu.memory = {*total};
  if (const auto used = number_in(folder / "mem_info_vram_used")) gpu.memory_used = {*used};
  std::error_code error;
  for (fs::directory_iterator it(folder / "hwmon", error), end; !error && it != end; it.increment(error)) {
    if (const auto heat = number_in(it->path() / "temp1_input")) gpu.temperature = static_cast<int>(*heat / 1000);
    if (const auto power = number_in(it->path() / "power1_average")) gpu.power_mw = static_cast<std::int64_t>(*power / 1000);
  }
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
  std::optional<nvml::Watch> watch;
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
  auto watch = nvml::Watch::start(options.nvml, {});
  if (watch) state_->watch = std::move(*watch);
  else state_->refused = watch.error().message;
}

namespace {

// The first whole answer, or why there is none.
Result<nvml::News> first_answer(nvml::Watch& watch, Deadline until) {
  nvml::News all;
  for (;;) {
    auto news = watch.take();
    if (news.missing) return fail(std::move(*news.missing));
    if (news.inventory) all.inventory = std::move(news.inventory);
    if (!news.readings.empty()) all.readings = std::move(news.readings);
    if (all.inventory && all.readings.size() == all.inventory->gpus.size()) return all;
    const auto left = std::chrono::ceil<Milliseconds>(until - std::chrono::steady_clock::now());
    if (left.count() <= 0) return fail(ErrorKind::timeout, "the driver does not answer");
    pollfd ready{.fd = watch.fd(), .events = POLLIN, .revents = 0};
    ::poll(&ready, 1, static_cast<int>(left.count()));
  }
}

}  // namespace

void GpuReadings::tell(model::Usage& usage) {
  for (auto& gpu : state_->gpus)
    if (gpu.driver == "amdgpu") ask_amd(state_->roots, gpu);
  if (!state_->refused.empty()) usage.unknown["gpus.nvidia"] = state_->refused;
  if (state_->watch) {
    const auto news = first_answer(*state_->watch, state_->until);
    if (!news) usage.unknown["gpus.nvidia"] = news.error().message;
    for (std::size_t i = 0; news && i < news->readings.size(); ++i) {
      const auto& known = news->inventory->gpus[i];
      const auto gpu = std::ranges::find(state_->gpus, known.pci_bus, &Gpu::address);
      if (gpu != state_->gpus.end()) put(known, news->readings[i], *gpu);
    }
  }
  usage.gpus = std::move(state_->gpus);
}

}  // namespace cloudos::usage
