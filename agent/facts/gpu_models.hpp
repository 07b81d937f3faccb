// Inside agent/facts: what is known of a GPU by its PCI id alone. Only what can be said without asking the driver: memory
// is not in it, since boards of one id are sold with several sizes.
#pragma once

#include <string_view>

namespace cloudos::facts {

struct GpuModel {
  std::string_view id;            // "10de:2330"
  std::string_view name;          // as the vendor's own tools say it
  std::string_view architecture;  // "hopper", "gfx942", "xe-hpc"
  int compute_major = 0, compute_minor = 0;
  bool mig_capable = false;
};

// The model of a PCI id, or nullptr.
[[nodiscard]] const GpuModel* gpu_model(std::string_view id);
// NVIDIA's name for the architecture of a compute capability, as GPU feature discovery writes it; "undefined" when unknown.
[[nodiscard]] std::string_view nvidia_family(int compute_major, int compute_minor);

}  // namespace cloudos::facts
