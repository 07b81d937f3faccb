// Texts of sysfs, from which the GPUs of the kernel's own drivers are read: the input is the texts of all files, with NULs
// between. What a driver writes there never crashes the reader, and never becomes a path.
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "agent/devices/vendors.hpp"
#include "agent/drm/drm.hpp"

using namespace cloudos;
namespace fs = std::filesystem;

namespace {

constexpr auto gpu = "bus/pci/devices/0000:c1:00.0";
// The files that are read; the input fills them in this order.
constexpr const char* files[] = {
    "class/drm/renderD128/device/vendor",
    "class/drm/renderD128/device/uevent",
    "class/drm/renderD128/device/numa_node",
    "class/kfd/kfd/topology/nodes/1/properties",
    "bus/pci/devices/0000:c1:00.0/vendor",
    "bus/pci/devices/0000:c1:00.0/class",
    "bus/pci/devices/0000:c1:00.0/device",
    "bus/pci/devices/0000:c1:00.0/power/runtime_status",
    "bus/pci/devices/0000:c1:00.0/gpu_busy_percent",
    "bus/pci/devices/0000:c1:00.0/mem_info_vram_total",
    "bus/pci/devices/0000:c1:00.0/mem_info_vram_used",
    "bus/pci/devices/0000:c1:00.0/hwmon/hwmon0/temp1_input",
    "bus/pci/devices/0000:c1:00.0/hwmon/hwmon0/power1_average",
    "bus/pci/devices/0000:c1:00.0/ras/umc_err_count",
    "bus/pci/devices/0000:c1:00.0/config",
};

// Made once; each input writes all files anew.
const fs::path& folder() {
  static const fs::path made = [] {
    const auto path = fs::temp_directory_path() / ("cloudos-fuzz-sysfs-" + std::to_string(::getpid()));
    for (const auto* file : files) fs::create_directories((path / file).parent_path());
    return path;
  }();
  return made;
}

void write(std::string_view input) {
  for (const auto* file : files) {
    const auto text = input.substr(0, input.find('\0'));
    std::ofstream(folder() / file, std::ios::trunc) << text;
    input.remove_prefix(std::min(text.size() + 1, input.size()));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  write(std::string_view(reinterpret_cast<const char*>(data), size));
  const devices::Options options{.devfs = folder(), .sysfs = folder(), .procfs = folder()};
  const auto gpus = devices::drm_gpus(options);
  for (const auto& found : gpus) static_cast<void>(devices::look_at(found, options));
  for (const auto* vendor : {devices::amd, devices::intel})
    for (const auto& resource : devices::offer_drm(vendor, gpus, options).resources)
      for (const auto& unit : resource.units)
        if (unit.id.empty() || unit.id.contains('/')) std::abort();
  static_cast<void>(devices::has_nvidia(options));
  static_cast<void>(drm::read(folder() / gpu));
  return 0;
}
