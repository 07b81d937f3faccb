// AMD and Intel: the kernel's own drivers tell all there is to know (Documentation/ABI/testing/sysfs-class-drm, -bus-pci).
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <format>
#include <map>

#include "agent/devices/vendors.hpp"
#include "core/base/text.hpp"
#include "core/os/file/file.hpp"

namespace cloudos::devices {
namespace {

namespace fs = std::filesystem;

std::string vendor_of(const std::string& id) {
  if (id == "0x1002") return amd;
  if (id == "0x8086") return intel;
  return {};
}

// The GPUs on one Infinity Fabric, by the minor of their render nodes: the kernel's name of their hive
// (/sys/class/kfd/kfd/topology/nodes/N/properties: "drm_render_minor 128", "hive_id 0x…").
std::map<std::string, std::string> hives(const Options& options) {
  std::map<std::string, std::string> out;
  const auto nodes = options.sysfs / "class/kfd/kfd/topology/nodes";
  for (const auto& node : names_in(nodes)) {
    std::string minor;
    std::string hive;
    for (const auto& line : split(text_of(nodes / node / "properties"), '\n')) {
      if (line.starts_with("drm_render_minor ")) minor = line.substr(line.find(' ') + 1);
      if (line.starts_with("hive_id ")) hive = line.substr(line.find(' ') + 1);
    }
    if (!minor.empty() && minor != "0" && !hive.empty() && hive != "0") out["renderD" + minor] = "hive " + hive;
  }
  return out;
}

std::string resource_of(const DrmGpu& gpu) { return gpu.vendor == amd ? "amd.com/gpu" : "gpu.intel.com/" + gpu.driver; }

}  // namespace

std::string assignment(std::string_view text, std::string_view key) {
  for (const auto& line : split(text, '\n'))
    if (line.size() > key.size() && line.starts_with(key) && line[key.size()] == '=') return line.substr(key.size() + 1);
  return {};
}

std::vector<DrmGpu> drm_gpus(const Options& options) {
  std::vector<DrmGpu> out;
  const auto fabric = hives(options);
  for (const auto& render : names_in(options.sysfs / "class/drm")) {
    if (!render.starts_with("renderD")) continue;
    const auto folder = options.sysfs / "class/drm" / render / "device";
    const auto uevent = text_of(folder / "uevent");
    DrmGpu gpu{.vendor = vendor_of(text_of(folder / "vendor")),
               .bus = assignment(uevent, "PCI_SLOT_NAME"),
               .driver = assignment(uevent, "DRIVER"),
               .render = render,
               .card = {},
               .numa = os::numa_node_of(folder)};
    const bool offered =
        (gpu.vendor == amd && gpu.driver == "amdgpu") || (gpu.vendor == intel && (gpu.driver == "i915" || gpu.driver == "xe"));
    // The bus becomes a part of paths and a CDI device's name.
    if (!offered || gpu.bus.empty() || gpu.bus.find_first_not_of("0123456789abcdef:.") != std::string::npos) continue;
    for (const auto& name : names_in(folder / "drm"))
      if (name.starts_with("card")) gpu.card = name;
    if (const auto hive = fabric.find(render); hive != fabric.end()) gpu.island = hive->second;
    out.push_back(std::move(gpu));
  }
  return out;
}

Vendor offer_drm(const std::string& vendor, const std::vector<DrmGpu>& gpus, const Options& options) {
  Vendor out;
  out.spec.kind = "cloudos.local/" + vendor;
  if (vendor == amd && fs::exists(options.devfs / "kfd")) out.spec.all.nodes.emplace_back("kfd");
  for (const auto& gpu : gpus) {
    if (gpu.vendor != vendor) continue;
    auto at = std::ranges::find(out.resources, resource_of(gpu), &Resource::name);
    if (at == out.resources.end()) {
      const auto socket = std::format("cloudos-{}.sock", vendor == amd ? vendor : vendor + "-" + gpu.driver);
      at = out.resources.insert(at, Resource{.name = resource_of(gpu), .socket = socket, .kind = out.spec.kind});
    }
    at->units.push_back({.id = gpu.bus, .card = gpu.bus, .device = gpu.bus, .numa = gpu.numa, .island = gpu.island});
    Edits edits;
    for (const auto& node : {gpu.card, gpu.render})
      if (!node.empty() && fs::exists(options.devfs / "dri" / node)) edits.nodes.push_back("dri/" + node);
    out.spec.devices.emplace_back(gpu.bus, std::move(edits));
  }
  share(out, options);
  return out;
}

Seen look_at(const DrmGpu& gpu, const Options& options) {
  if (!fs::exists(options.devfs / "dri" / gpu.render)) return {.problem = "/dev/dri/" + gpu.render + " is not there"};
  if (gpu.vendor == amd && !fs::exists(options.devfs / "kfd")) return {.problem = "/dev/kfd is not there"};
  const auto folder = options.sysfs / "bus/pci/devices" / gpu.bus;
  // Reading a sleeping device's registers would wake it, again and again.
  if (text_of(folder / "power/runtime_status") == "suspended") return {};
  // A device that no longer answers on the bus reads as all ones (PCI Express Base Specification, unsupported request).
  const auto config = os::open(folder / "config", O_RDONLY);
  std::array<unsigned char, 2> id{};
  if (config && ::pread(config->get(), id.data(), id.size(), 0) == 2 && id[0] == 0xff && id[1] == 0xff)
    return {.problem = "the GPU has fallen off the bus", .sure = true, .remedy = xid::Remedy::restart};
  return {};
}

}  // namespace cloudos::devices
