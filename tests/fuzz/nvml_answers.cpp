// A driver's library that answers with whatever it likes: texts without an end, counts and attributes that cannot be, addresses
// that are none. Its functions read their answers from the input; what comes of them is bounded and whole.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "agent/devices/vendors.hpp"
#include "agent/gpu_facts/gpu_facts.hpp"
#include "agent/nvml/state.hpp"

using namespace cloudos;
namespace api = nvml::api;

namespace {

// The rest of the input. NVML's functions are plain C functions without a place for it.
std::string_view rest;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)

void take(void* out, std::size_t size) {
  const auto n = std::min(size, rest.size());
  std::memset(out, 0, size);
  std::memcpy(out, rest.data(), n);
  rest.remove_prefix(n);
}
// Mostly success, or nothing behind the first function would ever be reached.
api::Return code() {
  std::uint8_t byte = 0;
  take(&byte, 1);
  return byte < 200 ? api::success : byte - 200;
}
template <class... Out>
api::Return answer(Out*... out) {
  (take(out, sizeof *out), ...);
  return code();
}
api::Return text(char* out, unsigned size) {
  std::uint8_t length = 0;
  take(&length, 1);
  take(out, std::min<std::size_t>(size, length));
  return code();
}

nvml::Functions functions() {
  nvml::Functions f;
  f.driver_version = text;
  f.cuda_version = [](int* out) { return answer(out); };
  f.count = [](unsigned* out) { return answer(out); };
  f.by_index = [](unsigned index, api::Device* out) {
    *out = reinterpret_cast<api::Device>(std::uintptr_t{index} + 1);
    return code();
  };
  f.uuid = [](api::Device, char* out, unsigned size) { return text(out, size); };
  f.name = [](api::Device, char* out, unsigned size) { return text(out, size); };
  f.memory = [](api::Device, api::Memory* out) { return answer(out); };
  f.pci = [](api::Device, api::PciInfo* out) { return answer(out); };
  f.minor = [](api::Device, unsigned* out) { return answer(out); };
  f.compute_capability = [](api::Device, int* major, int* minor) { return answer(major, minor); };
  f.mig_mode = [](api::Device, unsigned* now, unsigned* pending) { return answer(now, pending); };
  f.mig_count = [](api::Device, unsigned* out) { return answer(out); };
  f.mig_by_index = [](api::Device, unsigned, api::Device* out) { return answer(out); };
  f.gpu_instance = [](api::Device, unsigned* out) { return answer(out); };
  f.compute_instance = [](api::Device, unsigned* out) { return answer(out); };
  f.attributes = [](api::Device, api::Attributes* out) { return answer(out); };
  f.link_state = [](api::Device, unsigned, int* out) { return answer(out); };
  f.link_remote = [](api::Device, unsigned, api::PciInfo* out) { return answer(out); };
  f.link_remote_type = [](api::Device, unsigned, int* out) { return answer(out); };
  f.ecc_errors = [](api::Device, int, int, unsigned long long* out) { return answer(out); };
  f.remapped_rows = [](api::Device, unsigned* a, unsigned* b, unsigned* c, unsigned* d) { return answer(a, b, c, d); };
  f.temperature = [](api::Device, unsigned, unsigned* out) { return answer(out); };
  f.throttle = [](api::Device, unsigned long long* out) { return answer(out); };
  f.utilization = [](api::Device, api::Utilization* out) { return answer(out); };
  f.power = [](api::Device, unsigned* out) { return answer(out); };
  f.fields = [](api::Device, int, api::FieldValue* out) { return answer(out); };
  return f;
}

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  rest = std::string_view(reinterpret_cast<const char*>(data), size);
  const auto call = functions();
  std::vector<std::pair<api::Device, std::string>> handles;
  const auto inventory = nvml::inventory_from(call, handles, nullptr);
  if (!inventory) return 0;
  require(inventory->gpus.size() == handles.size() && handles.size() <= nvml::most_gpus);
  for (const auto& gpu : inventory->gpus) {
    require(gpu.uuid.size() < api::text_size && !gpu.uuid.contains('\0'));
    // It becomes a part of paths below /sys and of names in CDI specs.
    require(!gpu.pci_bus.contains('/') && !gpu.uuid.contains('/'));
    require(gpu.instances.size() <= 64 && gpu.linked.size() <= api::nvlinks);
  }
  for (const auto& [device, uuid] : handles) {
    const auto reading = nvml::read_from(call, device, uuid);
    static_cast<void>(devices::seen_of(reading));
    static_cast<void>(nvml::throttle_reasons(reading.throttle.value_or(0)));
  }
  // What is made of it.
  static_cast<void>(gpu_facts::answer_of(*inventory));
  const devices::Options nowhere{
      .devfs = "/nonexistent", .sysfs = "/nonexistent", .procfs = "/nonexistent", .mig = devices::MigStrategy::mixed};
  const auto vendor = devices::offer_nvidia(*inventory, {}, nowhere);
  for (const auto& resource : vendor.resources)
    for (const auto& unit : resource.units) require(!unit.id.empty() && unit.id.size() <= 63);
  return 0;
}
