#include "agent/facts/gpu_models.hpp"

#include <algorithm>
#include <array>

namespace cloudos::facts {

namespace {

// Ids: the PCI ID repository. Names: nvidia-smi, rocm-smi and Intel's table of graphics processors. Compute capabilities and
// MIG: NVIDIA's list of CUDA GPUs and the MIG user guide.
constexpr std::array models = {GpuModel{"10de:15f8", "Tesla P100-PCIE-16GB", "pascal", 6, 0, false},
                               GpuModel{"10de:15f9", "Tesla P100-SXM2-16GB", "pascal", 6, 0, false},
                               GpuModel{"10de:1b38", "Tesla P40", "pascal", 6, 1, false},
                               GpuModel{"10de:1bb3", "Tesla P4", "pascal", 6, 1, false},
                               GpuModel{"10de:1db1", "Tesla V100-SXM2-16GB", "volta", 7, 0, false},
                               GpuModel{"10de:1db4", "Tesla V100-PCIE-16GB", "volta", 7, 0, false},
                               GpuModel{"10de:1db5", "Tesla V100-SXM2-32GB", "volta", 7, 0, false},
                               GpuModel{"10de:1db6", "Tesla V100-PCIE-32GB", "volta", 7, 0, false},
                               GpuModel{"10de:1eb8", "Tesla T4", "turing", 7, 5, false},
                               GpuModel{"10de:20b0", "NVIDIA A100-SXM4-40GB", "ampere", 8, 0, true},
                               GpuModel{"10de:20b2", "NVIDIA A100-SXM4-80GB", "ampere", 8, 0, true},
                               GpuModel{"10de:20b5", "NVIDIA A100 80GB PCIe", "ampere", 8, 0, true},
                               GpuModel{"10de:20b7", "NVIDIA A30", "ampere", 8, 0, true},
                               GpuModel{"10de:20f1", "NVIDIA A100-PCIE-40GB", "ampere", 8, 0, true},
                               GpuModel{"10de:2204", "NVIDIA GeForce RTX 3090", "ampere", 8, 6, false},
                               GpuModel{"10de:2235", "NVIDIA A40", "ampere", 8, 6, false},
                               GpuModel{"10de:2236", "NVIDIA A10", "ampere", 8, 6, false},
                               GpuModel{"10de:2237", "NVIDIA A10G", "ampere", 8, 6, false},
                               GpuModel{"10de:2321", "NVIDIA H100 NVL", "hopper", 9, 0, true},
                               GpuModel{"10de:2324", "NVIDIA H800", "hopper", 9, 0, true},
                               GpuModel{"10de:2330", "NVIDIA H100 80GB HBM3", "hopper", 9, 0, true},
                               GpuModel{"10de:2331", "NVIDIA H100 PCIe", "hopper", 9, 0, true},
                               GpuModel{"10de:2335", "NVIDIA H200", "hopper", 9, 0, true},
                               GpuModel{"10de:233b", "NVIDIA H200 NVL", "hopper", 9, 0, true},
                               GpuModel{"10de:2342", "NVIDIA GH200 480GB", "hopper", 9, 0, true},
                               GpuModel{"10de:2684", "NVIDIA GeForce RTX 4090", "ada-lovelace", 8, 9, false},
                               GpuModel{"10de:26b5", "NVIDIA L40", "ada-lovelace", 8, 9, false},
                               GpuModel{"10de:26b9", "NVIDIA L40S", "ada-lovelace", 8, 9, false},
                               GpuModel{"10de:27b8", "NVIDIA L4", "ada-lovelace", 8, 9, false},
                               GpuModel{"10de:2901", "NVIDIA B200", "blackwell", 10, 0, true},
                               GpuModel{"10de:2941", "NVIDIA GB200", "blackwell", 10, 0, true},
                               GpuModel{"10de:2b85", "NVIDIA GeForce RTX 5090", "blackwell", 12, 0, false},
                               GpuModel{"1002:738c", "AMD Instinct MI100", "gfx908", 0, 0, false},
                               GpuModel{"1002:7408", "AMD Instinct MI250X", "gfx90a", 0, 0, false},
                               GpuModel{"1002:740c", "AMD Instinct MI250X/MI250", "gfx90a", 0, 0, false},
                               GpuModel{"1002:740f", "AMD Instinct MI210", "gfx90a", 0, 0, false},
                               GpuModel{"1002:744c", "AMD Radeon RX 7900", "gfx1100", 0, 0, false},
                               GpuModel{"1002:74a0", "AMD Instinct MI300A", "gfx942", 0, 0, false},
                               GpuModel{"1002:74a1", "AMD Instinct MI300X", "gfx942", 0, 0, false},
                               GpuModel{"1002:74a5", "AMD Instinct MI325X", "gfx942", 0, 0, false},
                               GpuModel{"8086:0bd5", "Intel Data Center GPU Max 1550", "xe-hpc", 0, 0, false},
                               GpuModel{"8086:0bda", "Intel Data Center GPU Max 1100", "xe-hpc", 0, 0, false},
                               GpuModel{"8086:46a6", "Intel Iris Xe Graphics", "xe-lp", 0, 0, false},
                               GpuModel{"8086:56a0", "Intel Arc A770", "xe-hpg", 0, 0, false},
                               GpuModel{"8086:56a1", "Intel Arc A750", "xe-hpg", 0, 0, false},
                               GpuModel{"8086:56a5", "Intel Arc A380", "xe-hpg", 0, 0, false},
                               GpuModel{"8086:56c0", "Intel Data Center GPU Flex 170", "xe-hpg", 0, 0, false},
                               GpuModel{"8086:56c1", "Intel Data Center GPU Flex 140", "xe-hpg", 0, 0, false},
                               GpuModel{"8086:9a49", "Intel Iris Xe Graphics", "xe-lp", 0, 0, false},
                               GpuModel{"8086:e20b", "Intel Arc B580", "xe2-hpg", 0, 0, false}};

}  // namespace

const GpuModel* gpu_model(std::string_view id) {
  const auto* const found = std::ranges::find(models, id, &GpuModel::id);
  return found == models.end() ? nullptr : found;
}

std::string_view nvidia_family(int compute_major, int compute_minor) {
  switch (compute_major) {
    case 3: return "kepler";
    case 5: return "maxwell";
    case 6: return "pascal";
    case 7: return compute_minor < 5 ? "volta" : "turing";
    case 8: return compute_minor < 9 ? "ampere" : "ada-lovelace";
    case 9: return "hopper";
    case 10:
    case 12: return "blackwell";
    default: return "undefined";
  }
}

}  // namespace cloudos::facts
