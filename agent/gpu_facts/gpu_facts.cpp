#include "agent/gpu_facts/gpu_facts.hpp"

#include <algorithm>
#include <format>

#include "agent/nvml/question.hpp"

namespace cloudos::gpu_facts {
namespace {

using model::HostFacts;

int number(unsigned value) { return static_cast<int>(std::min(value, 1U << 30U)); }

HostFacts::MigDevice instance_of(const nvml::MigInstance& instance) {
  return {.uuid = instance.uuid,
          .profile = instance.profile,
          .memory = instance.memory,
          .multiprocessors = number(instance.multiprocessors),
          .gpu_slices = number(instance.gpu_slices),
          .compute_slices = number(instance.compute_slices),
          .copy_engines = number(instance.copy_engines),
          .decoders = number(instance.decoders),
          .encoders = number(instance.encoders),
          .jpeg_engines = number(instance.jpeg_engines),
          .ofa_engines = number(instance.ofa_engines)};
}

bool on_fabric(const nvml::Gpu& gpu) { return std::ranges::contains(gpu.linked, "fabric"); }

// The GPUs at the far ends of its links; behind switches, all others that are linked to switches.
std::vector<std::string> links_of(const nvml::Gpu& gpu, const std::vector<nvml::Gpu>& all) {
  std::vector<std::string> out;
  for (const auto& link : gpu.linked)
    if (link != "fabric") out.push_back(link);
  for (const auto& other : all)
    if (on_fabric(gpu) && on_fabric(other) && other.pci_bus != gpu.pci_bus && !std::ranges::contains(out, other.pci_bus))
      out.push_back(other.pci_bus);
  std::ranges::sort(out);
  return out;
}

HostFacts::GpuDevice device_of(const nvml::Gpu& gpu, const std::vector<nvml::Gpu>& all) {
  HostFacts::GpuDevice out;
  out.address = gpu.pci_bus;
  out.vendor = "nvidia";
  out.model = gpu.name;
  out.uuid = gpu.uuid;
  out.memory = gpu.memory;
  out.compute_major = gpu.compute_major;
  out.compute_minor = gpu.compute_minor;
  out.mig_capable = gpu.mig_capable;
  out.mig_enabled = gpu.mig_enabled;
  for (const auto& instance : gpu.instances) out.mig.push_back(instance_of(instance));
  out.links = links_of(gpu, all);
  out.device_nodes.push_back(std::format("/dev/nvidia{}", gpu.minor));
  return out;
}

}  // namespace

facts::GpuAnswer answer_of(const nvml::Inventory& inventory) {
  facts::GpuAnswer out;
  out.driver.version = inventory.driver;
  if (inventory.cuda_major > 0) out.driver.cuda_version = std::format("{}.{}", inventory.cuda_major, inventory.cuda_minor);
  for (const auto& gpu : inventory.gpus) out.devices.push_back(device_of(gpu, inventory.gpus));
  return out;
}

Result<facts::GpuAnswer> Counted::ask() {
  if (!inventory_) return fail(inventory_.error());
  return answer_of(*inventory_);
}

Result<facts::GpuAnswer> Asking::ask() {
  CLOUDOS_ASSIGN(auto question, nvml::Question::ask(library_));
  CLOUDOS_ASSIGN(const auto answer, question.wait(in(patience_)));
  return answer_of(answer.inventory);
}

}  // namespace cloudos::gpu_facts
