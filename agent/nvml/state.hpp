// Inside agent/nvml: the opened library's functions and handles.
#pragma once

#include <map>

#include "agent/nvml/api.hpp"
#include "agent/nvml/nvml.hpp"

namespace cloudos::nvml {

using api::Functions;

struct Library::State {
  void* handle = nullptr;
  bool initialised = false;
  Functions call;
  std::filesystem::path folder;
  std::vector<std::pair<api::Device, std::string>> gpus;  // handle and UUID, of the last inventory
  api::EventSet events = nullptr;
  bool events_supported = false;

  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State();
  [[nodiscard]] Status load(const std::string& path);
  void listen_for_events();
};

[[nodiscard]] Error error_of(std::string_view what, api::Return code);
// The text that a function writes into a buffer.
template <class F, class... A>
Result<std::string> text_from(std::string_view what, F function, A... arguments) {
  char buffer[api::text_size] = {};
  const auto code = function(arguments..., buffer, static_cast<unsigned>(sizeof buffer));
  if (code != api::success) return fail(error_of(what, code));
  buffer[sizeof buffer - 1] = '\0';
  return std::string(buffer);
}

// More than a machine can hold: a count beyond it is none.
constexpr unsigned most_gpus = 256;
// `gpus`: the handle and UUID of each, in order.
[[nodiscard]] Result<Inventory> inventory_from(const Functions& call, std::vector<std::pair<api::Device, std::string>>& gpus,
                                               std::vector<std::string>* skipped);
[[nodiscard]] Result<Gpu> look_at(const Functions& call, api::Device device);
[[nodiscard]] Reading read_from(const Functions& call, api::Device device, const std::string& uuid);

}  // namespace cloudos::nvml
