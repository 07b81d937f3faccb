#include <algorithm>
#include <format>
#include <vector>

#include "agent/labels/groups.hpp"
#include "core/base/text.hpp"

// The names and values of NVIDIA's GPU feature discovery (docs/gpu-feature-discovery in its device plugin's repository).

namespace cloudos::labels {

namespace {

using GpuDevice = model::HostFacts::GpuDevice;
using MigDevice = model::HostFacts::MigDevice;
using Devices = std::vector<const GpuDevice*>;

constexpr std::string_view group = "nvidia.com/";

class Gpus {
 public:
  Gpus(const model::HostFacts& facts, const Sharing& sharing, Found& found) : facts_(facts), sharing_(sharing), found_(found) {}

  void tell(const Devices& all) {
    add_driver();
    set("gpu.machine", value_of(facts_.hardware.product.empty() ? "unknown" : facts_.hardware.product));
    set("gpu.mode", mode(all));
    set("mig.capable", std::ranges::any_of(all, &GpuDevice::mig_capable) ? "true" : "false");
    if (sharing_.mig == MigStrategy::none) return add_whole(all);
    set("mig.strategy", sharing_.mig == MigStrategy::single ? "single" : "mixed");
    add_whole(all);
    if (sharing_.mig == MigStrategy::single) add_single(all);
    else add_mixed(all);
  }

 private:
  void set(const std::string& name, std::string value) { add(found_.labels, std::string(group) + name, std::move(value)); }

  void add_driver() {
    const auto& driver = facts_.gpu_drivers.at("nvidia");
    const auto version = split(driver.version, '.');
    if (version.size() == 2 || version.size() == 3) {
      set("cuda.driver-version.full", value_of(driver.version));
      set("cuda.driver-version.major", version[0]);
      set("cuda.driver-version.minor", version[1]);
      set("cuda.driver-version.revision", version.size() == 3 ? version[2] : "");
    }
    const auto cuda = split(driver.cuda_version, '.');
    if (cuda.size() != 2) return;
    set("cuda.runtime-version.full", value_of(driver.cuda_version));
    set("cuda.runtime-version.major", cuda[0]);
    set("cuda.runtime-version.minor", cuda[1]);
  }

  static std::string mode(const Devices& all) {
    const auto& first = all.front()->pci_class;
    if (!std::ranges::all_of(all, [&](const auto* gpu) { return gpu->pci_class == first; })) return "unknown";
    return first == "030000" ? "graphics" : first == "030200" ? "compute" : "unknown";
  }

  // The labels of whole GPUs say one model: that of which there are most (and of as many, the first by name).
  static Devices main_model(const Devices& all) {
    std::map<std::string, Devices> models;
    for (const auto* gpu : all) models[gpu->model].push_back(gpu);
    return std::ranges::max_element(models, {}, [](const auto& m) { return m.second.size(); })->second;
  }

  void add_base(const std::string& resource, std::size_t count, const std::string& product, bool shared) {
    const int replicas = shared ? std::max(sharing_.replicas, 1) : 0;
    set(resource + ".count", std::to_string(count));
    set(resource + ".replicas", std::to_string(replicas));
    set(resource + ".sharing-strategy", replicas > 1 ? "time-slicing" : "none");
    if (!product.empty()) set(resource + ".product", replicas > 1 ? value_of(product + "-SHARED") : product);
  }

  void add_whole(const Devices& all) {
    const auto devices = main_model(all);
    const auto& gpu = *devices.front();
    // A GPU that is cut up is not shared as a whole.
    const bool whole = std::ranges::any_of(devices, [](const auto* d) { return !d->mig_enabled; });
    add_base("gpu", devices.size(), value_of(gpu.model), whole);
    if (gpu.memory.count > 0) set("gpu.memory", std::to_string(gpu.memory.count >> 20U));
    if (gpu.compute_major == 0) return;
    set("gpu.family", value_of(gpu.architecture));
    set("gpu.compute.major", std::to_string(gpu.compute_major));
    set("gpu.compute.minor", std::to_string(gpu.compute_minor));
  }

  void add_mig(const std::string& resource, const GpuDevice& gpu, const MigDevice& mig, std::size_t count) {
    add_base(resource, count, value_of(gpu.model + "-MIG-" + value_of(mig.profile)), true);
    set(resource + ".memory", std::to_string(mig.memory.count >> 20U));
    if (mig.multiprocessors == 0) return;  // not told
    set(resource + ".multiprocessors", std::to_string(mig.multiprocessors));
    set(resource + ".slices.gi", std::to_string(mig.gpu_slices));
    set(resource + ".slices.ci", std::to_string(mig.compute_slices));
    set(resource + ".engines.copy", std::to_string(mig.copy_engines));
    set(resource + ".engines.decoder", std::to_string(mig.decoders));
    set(resource + ".engines.encoder", std::to_string(mig.encoders));
    set(resource + ".engines.jpeg", std::to_string(mig.jpeg_engines));
    set(resource + ".engines.ofa", std::to_string(mig.ofa_engines));
  }

  struct Kind {
    const GpuDevice* gpu = nullptr;
    const MigDevice* mig = nullptr;
    std::size_t count = 0;
  };
  // By profile. Empty when a profile is not known: only the driver's library tells them.
  static std::map<std::string, Kind> kinds(const Devices& all) {
    std::map<std::string, Kind> out;
    for (const auto* gpu : all) {
      for (const auto& mig : gpu->mig) {
        if (mig.profile.empty()) return {};
        auto& kind = out[mig.profile];
        if (kind.count++ == 0) kind = {.gpu = gpu, .mig = &mig, .count = 1};
      }
    }
    return out;
  }

  // "single" promises that every GPU of the node is cut into the same pieces.
  void add_single(const Devices& all) {
    if (std::ranges::none_of(all, &GpuDevice::mig_enabled)) return;
    const bool same = std::ranges::all_of(all, [](const auto* gpu) { return gpu->mig_enabled && !gpu->mig.empty(); });
    const auto found = kinds(all);
    if (same && found.size() == 1) {
      const auto& kind = found.begin()->second;
      return add_mig("gpu", *kind.gpu, *kind.mig, kind.count);
    }
    if (same && found.empty()) return profiles_unknown();
    const auto enabled = std::ranges::find_if(all, &GpuDevice::mig_enabled);
    set("gpu.product", value_of((*enabled)->model + "-MIG-INVALID"));
    for (const auto* name : {"gpu.count", "gpu.replicas", "gpu.memory"}) set(name, "0");
  }

  void add_mixed(const Devices& all) {
    const auto found = kinds(all);
    if (found.empty() && std::ranges::any_of(all, [](const auto* gpu) { return !gpu->mig.empty(); })) return profiles_unknown();
    for (const auto& [profile, kind] : found) {
      auto name = profile;
      std::ranges::replace(name, '+', '.');  // "1g.10gb+me" is asked for as nvidia.com/mig-1g.10gb.me
      add_mig("mig-" + name, *kind.gpu, *kind.mig, kind.count);
    }
  }

  void profiles_unknown() {
    for (const auto* name : {"gpu.product", "gpu.count", "gpu.replicas", "gpu.memory", "gpu.sharing-strategy"})
      found_.labels.erase(std::string(group) + name);
    found_.unknown.insert("nvidia.com/gpu.");
    found_.unknown.insert("nvidia.com/mig-");
  }

  const model::HostFacts& facts_;
  const Sharing& sharing_;
  Found& found_;
};

}  // namespace

void add_nvidia(const model::HostFacts& facts, const Sharing& sharing, Found& found) {
  // Without a view of the bus, or of the driver that is there, nothing is known to be gone.
  if (facts.unknown.contains("pci") || facts.unknown.contains("gpu_devices.nvidia")) found.unknown.insert(std::string(group));
  Devices all, ready;
  for (const auto& gpu : facts.gpu_devices) {
    if (gpu.vendor != "nvidia") continue;
    all.push_back(&gpu);
    if (gpu.driver == "nvidia") ready.push_back(&gpu);
  }
  if (all.empty()) return;
  // The card is there whether or not a driver is; all else would promise that it can be used.
  add(found.labels, "nvidia.com/gpu.present", "true");
  if (!ready.empty() && facts.gpu_drivers.contains("nvidia")) Gpus(facts, sharing, found).tell(ready);
}

}  // namespace cloudos::labels
