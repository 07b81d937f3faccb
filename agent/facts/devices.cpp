#include <algorithm>
#include <format>

#include "agent/facts/gpu_models.hpp"
#include "agent/facts/look.hpp"
#include "agent/facts/parse_devices.hpp"
#include "core/base/text.hpp"

namespace cloudos::facts {

namespace fs = std::filesystem;

namespace {

using GpuDevice = model::HostFacts::GpuDevice;
using PciFunction = model::HostFacts::PciFunction;

std::string hex_of(const fs::path& file) {
  const auto text = text_of(file);
  return text.starts_with("0x") ? text.substr(2) : text;
}

// The classes that workloads are placed by, as HostFacts::pci says.
bool worth_telling(std::string_view pci_class) {
  return pci_class.starts_with("02") || pci_class.starts_with("03") || pci_class.starts_with("0b40") || pci_class.starts_with("12");
}

std::optional<PciFunction> function_of(const fs::path& folder) {
  const auto pci_class = hex_of(folder / "class");
  if (!worth_telling(pci_class)) return std::nullopt;
  return PciFunction{.address = folder.filename(),
                     .pci_class = pci_class,
                     .vendor = hex_of(folder / "vendor"),
                     .device = hex_of(folder / "device"),
                     .subsystem_vendor = hex_of(folder / "subsystem_vendor"),
                     .subsystem_device = hex_of(folder / "subsystem_device"),
                     .driver = link_name(folder / "driver"),
                     .numa_node = numa_node_of(folder).value_or(-1),
                     .sriov_capable = static_cast<int>(parse_number(text_of(folder / "sriov_totalvfs"), 0, 65535).value_or(0))};
}

// --- what the vendors' kernel drivers tell ---

void ask_nvidia(const Roots& roots, GpuDevice& gpu) {
  const auto driver = roots.procfs / "driver/nvidia";
  auto information = parse_nvidia_information(text_of(driver / "gpus" / gpu.address / "information"));
  if (!information.model.empty()) gpu.model = std::move(information.model);
  gpu.uuid = std::move(information.uuid);
  if (information.minor < 0) return;
  gpu.device_nodes.push_back(std::format("/dev/nvidia{}", information.minor));
  // Each compute instance is a device of its own (MIG user guide, "Device nodes and capabilities").
  const auto mig = driver / "capabilities" / std::format("gpu{}", information.minor) / "mig";
  for (const auto& instance : names_in(mig)) {
    if (!instance.starts_with("gi")) continue;
    for (const auto& compute : names_in(mig / instance)) {
      if (compute.starts_with("ci")) gpu.mig.emplace_back();
    }
  }
  gpu.mig_enabled = !gpu.mig.empty();
}

void ask_amd(const fs::path& folder, GpuDevice& gpu) {
  // Documentation/gpu/amdgpu/driver-misc.rst.
  gpu.memory = Bytes{parse_number(text_of(folder / "mem_info_vram_total"), 0, 1ULL << 50U).value_or(0)};
  if (auto name = text_of(folder / "product_name"); !name.empty()) gpu.model = std::move(name);
  gpu.uuid = text_of(folder / "unique_id");
  gpu.partition = text_of(folder / "current_compute_partition");
}

void ask_intel(const fs::path& folder, GpuDevice& gpu) {
  for (const auto& name : names_in(folder / "drm")) {
    // Only cards with memory of their own have it.
    const auto size = parse_number(text_of(folder / "drm" / name / "lmem_total_bytes"), 0, 1ULL << 50U);
    if (size) gpu.memory = Bytes{*size};
  }
}

GpuDevice device_of(const Roots& roots, const PciFunction& function, std::string_view vendor) {
  GpuDevice gpu{.address = function.address,
                .vendor = std::string(vendor),
                .pci_class = function.pci_class,
                .device = function.vendor + ":" + function.device,
                .model = {},
                .driver = function.driver,
                .numa_node = function.numa_node};
  if (const auto* known = gpu_model(gpu.device)) {
    gpu.model = known->name;
    gpu.architecture = known->architecture;
    gpu.compute_major = known->compute_major;
    gpu.compute_minor = known->compute_minor;
    gpu.mig_capable = known->mig_capable;
  }
  const auto folder = roots.sysfs / "bus/pci/devices" / function.address;
  if (gpu.driver == "nvidia") ask_nvidia(roots, gpu);
  if (gpu.driver == "amdgpu") ask_amd(folder, gpu);
  if (gpu.driver == "i915" || gpu.driver == "xe") ask_intel(folder, gpu);
  for (const auto& name : names_in(folder / "drm")) {
    if (name.starts_with("card") || name.starts_with("renderD")) gpu.device_nodes.push_back("/dev/dri/" + name);
  }
  return gpu;
}

// AMD's topology: a node for each CPU socket and for each partition of a GPU (include/uapi/linux/kfd_sysfs.h).
void look_at_kfd(const Roots& roots, model::HostFacts& facts) {
  const auto folder = roots.sysfs / "class/kfd/kfd/topology/nodes";
  std::map<std::uint64_t, std::string> places;  // node number -> PCI address
  for (const auto& name : names_in(folder)) {
    auto properties = parse_properties(text_of(folder / name / "properties"));
    const auto number = parse_number(name, 0, 1U << 16U);
    if (!number || properties["simd_count"] == 0) continue;
    const auto& address = places[*number] = kfd_address(properties["domain"], properties["location_id"]);
    const auto gpu = std::ranges::find(facts.gpu_devices, address, &GpuDevice::address);
    if (gpu == facts.gpu_devices.end()) continue;
    const auto simds = std::min<std::uint64_t>(properties["simd_count"], 1U << 20U);
    const auto each = std::max<std::uint64_t>(properties["simd_per_cu"], 1);
    gpu->simds += static_cast<int>(simds);
    gpu->compute_units += static_cast<int>(simds / each);
    if (auto architecture = gfx_name(properties["gfx_target_version"]); !architecture.empty()) gpu->architecture = std::move(architecture);
  }
  constexpr std::uint64_t xgmi = 11;  // HSA_IOLINKTYPE_XGMI
  for (const auto& [number, address] : places) {
    const auto gpu = std::ranges::find(facts.gpu_devices, address, &GpuDevice::address);
    if (gpu == facts.gpu_devices.end()) continue;
    const auto links = folder / std::to_string(number) / "io_links";
    for (const auto& name : names_in(links)) {
      auto link = parse_properties(text_of(links / name / "properties"));
      const auto peer = places.find(link["node_to"]);
      if (link["type"] != xgmi || peer == places.end() || peer->second == address) continue;
      if (!std::ranges::contains(gpu->links, peer->second)) gpu->links.push_back(peer->second);
    }
    std::ranges::sort(gpu->links);
  }
}

void look_at_drivers(const Roots& roots, model::HostFacts& facts) {
  for (const auto& gpu : facts.gpu_devices) {
    if (gpu.driver.empty() || gpu.driver == "vfio-pci" || gpu.driver == "nouveau") continue;
    auto& driver = facts.gpu_drivers[gpu.vendor];
    driver.version = text_of(roots.sysfs / "module" / gpu.driver / "version");
    if (gpu.vendor == "nvidia" && driver.version.empty())
      driver.version = parse_nvidia_version(text_of(roots.procfs / "driver/nvidia/version"));
  }
}

// --- what a driver's library adds ---

template <class T>
void take(T& known, T told) {
  if (told != T{}) known = std::move(told);
}

void merge(GpuDevice& known, GpuDevice told) {
  take(known.model, std::move(told.model));
  take(known.uuid, std::move(told.uuid));
  take(known.memory, told.memory);
  take(known.architecture, std::move(told.architecture));
  if (told.compute_major > 0) {
    known.compute_major = told.compute_major;
    known.compute_minor = told.compute_minor;
    if (known.vendor == "nvidia" && told.architecture.empty()) known.architecture = nvidia_family(told.compute_major, told.compute_minor);
  }
  // The library knows these for certain, also when they are false.
  known.mig_capable = told.mig_capable;
  known.mig_enabled = told.mig_enabled;
  known.mig = std::move(told.mig);
  for (auto& link : told.links) link = pci_address(link);
  if (!told.links.empty()) known.links = std::move(told.links);
  for (auto& node : told.device_nodes) {
    if (!std::ranges::contains(known.device_nodes, node)) known.device_nodes.push_back(std::move(node));
  }
}

}  // namespace

void look_at_devices(const Roots& roots, model::HostFacts& facts) {
  const auto folder = roots.sysfs / "bus/pci/devices";
  if (!fs::exists(roots.sysfs / "bus")) facts.unknown["pci"] = (roots.sysfs / "bus").string() + " is not there";
  for (const auto& address : names_in(folder)) {
    auto function = function_of(folder / address);
    if (!function) continue;
    auto gpu = gpu_of(function->pci_class, function->vendor, function->device, function->driver);
    facts.pci.push_back(*function);
    if (!gpu) continue;
    facts.gpu_devices.push_back(device_of(roots, *function, gpu->vendor));
    gpu->model = facts.gpu_devices.back().model;
    const auto same = std::ranges::find_if(facts.gpus, [&](const auto& g) { return g.device == gpu->device && g.driver == gpu->driver; });
    if (same == facts.gpus.end()) facts.gpus.push_back(std::move(*gpu));
    else ++same->count;
  }
  look_at_kfd(roots, facts);
  look_at_drivers(roots, facts);
}

void ask_probes(std::span<GpuProbe* const> probes, model::HostFacts& facts) {
  for (auto* const probe : probes) {
    const std::string vendor(probe->vendor());
    const auto driver = facts.gpu_drivers.find(vendor);
    if (driver == facts.gpu_drivers.end()) continue;
    auto answer = probe->ask();
    if (!answer) {
      facts.unknown["gpu_devices." + vendor] = answer.error().message;
      continue;
    }
    take(driver->second.version, std::move(answer->driver.version));
    take(driver->second.cuda_version, std::move(answer->driver.cuda_version));
    for (auto& told : answer->devices) {
      const auto known = std::ranges::find(facts.gpu_devices, pci_address(told.address), &GpuDevice::address);
      if (known != facts.gpu_devices.end()) merge(*known, std::move(told));
    }
  }
}

}  // namespace cloudos::facts
