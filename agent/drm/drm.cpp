#include "agent/drm/drm.hpp"

#include <algorithm>
#include <string>

#include "core/base/text.hpp"
#include "core/os/kernel_files/kernel_files.hpp"

namespace cloudos::drm {
namespace {

namespace fs = std::filesystem;

using os::number_of;

std::string text_of(const fs::path& file) { return os::text_of(file, 4096); }

std::optional<Bytes> bytes_in(const fs::path& file) {
  const auto value = number_of(file);
  return value ? std::optional(Bytes{*value}) : std::nullopt;
}

// Documentation/hwmon/sysfs-interface: thousandths of a degree, millionths of a watt. Intel's first sensor is the second.
void ask_sensors(const fs::path& folder, Reading& out) {
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    for (const auto* sensor : {"temp1_input", "temp2_input"})
      if (const auto heat = number_of(it->path() / sensor); heat && !out.temperature)
        out.temperature = static_cast<unsigned>(std::min<std::uint64_t>(*heat / 1000, 1000));
    for (const auto* sensor : {"power1_average", "power1_input"})
      if (const auto power = number_of(it->path() / sensor); power && !out.power) out.power = *power / 1000;
  }
}

// Documentation/gpu/amdgpu/ras.rst: "ue: 0" and "ce: 1", of the memory controllers.
void ask_errors(const fs::path& file, Reading& out) {
  for (const auto& line : split(text_of(file), '\n')) {
    const auto colon = line.find(':');
    if (colon == std::string::npos) continue;
    const auto value = parse_number(trim(std::string_view(line).substr(colon + 1)), 0, ~0ULL);
    if (!value) continue;
    if (line.starts_with("ue:")) out.ecc_uncorrected = *value;
    if (line.starts_with("ce:")) out.ecc_corrected = *value;
  }
}

}  // namespace

Reading read(const fs::path& device) {
  Reading out;
  // Reading its registers would wake it, again and again.
  if (text_of(device / "power/runtime_status") == "suspended") return out;
  // Documentation/gpu/amdgpu/thermal.rst, and driver-misc.rst for the memory.
  if (const auto busy = number_of(device / "gpu_busy_percent")) out.busy = static_cast<unsigned>(std::min<std::uint64_t>(*busy, 100));
  out.memory_total = bytes_in(device / "mem_info_vram_total");
  out.memory_used = bytes_in(device / "mem_info_vram_used");
  ask_sensors(device / "hwmon", out);
  ask_errors(device / "ras/umc_err_count", out);
  return out;
}

}  // namespace cloudos::drm
