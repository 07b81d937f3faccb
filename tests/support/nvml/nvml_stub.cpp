// A libnvidia-ml.so.1 for tests: NVML's functions as the agent uses them, answered from the text file that
// CLOUDOS_NVML_STUB names. The file is read at every call, so a test changes a GPU's state by writing it anew:
//   driver 570.86.15
//   cuda 12080
//   gpu uuid=GPU-… name=NVIDIA_H100 bus=00000000:18:00.0 minor=0 memory=81559 cc=9.0 link=fabric|00000000:2A:00.0 lost=0 …
//   mig gpu=0 uuid=MIG-… gi=1 ci=0 slices=1 compute=1 memory=9856 copy=1 …   (memory in MiB)
//   xid gpu=0 number=79                                                 (each line is delivered once after nvmlInit, in order)
// An absent file is a driver that is not loaded; "hang" in it makes every call wait until the word is gone.
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <mutex>
#include <optional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "agent/nvml/api.hpp"

namespace api = cloudos::nvml::api;

namespace {

using Line = std::map<std::string, std::string>;

struct Machine {
  bool loaded = false, hangs = false;
  std::string driver;
  int cuda = 0;
  std::vector<Line> gpus, instances, xids;
};

Machine read_file() {
  Machine out;
  const char* path = std::getenv("CLOUDOS_NVML_STUB");
  std::ifstream file(path != nullptr ? path : "");
  out.loaded = file.good();
  for (std::string text; std::getline(file, text);) {
    std::istringstream words(text);
    std::string kind;
    words >> kind;
    if (kind == "hang") out.hangs = true;
    if (kind == "driver") words >> out.driver;
    if (kind == "cuda") words >> out.cuda;
    Line line;
    for (std::string word; words >> word;)
      if (const auto at = word.find('='); at != std::string::npos) line[word.substr(0, at)] = word.substr(at + 1);
    if (kind == "gpu") out.gpus.push_back(line);
    if (kind == "mig") out.instances.push_back(line);
    if (kind == "xid") out.xids.push_back(line);
  }
  return out;
}

Machine machine() {
  for (;;) {
    auto now = read_file();
    if (!now.hangs) return now;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

std::string value(const Line& line, const std::string& key, std::string otherwise = {}) {
  const auto at = line.find(key);
  return at == line.end() ? otherwise : at->second;
}
unsigned long long number(const Line& line, const std::string& key, unsigned long long otherwise = 0) {
  const auto text = value(line, key);
  return text.empty() ? otherwise : std::strtoull(text.c_str(), nullptr, 10);
}

// A handle is an address in this array: GPUs first, MIG instances from 64 on.
constexpr std::size_t most = 64;
char handles[2 * most];
api::Device handle_of(std::size_t index) { return reinterpret_cast<api::Device>(&handles[index]); }
std::size_t index_of(api::Device device) { return static_cast<std::size_t>(reinterpret_cast<char*>(device) - handles); }

// The line of a device, or why it does not answer.
api::Return find(api::Device device, Line& line) {
  const auto now = machine();
  if (!now.loaded) return api::error_driver_not_loaded;
  const auto index = index_of(device);
  const auto& from = index < most ? now.gpus : now.instances;
  if (index % most >= from.size()) return api::error_gpu_is_lost;
  line = from[index % most];
  if (number(line, "lost") != 0) return api::error_gpu_is_lost;
  if (number(line, "reset") != 0) return api::error_reset_required;
  return api::success;
}

api::Return give(const std::string& text, char* out, unsigned size) {
  if (text.size() + 1 > size) return api::error_insufficient_size;
  std::memcpy(out, text.c_str(), text.size() + 1);
  return api::success;
}

template <class T>
api::Return give_number(api::Device device, const char* key, T* out) {
  Line line;
  if (const auto code = find(device, line); code != api::success) return code;
  if (!line.contains(key)) return api::error_not_supported;
  *out = static_cast<T>(number(line, key));
  return api::success;
}

std::vector<std::string> links(const Line& line) {
  std::vector<std::string> out;
  std::istringstream text(value(line, "link"));
  for (std::string part; std::getline(text, part, '|');) out.push_back(part);
  return out;
}

std::mutex events_mutex;
std::size_t delivered = 0;

}  // namespace

extern "C" {

api::Return nvmlInit_v2() {
  const std::scoped_lock lock(events_mutex);
  delivered = 0;
  return machine().loaded ? api::success : api::error_driver_not_loaded;
}
api::Return nvmlShutdown() { return api::success; }
api::Return nvmlSystemGetDriverVersion(char* out, unsigned size) { return give(machine().driver, out, size); }
api::Return nvmlSystemGetCudaDriverVersion_v2(int* out) {
  *out = machine().cuda;
  return api::success;
}
api::Return nvmlDeviceGetCount_v2(unsigned* out) {
  const auto now = machine();
  *out = static_cast<unsigned>(now.gpus.size());
  return now.loaded ? api::success : api::error_driver_not_loaded;
}
api::Return nvmlDeviceGetHandleByIndex_v2(unsigned index, api::Device* out) {
  if (index >= machine().gpus.size()) return api::error_invalid_argument;
  *out = handle_of(index);
  return api::success;
}
api::Return nvmlDeviceGetUUID(api::Device device, char* out, unsigned size) {
  // As the real one: told from memory, for a GPU that is lost, too.
  Line line;
  const auto code = find(device, line);
  return code == api::success || !line.empty() ? give(value(line, "uuid"), out, size) : code;
}
api::Return nvmlDeviceGetName(api::Device device, char* out, unsigned size) {
  Line line;
  const auto code = find(device, line);
  if (line.empty()) return code;
  auto name = value(line, "name");
  for (auto& c : name)
    if (c == '_') c = ' ';
  return give(name, out, size);
}
api::Return nvmlDeviceGetMemoryInfo(api::Device device, api::Memory* out) {
  Line line;
  const auto code = find(device, line);
  const auto total = number(line, "memory") << 20U;
  const auto used = number(line, "used") << 20U;
  *out = {.total = total, .free = total - used, .used = used};
  return code;
}
api::Return nvmlDeviceGetPciInfo_v3(api::Device device, api::PciInfo* out) {
  Line line;
  const auto code = find(device, line);
  *out = {};
  return line.empty() ? code : give(value(line, "bus"), out->bus_id, sizeof out->bus_id);
}
api::Return nvmlDeviceGetMinorNumber(api::Device device, unsigned* out) {
  Line line;
  const auto code = find(device, line);
  *out = static_cast<unsigned>(number(line, "minor"));
  return line.empty() ? code : api::success;
}
api::Return nvmlDeviceGetCudaComputeCapability(api::Device device, int* major, int* minor) {
  Line line;
  const auto code = find(device, line);
  const auto text = value(line, "cc", "9.0");
  *major = std::atoi(text.c_str());
  *minor = std::atoi(text.substr(text.find('.') + 1).c_str());
  return code;
}
api::Return nvmlDeviceGetMigMode(api::Device device, unsigned* now, unsigned* pending) {
  const auto code = give_number(device, "mig", now);
  *pending = *now;
  return code;
}
api::Return nvmlDeviceGetMaxMigDeviceCount(api::Device, unsigned* out) {
  *out = 7;
  return api::success;
}
api::Return nvmlDeviceGetMigDeviceHandleByIndex(api::Device device, unsigned index, api::Device* out) {
  const auto now = machine();
  for (std::size_t i = 0, of_this = 0; i < now.instances.size(); ++i)
    if (number(now.instances[i], "gpu") == index_of(device) && of_this++ == index) {
      *out = handle_of(most + i);
      return api::success;
    }
  return api::error_not_found;
}
api::Return nvmlDeviceGetGpuInstanceId(api::Device device, unsigned* out) { return give_number(device, "gi", out); }
api::Return nvmlDeviceGetComputeInstanceId(api::Device device, unsigned* out) { return give_number(device, "ci", out); }
api::Return nvmlDeviceGetAttributes_v2(api::Device device, api::Attributes* out) {
  Line line;
  const auto code = find(device, line);
  *out = {};
  out->gpu_slices = static_cast<unsigned>(number(line, "slices"));
  out->compute_slices = static_cast<unsigned>(number(line, "compute", out->gpu_slices));
  out->memory_mib = number(line, "memory");
  out->multiprocessors = static_cast<unsigned>(number(line, "multiprocessors"));
  out->copy_engines = static_cast<unsigned>(number(line, "copy"));
  out->decoders = static_cast<unsigned>(number(line, "decoders"));
  out->encoders = static_cast<unsigned>(number(line, "encoders"));
  out->jpeg = static_cast<unsigned>(number(line, "jpeg"));
  out->ofa = static_cast<unsigned>(number(line, "ofa"));
  return code;
}
api::Return nvmlDeviceGetNvLinkState(api::Device device, unsigned link, int* out) {
  Line line;
  const auto code = find(device, line);
  *out = link < links(line).size() ? 1 : 0;
  return code;
}
api::Return nvmlDeviceGetNvLinkRemotePciInfo_v2(api::Device device, unsigned link, api::PciInfo* out) {
  Line line;
  const auto code = find(device, line);
  *out = {};
  const auto all = links(line);
  if (link >= all.size()) return api::error_not_supported;
  return code != api::success ? code : give(all[link] == "fabric" ? "00000000:05:00.0" : all[link], out->bus_id, sizeof out->bus_id);
}
api::Return nvmlDeviceGetNvLinkRemoteDeviceType(api::Device device, unsigned link, int* out) {
  Line line;
  const auto code = find(device, line);
  const auto all = links(line);
  *out = link < all.size() && all[link] == "fabric" ? api::link_to_switch : api::link_to_gpu;
  return code;
}
api::Return nvmlDeviceGetTotalEccErrors(api::Device device, int type, int, unsigned long long* out) {
  return give_number(device, type == api::uncorrected ? "ecc" : "ecc_corrected", out);
}
api::Return nvmlDeviceGetRemappedRows(api::Device device, unsigned* corrected, unsigned* uncorrected, unsigned* pending, unsigned* failed) {
  Line line;
  const auto code = find(device, line);
  *corrected = *uncorrected = 0;
  *pending = static_cast<unsigned>(number(line, "remap_pending"));
  *failed = static_cast<unsigned>(number(line, "remap_failed"));
  return code;
}
api::Return nvmlDeviceGetTemperature(api::Device device, unsigned, unsigned* out) {
  Line line;
  const auto code = find(device, line);
  *out = static_cast<unsigned>(number(line, "temperature", 40));
  return code;
}
api::Return nvmlDeviceGetCurrentClocksThrottleReasons(api::Device device, unsigned long long* out) {
  return give_number(device, "throttle", out);
}
api::Return nvmlDeviceGetUtilizationRates(api::Device device, api::Utilization* out) {
  *out = {};
  return give_number(device, "busy", &out->gpu);
}
api::Return nvmlDeviceGetPowerUsage(api::Device device, unsigned* out) { return give_number(device, "power", out); }
api::Return nvmlDeviceGetFieldValues(api::Device device, int count, api::FieldValue* values) {
  for (int i = 0; i < count; ++i) {
    values[i].value = {};
    values[i].status =
        values[i].field == api::field_recovery_action ? give_number(device, "recovery", &values[i].value.u) : api::error_not_supported;
  }
  return api::success;
}
api::Return nvmlEventSetCreate(api::EventSet* out) {
  *out = reinterpret_cast<api::EventSet>(handles);
  return api::success;
}
api::Return nvmlDeviceRegisterEvents(api::Device, unsigned long long, api::EventSet) { return api::success; }
api::Return nvmlEventSetWait_v2(api::EventSet, api::EventData* out, unsigned timeout) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout);
  do {
    const auto now = machine();
    const std::scoped_lock lock(events_mutex);
    if (now.xids.size() > delivered) {
      const auto& xid = now.xids[delivered++];
      *out = {.device = handle_of(number(xid, "gpu")),
              .type = api::event_xid,
              .data = number(xid, "number"),
              .gpu_instance = static_cast<unsigned>(number(xid, "gi", api::no_instance)),
              .compute_instance = api::no_instance};
      return api::success;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  } while (std::chrono::steady_clock::now() < until);
  return api::error_timeout;
}
api::Return nvmlEventSetFree(api::EventSet) { return api::success; }

}  // extern "C"
