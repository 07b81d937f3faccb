// NVIDIA: names, ids and the variable are those of NVIDIA's k8s-device-plugin; what goes into a container is what
// `nvidia-ctk cdi generate` lists (NVIDIA Container Toolkit documentation, "Support for Container Device Interface").
#include <algorithm>
#include <array>
#include <format>
#include <map>
#include <set>

#include "agent/devices/vendors.hpp"
#include "core/base/text.hpp"

namespace cloudos::devices {
namespace {

namespace fs = std::filesystem;

constexpr auto gpu_resource = "nvidia.com/gpu";
// Nodes of the driver as a whole.
constexpr std::array common_nodes = {"nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset"};
// The parts of the driver that run in the program's process: compute, video and management. Graphics is not offered.
constexpr std::array libraries = {
    "libcuda",          "libcudadebugger",           "libnvidia-ml",      "libnvidia-cfg",         "libnvidia-ptxjitcompiler",
    "libnvidia-nvvm",   "libnvidia-nvvm70",          "libnvidia-gpucomp", "libnvidia-opencl",      "libnvidia-allocator",
    "libnvidia-pkcs11", "libnvidia-pkcs11-openssl3", "libnvidia-encode",  "libnvidia-opticalflow", "libnvcuvid"};
constexpr std::array programs = {"nvidia-smi", "nvidia-debugdump", "nvidia-cuda-mps-control", "nvidia-cuda-mps-server"};
// The folders that an image's own loader searches after its cache, on Debian's kin and on Red Hat's (ld.so(8)): libraries
// found there need no ldconfig in the container, and so no hook.
constexpr std::array container_folders = {
#if defined(__aarch64__)
    "/usr/lib/aarch64-linux-gnu",
#else
    "/usr/lib/x86_64-linux-gnu",
#endif
    "/usr/lib64"};

bool is_driver_library(std::string_view file) {
  const auto dot = file.find(".so.");
  return dot != std::string_view::npos && std::ranges::contains(libraries, file.substr(0, dot));
}

void add_libraries(const fs::path& folder, Edits& all) {
  std::error_code none;
  for (const auto& name : names_in(folder)) {
    if (!is_driver_library(name)) continue;
    // Under each of its names, soname and full version: the parts of the driver look for one another by either.
    const auto file = fs::canonical(folder / name, none);
    if (none || !fs::is_regular_file(file, none)) continue;
    for (const auto* there : container_folders) all.mounts.emplace_back(file.string(), std::string(there) + "/" + name);
  }
}

// The driver's programs lie in the same tree as its libraries, which may be a container's (/run/nvidia/driver).
void add_programs(const fs::path& folder, Edits& all) {
  const auto text = folder.string();
  const auto at = text.find("/usr/lib");
  const auto root = at == std::string::npos ? std::string() : text.substr(0, at);
  std::error_code none;
  for (const auto* name : programs)
    if (const auto file = fs::path(root + "/usr/bin") / name; at != std::string::npos && fs::is_regular_file(file, none))
      all.mounts.emplace_back(file.string(), std::string("/usr/bin/") + name);
  for (const auto* socket : {"/run/nvidia-persistenced/socket", "/run/nvidia-fabricmanager/socket"})
    if (at != std::string::npos && fs::is_socket(socket, none)) all.mounts.emplace_back(socket, socket);
}

Edits nodes_of(const nvml::Gpu& gpu, const Options& options) {
  Edits out;
  out.nodes.push_back(std::format("nvidia{}", gpu.minor));
  for (const auto& name : names_in(options.sysfs / "bus/pci/devices" / gpu.pci_bus / "drm"))
    if (fs::exists(options.devfs / "dri" / name)) out.nodes.push_back("dri/" + name);
  return out;
}

// A MIG instance is opened through capability nodes, whose minors the driver tells under /proc (MIG user guide, "Device Nodes
// and Capabilities").
Edits nodes_of(const nvml::Gpu& gpu, const nvml::MigInstance& instance, const Options& options) {
  auto out = nodes_of(gpu, options);
  const auto gpu_folder = options.procfs / std::format("driver/nvidia/capabilities/gpu{}/mig/gi{}", gpu.minor, instance.gpu_instance);
  for (const auto& file : {gpu_folder / "access", gpu_folder / std::format("ci{}", instance.compute_instance) / "access"})
    for (const auto& line : split(text_of(file), '\n'))
      if (line.starts_with("DeviceFileMinor:"))
        out.nodes.push_back(std::format("nvidia-caps/nvidia-cap{}", trim(std::string_view(line).substr(line.find(':') + 1))));
  return out;
}

// GPUs that NVLinks connect, directly or through others, by UUID. "" for those without links.
std::map<std::string, std::string> islands(const std::vector<nvml::Gpu>& gpus) {
  // Everything that is linked, by a name that stands for its island: GPUs by bus, and the fabric of switches.
  std::map<std::string, std::string> name;
  for (const auto& gpu : gpus) {
    if (gpu.linked.empty()) continue;
    auto merged = gpu.linked;
    merged.push_back(gpu.pci_bus);
    std::set<std::string> old;
    for (const auto& member : merged) old.insert(name.contains(member) ? name[member] : member);
    for (auto& [member, island] : name)
      if (old.contains(island)) island = *old.begin();
    for (const auto& member : merged) name[member] = *old.begin();
  }
  std::map<std::string, std::string> out;
  for (const auto& gpu : gpus) out[gpu.uuid] = name.contains(gpu.pci_bus) ? name[gpu.pci_bus] : std::string();
  return out;
}

class Offer {
 public:
  Offer(const nvml::Inventory& inventory, const Options& options)
      : inventory_(inventory), options_(options), islands_(islands(inventory.gpus)) {
    vendor_.spec.kind = "cloudos.local/nvidia";
  }

  Vendor make(const fs::path& folder) && {
    const bool uniform = instances_are_alike();
    if (options_.mig == MigStrategy::single && !uniform)
      vendor_.remarks.emplace_back(
          "the GPUs are not divided alike, so MIG strategy \"single\" cannot say what a nvidia.com/gpu is; their instances are not "
          "offered");
    for (const auto& gpu : inventory_.gpus) {
      if (options_.mig == MigStrategy::none || !gpu.mig_enabled) add(gpu);
      else if (options_.mig == MigStrategy::mixed || uniform) add_instances(gpu);
    }
    // A node without a GPU to give still says so: the number goes to 0 instead of staying as it was.
    static_cast<void>(resource(gpu_resource));
    add_all(folder);
    share(vendor_, options_);
    return std::move(vendor_);
  }

 private:
  [[nodiscard]] bool instances_are_alike() const {
    std::set<std::string> profiles;
    for (const auto& gpu : inventory_.gpus) {
      if (!gpu.mig_enabled || gpu.instances.empty()) profiles.insert("");
      for (const auto& instance : gpu.instances) profiles.insert(instance.profile);
    }
    return profiles.size() == 1 && !profiles.contains("");
  }

  Resource& resource(const std::string& name) {
    for (auto& r : vendor_.resources)
      if (r.name == name) return r;
    const auto suffix = name == gpu_resource ? std::string() : name.substr(name.find('/') + 1) + "-";
    return vendor_.resources.emplace_back(Resource{.name = name,
                                                   .socket = std::format("cloudos-{}nvidia.sock", suffix),
                                                   .kind = vendor_.spec.kind,
                                                   .variable = "NVIDIA_VISIBLE_DEVICES"});
  }

  [[nodiscard]] Unit unit(const nvml::Gpu& gpu, const std::string& uuid) const {
    return {.id = uuid,
            .card = gpu.uuid,
            .device = uuid,
            .numa = os::numa_node_of(options_.sysfs / "bus/pci/devices" / gpu.pci_bus),
            .island = islands_.at(gpu.uuid)};
  }
  void add(const nvml::Gpu& gpu) {
    resource(gpu_resource).units.push_back(unit(gpu, gpu.uuid));
    vendor_.spec.devices.emplace_back(gpu.uuid, nodes_of(gpu, options_));
  }
  void add_instances(const nvml::Gpu& gpu) {
    for (const auto& instance : gpu.instances) {
      const auto name = options_.mig == MigStrategy::single ? gpu_resource : "nvidia.com/mig-" + instance.profile;
      resource(name).units.push_back(unit(gpu, instance.uuid));
      vendor_.spec.devices.emplace_back(instance.uuid, nodes_of(gpu, instance, options_));
    }
  }
  void add_all(const fs::path& folder) {
    for (const auto* node : common_nodes)
      if (fs::exists(options_.devfs / node)) vendor_.spec.all.nodes.emplace_back(node);
    add_libraries(folder, vendor_.spec.all);
    add_programs(folder, vendor_.spec.all);
  }

  const nvml::Inventory& inventory_;
  const Options& options_;
  std::map<std::string, std::string> islands_;
  Vendor vendor_;
};

}  // namespace

Vendor offer_nvidia(const nvml::Inventory& inventory, const fs::path& folder, const Options& options) {
  return Offer(inventory, options).make(folder);
}

bool has_nvidia(const Options& options) {
  const auto devices = options.sysfs / "bus/pci/devices";
  return std::ranges::any_of(names_in(devices), [&](const std::string& name) {
    // Display controllers (class 03): a card has audio and USB functions, too.
    return text_of(devices / name / "vendor") == "0x10de" && text_of(devices / name / "class").starts_with("0x03");
  });
}

std::vector<std::string> missing_nodes(const nvml::Gpu& gpu, const Options& options) {
  std::vector<std::string> out;
  for (const auto& node : {std::format("nvidia{}", gpu.minor), std::string("nvidiactl")})
    if (!fs::exists(options.devfs / node)) out.push_back("/dev/" + node);
  return out;
}

}  // namespace cloudos::devices
