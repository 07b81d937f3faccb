#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <format>
#include <utility>

#include "agent/nvml/state.hpp"

namespace cloudos::nvml {
namespace {

// By its soname, as the loader knows it; then where drivers' installers put it on distributions whose folders our own loader
// does not search, and where the container of NVIDIA's GPU operator and WSL keep it.
constexpr std::array places = {"libnvidia-ml.so.1",
                               "/usr/lib64/libnvidia-ml.so.1",
                               "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1",
                               "/usr/lib/aarch64-linux-gnu/libnvidia-ml.so.1",
                               "/usr/lib/libnvidia-ml.so.1",
                               "/run/nvidia/driver/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1",
                               "/run/nvidia/driver/usr/lib64/libnvidia-ml.so.1",
                               "/usr/lib/wsl/lib/libnvidia-ml.so.1"};

std::string_view meaning(api::Return code) {
  switch (code) {
    case api::error_uninitialized: return "the library is not initialised";
    case api::error_not_supported: return "this GPU does not support it";
    case api::error_no_permission: return "not permitted";
    case api::error_not_found: return "not found";
    case api::error_driver_not_loaded: return "the driver is not loaded";
    case api::error_timeout: return "no answer in time";
    case api::error_gpu_is_lost: return "the GPU has fallen off the bus";
    case api::error_reset_required: return "the GPU must be reset first";
    case api::error_operating_system: return "the device node is not accessible";
    case api::error_lib_rm_version_mismatch:
      return "the library and the loaded driver are of different versions; a reboot loads the new one";
    default: return "an error within the driver";
  }
}

template <class F>
bool find(void* handle, const char* symbol, bool needed, F& function) {
  void* found = ::dlsym(handle, symbol);
  // POSIX has dlsym(3) give functions as void*; the cast is the documented way.
  function = reinterpret_cast<F>(found);
  return found != nullptr || !needed;
}

}  // namespace

Error error_of(std::string_view what, api::Return code) {
  return {.kind = ErrorKind::failed, .message = std::format("NVML: {}: {} ({})", what, meaning(code), code), .retryable = true};
}

Library::State::~State() {
  if (events != nullptr) call.events_free(events);
  if (initialised) call.shutdown();
  if (handle != nullptr) ::dlclose(handle);
}

Status Library::State::load(const std::string& path) {
  handle = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* why = ::dlerror();
    return fail(Error{.kind = ErrorKind::io, .message = why != nullptr ? why : "dlopen " + path, .retryable = true});
  }
  bool whole = true;
#define CLOUDOS_NVML_FIND(member, symbol, needed, ...) whole = find(handle, #symbol, needed, call.member) && whole;
  CLOUDOS_NVML_FUNCTIONS(CLOUDOS_NVML_FIND)
#undef CLOUDOS_NVML_FIND
  if (!whole) return fail(ErrorKind::io, path + " lacks functions that NVML has had since 2018");
  Dl_info info{};
  if (::dladdr(reinterpret_cast<void*>(call.init), &info) != 0 && info.dli_fname != nullptr)
    folder = std::filesystem::path(info.dli_fname).parent_path();
  if (const auto code = call.init(); code != api::success) {
    auto error = error_of("initialise", code);
    error.kind = ErrorKind::io;
    return fail(std::move(error));
  }
  initialised = true;
  return {};
}

void Library::State::listen_for_events() {
  if (call.events_make == nullptr || call.events_register == nullptr || call.events_wait == nullptr || call.events_free == nullptr) return;
  if (events != nullptr) call.events_free(std::exchange(events, nullptr));
  events_supported = false;
  if (call.events_make(&events) != api::success) {
    events = nullptr;
    return;
  }
  for (const auto& [device, uuid] : gpus)
    events_supported = call.events_register(device, api::event_xid, events) == api::success || events_supported;
}

Library::Library(std::unique_ptr<State> state) : state_(std::move(state)) {}
Library::~Library() = default;
Library::Library(Library&&) noexcept = default;
Library& Library::operator=(Library&&) noexcept = default;

Result<Library> Library::open(const std::filesystem::path& path) {
  std::optional<Error> first;
  for (const auto& place : path.empty() ? std::vector<std::string>(places.begin(), places.end()) : std::vector{path.string()}) {
    auto state = std::make_unique<State>();
    auto loaded = state->load(place);
    if (loaded) return Library(std::move(state));
    // A library that is there and whose driver is not tells more than one that is not there.
    if (!first || (state->handle != nullptr)) first = std::move(loaded).error();
    if (state->handle != nullptr) break;
  }
  return fail(std::move(*first));
}

const std::filesystem::path& Library::folder() const { return state_->folder; }

Result<Inventory> Library::inventory(std::vector<std::string>* skipped) {
  std::vector<std::pair<api::Device, std::string>> found;
  CLOUDOS_ASSIGN(auto out, inventory_from(state_->call, found, skipped));
  // A set that is made anew misses what happens in between.
  if (std::exchange(state_->gpus, found) != found) state_->listen_for_events();
  return out;
}

std::vector<Reading> Library::readings() {
  std::vector<Reading> out;
  for (const auto& [device, uuid] : state_->gpus) out.push_back(read_from(state_->call, device, uuid));
  return out;
}

Result<std::optional<Xid>> Library::wait(Milliseconds span) {
  if (!state_->events_supported) return fail(ErrorKind::failed, "the driver reports no events for these GPUs");
  api::EventData data{};
  const auto code = state_->call.events_wait(state_->events, &data, static_cast<unsigned>(std::max<std::int64_t>(span.count(), 0)));
  if (code == api::error_timeout) return std::optional<Xid>();
  if (code != api::success) return fail(error_of("wait for events", code));
  if (data.type != api::event_xid) return std::optional<Xid>();
  Xid xid{.uuid = {}, .number = data.data, .gpu_instance = {}};
  for (const auto& [device, uuid] : state_->gpus)
    if (device == data.device) xid.uuid = uuid;
  if (data.gpu_instance != api::no_instance) xid.gpu_instance = data.gpu_instance;
  return std::optional(std::move(xid));
}

}  // namespace cloudos::nvml
