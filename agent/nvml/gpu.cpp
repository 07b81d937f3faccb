#include <algorithm>
#include <cctype>
#include <cstring>
#include <format>
#include <set>

#include "agent/nvml/state.hpp"

namespace cloudos::nvml {
namespace {

// It is kubelet's name of a device, of 63 characters at most with what sharing adds, and a CDI device's name. MIG instances of
// drivers before 470 have others, with slashes; those are not offered.
bool is_uuid(std::string_view text) {
  return !text.empty() && text.size() <= 59 && std::ranges::all_of(text, [](unsigned char c) { return std::isalnum(c) != 0 || c == '-'; });
}
// It becomes a part of paths.
bool is_bus(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789abcdef:.") == std::string_view::npos && text != "." && text != "..";
}

// The value that an optional function gives for a device, if it has it and gives one.
template <class T, class F, class... A>
std::optional<T> ask(F function, api::Device device, A... arguments) {
  T value{};
  if (function == nullptr || function(device, arguments..., &value) != api::success) return std::nullopt;
  return value;
}

// As nvidia-smi and NVIDIA's device plugin name them (MIG user guide, "MIG Device Names"): compute slices where they are less
// than the GPU instance's, GPU slices, and memory as eighths of the GPU's, in GB. "+me" and the like are not told here.
std::string profile_of(const api::Attributes& a, Bytes whole) {
  const auto gigabytes = (whole.count + (1U << 30U) - 1) >> 30U;
  const auto eighths = whole.count == 0 ? 0 : ((a.memory_mib << 20U) * 8 + whole.count - 1) / whole.count;
  const auto compute = a.compute_slices != a.gpu_slices ? std::format("{}c.", a.compute_slices) : std::string();
  return std::format("{}{}g.{}gb", compute, a.gpu_slices, (gigabytes * eighths + 4) / 8);
}

std::optional<MigInstance> look_at_instance(const Functions& call, api::Device device, Bytes whole) {
  auto uuid = text_from("MIG UUID", call.uuid, device);
  const auto attributes = ask<api::Attributes>(call.attributes, device);
  const auto gpu_instance = ask<unsigned>(call.gpu_instance, device);
  const auto compute_instance = ask<unsigned>(call.compute_instance, device);
  if (!uuid || !is_uuid(*uuid) || !attributes || !gpu_instance || !compute_instance) return std::nullopt;
  return MigInstance{.uuid = std::move(*uuid),
                     .profile = profile_of(*attributes, whole),
                     .gpu_instance = *gpu_instance,
                     .compute_instance = *compute_instance,
                     .memory = {attributes->memory_mib << 20U},
                     .multiprocessors = attributes->multiprocessors,
                     .gpu_slices = attributes->gpu_slices,
                     .compute_slices = attributes->compute_slices,
                     .copy_engines = attributes->copy_engines,
                     .decoders = attributes->decoders,
                     .encoders = attributes->encoders,
                     .jpeg_engines = attributes->jpeg,
                     .ofa_engines = attributes->ofa};
}

void look_at_mig(const Functions& call, api::Device device, Gpu& gpu) {
  unsigned now = 0;
  unsigned pending = 0;
  if (call.mig_mode == nullptr || call.mig_mode(device, &now, &pending) != api::success) return;
  gpu.mig_capable = true;
  gpu.mig_enabled = now == 1;
  const auto most = gpu.mig_enabled ? ask<unsigned>(call.mig_count, device).value_or(0) : 0;
  for (unsigned i = 0; i < std::min(most, 64U); ++i) {
    const auto handle = ask<api::Device>(call.mig_by_index, device, i);
    if (!handle) continue;
    if (auto instance = look_at_instance(call, *handle, gpu.memory)) gpu.instances.push_back(std::move(*instance));
  }
}

void look_at_links(const Functions& call, api::Device device, Gpu& gpu) {
  if (call.link_state == nullptr || call.link_remote == nullptr) return;
  std::set<std::string> far;
  for (unsigned link = 0; link < api::nvlinks; ++link) {
    if (ask<int>(call.link_state, device, link) != 1) continue;
    if (const auto remote = ask<api::PciInfo>(call.link_remote, device, link)) {
      // All GPUs on NVSwitches reach each other, but each switch has an address of its own: one name stands for the fabric.
      const bool fabric = ask<int>(call.link_remote_type, device, link) == api::link_to_switch;
      auto bus = sysfs_bus(std::string_view(remote->bus_id, ::strnlen(remote->bus_id, sizeof remote->bus_id)));
      if (fabric) far.insert("fabric");
      else if (is_bus(bus)) far.insert(std::move(bus));
    }
  }
  gpu.linked.assign(far.begin(), far.end());
}

std::optional<Recovery> recovery_of(const Functions& call, api::Device device) {
  api::FieldValue field{};
  field.field = api::field_recovery_action;
  if (call.fields == nullptr || call.fields(device, 1, &field) != api::success || field.status != api::success) return std::nullopt;
  if (field.value.u > static_cast<unsigned>(Recovery::drain_and_reset)) return Recovery::reset;
  return static_cast<Recovery>(field.value.u);
}

}  // namespace

std::string sysfs_bus(std::string_view bus) {
  std::string out;
  for (const char c : bus) out += static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  if (out.size() > 8 && out.starts_with("0000") && out[8] == ':') out.erase(0, 4);
  return out;
}

std::vector<std::string> throttle_reasons(std::uint64_t bits) {
  // nvml.h, nvmlClocksEventReason*. Left out: 0x1 idle, 0x2 application clocks, 0x10 sync boost, 0x100 display clocks.
  static constexpr std::pair<std::uint64_t, const char*> names[] = {{0x4, "power cap"},
                                                                    {0x8, "slowdown (hardware)"},
                                                                    {0x20, "thermal (software)"},
                                                                    {0x40, "thermal (hardware)"},
                                                                    {0x80, "power brake (hardware)"}};
  std::vector<std::string> out;
  for (const auto& [bit, name] : names)
    if ((bits & bit) != 0) out.emplace_back(name);
  return out;
}

// The hardware's slowdown may be for its power supply, too, but then its brake says so.
bool slowed_by_heat(std::uint64_t bits) { return (bits & 0x60U) != 0 || (bits & 0x88U) == 0x8U; }

Result<Inventory> inventory_from(const Functions& call, std::vector<std::pair<api::Device, std::string>>& gpus,
                                 std::vector<std::string>* skipped) {
  Inventory out;
  CLOUDOS_ASSIGN(out.driver, text_from("driver version", call.driver_version));
  int cuda = 0;
  // 12040 is 12.4 (nvml.h, NVML_CUDA_DRIVER_VERSION_MAJOR and _MINOR).
  if (call.cuda_version != nullptr && call.cuda_version(&cuda) == api::success && cuda > 0) {
    out.cuda_major = cuda / 1000;
    out.cuda_minor = cuda % 1000 / 10;
  }
  unsigned count = 0;
  if (const auto code = call.count(&count); code != api::success) return fail(error_of("count GPUs", code));
  if (count > most_gpus) return fail(ErrorKind::failed, std::format("NVML: count GPUs: it says that there are {}", count));
  for (unsigned i = 0; i < count; ++i) {
    api::Device device = nullptr;
    const auto code = call.by_index(i, &device);
    auto gpu = code == api::success ? look_at(call, device) : fail(error_of("GPU", code));
    if (!gpu) {
      if (skipped != nullptr) skipped->push_back(std::format("GPU {}: {}", i, gpu.error().message));
      continue;
    }
    gpus.emplace_back(device, gpu->uuid);
    out.gpus.push_back(std::move(*gpu));
  }
  return out;
}

Result<Gpu> look_at(const Functions& call, api::Device device) {
  Gpu gpu;
  CLOUDOS_ASSIGN(gpu.uuid, text_from("UUID", call.uuid, device));
  if (!is_uuid(gpu.uuid)) return fail(ErrorKind::failed, "NVML: UUID: it is none");
  CLOUDOS_ASSIGN(gpu.name, text_from("name", call.name, device));
  api::PciInfo pci{};
  if (const auto code = call.pci(device, &pci); code != api::success) return fail(error_of("PCI address", code));
  gpu.pci_bus = sysfs_bus(std::string_view(pci.bus_id, ::strnlen(pci.bus_id, sizeof pci.bus_id)));
  if (!is_bus(gpu.pci_bus)) return fail(ErrorKind::failed, "NVML: PCI address: it is none");
  if (const auto code = call.minor(device, &gpu.minor); code != api::success) return fail(error_of("device node", code));
  if (const auto memory = ask<api::Memory>(call.memory, device)) gpu.memory = {memory->total};
  if (call.compute_capability != nullptr && call.compute_capability(device, &gpu.compute_major, &gpu.compute_minor) != api::success)
    gpu.compute_major = gpu.compute_minor = 0;
  look_at_mig(call, device, gpu);
  look_at_links(call, device, gpu);
  return gpu;
}

Reading read_from(const Functions& call, api::Device device, const std::string& uuid) {
  Reading out{.uuid = uuid};
  // The UUID is what every GPU can tell: whether it answers at all.
  char buffer[api::text_size] = {};
  if (const auto code = call.uuid(device, buffer, sizeof buffer); code != api::success) {
    out.error = error_of(uuid, code);
    out.lost = code == api::error_gpu_is_lost;
    out.reset_required = code == api::error_reset_required;
    return out;
  }
  // The UUID may come from the library's memory; the temperature is asked of the GPU.
  unsigned temperature = 0;
  const auto code = call.temperature == nullptr ? api::error_not_supported : call.temperature(device, api::temperature_gpu, &temperature);
  out.lost = code == api::error_gpu_is_lost;
  out.reset_required = code == api::error_reset_required;
  if (out.lost || out.reset_required || code == api::error_unknown || code == api::error_timeout) {
    out.error = error_of(uuid, code);
    return out;
  }
  if (code == api::success) out.temperature = temperature;
  out.recovery = recovery_of(call, device);
  out.power = ask<unsigned>(call.power, device);
  if (const auto busy = ask<api::Utilization>(call.utilization, device)) {
    out.busy = busy->gpu;
    out.memory_busy = busy->memory;
  }
  if (const auto memory = ask<api::Memory>(call.memory, device)) {
    out.memory_used = Bytes{memory->used};
    out.memory_free = Bytes{memory->free};
  }
  out.ecc_corrected = ask<unsigned long long>(call.ecc_errors, device, api::corrected, api::since_driver_load);
  out.ecc_uncorrected = ask<unsigned long long>(call.ecc_errors, device, api::uncorrected, api::since_driver_load);
  unsigned correctable = 0;
  unsigned uncorrectable = 0;
  unsigned pending = 0;
  unsigned failed = 0;
  if (call.remapped_rows != nullptr && call.remapped_rows(device, &correctable, &uncorrectable, &pending, &failed) == api::success) {
    out.remap_pending = pending != 0;
    out.remap_failed = failed != 0;
  }
  out.throttle = ask<unsigned long long>(call.throttle, device);
  return out;
}

}  // namespace cloudos::nvml
