// agent/gpu_facts: what NVIDIA's library counted, as facts of the machine. It stands between agent/facts, which links no driver,
// and agent/nvml, which knows no facts. Not here: the labels that come of them (agent/labels).
#pragma once

#include <filesystem>

#include "agent/facts/gpu_probe.hpp"
#include "agent/nvml/nvml.hpp"

namespace cloudos::gpu_facts {

[[nodiscard]] facts::GpuAnswer answer_of(const nvml::Inventory& inventory);

// What somebody counted who watches the driver anyway: nothing is asked, nothing waits. Its error, if there is one, becomes why
// the GPUs are not known.
class Counted final : public facts::GpuProbe {
 public:
  explicit Counted(Result<nvml::Inventory> inventory) : inventory_(std::move(inventory)) {}
  [[nodiscard]] std::string_view vendor() const override { return "nvidia"; }
  [[nodiscard]] Result<facts::GpuAnswer> ask() override;

 private:
  Result<nvml::Inventory> inventory_;
};

// Opens the library and asks it once, for `patience` at most. `library`: as nvml::Library::open has it.
class Asking final : public facts::GpuProbe {
 public:
  explicit Asking(std::filesystem::path library, Milliseconds patience = Milliseconds{3000})
      : library_(std::move(library)), patience_(patience) {}
  [[nodiscard]] std::string_view vendor() const override { return "nvidia"; }
  [[nodiscard]] Result<facts::GpuAnswer> ask() override;

 private:
  std::filesystem::path library_;
  Milliseconds patience_;
};

}  // namespace cloudos::gpu_facts
