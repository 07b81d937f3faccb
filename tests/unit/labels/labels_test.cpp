#include "agent/labels/labels.hpp"

#include <catch2/catch_test_macros.hpp>

using namespace cloudos;
using namespace cloudos::labels;

namespace {

model::HostFacts::GpuDevice h100(const std::string& address) {
  return {.address = address,
          .vendor = "nvidia",
          .pci_class = "030200",
          .device = "10de:2330",
          .model = "NVIDIA H100 80GB HBM3",
          .driver = "nvidia",
          .memory = Bytes{81559ULL << 20U},
          .architecture = "hopper",
          .compute_major = 9,
          .compute_minor = 0,
          .mig_capable = true};
}

model::HostFacts gpu_node(int count) {
  model::HostFacts facts;
  facts.arch = "amd64";
  facts.hardware = {.vendor = "NVIDIA", .product = "DGX H100"};
  facts.gpu_drivers["nvidia"] = {.version = "570.124.06", .cuda_version = "12.8"};
  for (int i = 0; i < count; ++i) facts.gpu_devices.push_back(h100("0000:1" + std::to_string(i) + ":00.0"));
  return facts;
}

model::HostFacts::MigDevice slice(const std::string& profile) {
  return {.uuid = {},
          .profile = profile,
          .memory = Bytes{9984ULL << 20U},
          .multiprocessors = 16,
          .gpu_slices = 1,
          .compute_slices = 1,
          .copy_engines = 1,
          .decoders = 1,
          .jpeg_engines = 1};
}

std::string label(const model::HostFacts& facts, const std::string& name, const Sharing& sharing = {}) {
  const auto labels = find(facts, sharing).labels;
  const auto at = labels.find(name);
  return at == labels.end() ? "(none)" : at->second;
}

}  // namespace

TEST_CASE("values are what a label can hold, as GPU feature discovery writes them") {
  CHECK(value_of("NVIDIA H100 80GB HBM3") == "NVIDIA-H100-80GB-HBM3");
  CHECK(value_of("  PowerEdge   R760 (rack)! ") == "PowerEdge-R760-rack");
  CHECK(value_of("1g.10gb+me") == "1g.10gbme");
  CHECK(value_of(std::string(80, 'a')).size() == 63);
  CHECK(value_of(std::string(62, 'a') + "- b") == std::string(62, 'a'));
  CHECK(value_of("\xc3\xa9-\x01") == "");
  CHECK(version_value("6.12.48+deb13-amd64") == "6.12.48_deb13-amd64");
  CHECK(is_value(""));
  CHECK_FALSE(is_value("-a"));
  CHECK_FALSE(is_value("a b"));
  CHECK(is_name("nvidia.com/mig-1g.10gb.count"));
  CHECK_FALSE(is_name("nvidia.com/"));
  CHECK_FALSE(is_name("Nvidia.com/x"));
  CHECK_FALSE(is_name("a/b/c"));
}

TEST_CASE("a GPU server's labels are those that GPU feature discovery gives it") {
  const auto facts = gpu_node(8);
  CHECK(label(facts, "nvidia.com/gpu.present") == "true");
  CHECK(label(facts, "nvidia.com/gpu.count") == "8");
  CHECK(label(facts, "nvidia.com/gpu.product") == "NVIDIA-H100-80GB-HBM3");
  CHECK(label(facts, "nvidia.com/gpu.memory") == "81559");
  CHECK(label(facts, "nvidia.com/gpu.family") == "hopper");
  CHECK(label(facts, "nvidia.com/gpu.machine") == "DGX-H100");
  CHECK(label(facts, "nvidia.com/gpu.mode") == "compute");
  CHECK(label(facts, "nvidia.com/gpu.replicas") == "1");
  CHECK(label(facts, "nvidia.com/gpu.sharing-strategy") == "none");
  CHECK(label(facts, "nvidia.com/gpu.compute.major") == "9");
  CHECK(label(facts, "nvidia.com/cuda.driver-version.revision") == "06");
  CHECK(label(facts, "nvidia.com/cuda.runtime-version.full") == "12.8");
  CHECK(label(facts, "nvidia.com/mig.capable") == "true");
  CHECK(label(facts, "nvidia.com/mig.strategy") == "(none)");
}

TEST_CASE("GPUs in time slices say how many, and SHARED in the product") {
  const Sharing shared{.replicas = 4};
  const auto facts = gpu_node(2);
  CHECK(label(facts, "nvidia.com/gpu.count", shared) == "2");
  CHECK(label(facts, "nvidia.com/gpu.replicas", shared) == "4");
  CHECK(label(facts, "nvidia.com/gpu.sharing-strategy", shared) == "time-slicing");
  CHECK(label(facts, "nvidia.com/gpu.product", shared) == "NVIDIA-H100-80GB-HBM3-SHARED");
}

TEST_CASE("a GPU without its driver is present and promises nothing else") {
  auto facts = gpu_node(8);
  facts.gpu_drivers.clear();
  for (auto& gpu : facts.gpu_devices) gpu.driver.clear();
  const auto labels = find(facts).labels;
  CHECK(labels.at("nvidia.com/gpu.present") == "true");
  CHECK_FALSE(labels.contains("nvidia.com/gpu.count"));
  CHECK_FALSE(labels.contains("nvidia.com/gpu.product"));
}

TEST_CASE("with the single strategy a node's GPUs are its slices, and an uneven cut is invalid") {
  const Sharing single{.mig = MigStrategy::single};
  auto facts = gpu_node(2);
  for (auto& gpu : facts.gpu_devices) {
    gpu.mig_enabled = true;
    gpu.mig.assign(7, slice("1g.10gb"));
  }
  CHECK(label(facts, "nvidia.com/mig.strategy", single) == "single");
  CHECK(label(facts, "nvidia.com/gpu.count", single) == "14");
  CHECK(label(facts, "nvidia.com/gpu.product", single) == "NVIDIA-H100-80GB-HBM3-MIG-1g.10gb");
  CHECK(label(facts, "nvidia.com/gpu.memory", single) == "9984");
  CHECK(label(facts, "nvidia.com/gpu.multiprocessors", single) == "16");
  CHECK(label(facts, "nvidia.com/gpu.engines.decoder", single) == "1");
  facts.gpu_devices[1].mig.back().profile = "2g.20gb";
  CHECK(label(facts, "nvidia.com/gpu.product", single) == "NVIDIA-H100-80GB-HBM3-MIG-INVALID");
  CHECK(label(facts, "nvidia.com/gpu.count", single) == "0");
}

TEST_CASE("with the mixed strategy each kind of slice has labels of its own") {
  const Sharing mixed{.mig = MigStrategy::mixed};
  auto facts = gpu_node(2);
  facts.gpu_devices[0].mig_enabled = true;
  facts.gpu_devices[0].mig = {slice("1g.10gb"), slice("1g.10gb"), slice("1g.10gb+me")};
  CHECK(label(facts, "nvidia.com/gpu.count", mixed) == "2");
  CHECK(label(facts, "nvidia.com/mig-1g.10gb.count", mixed) == "2");
  CHECK(label(facts, "nvidia.com/mig-1g.10gb.me.count", mixed) == "1");
  CHECK(label(facts, "nvidia.com/mig-1g.10gb.me.product", mixed) == "NVIDIA-H100-80GB-HBM3-MIG-1g.10gbme");
}

TEST_CASE("slices whose profile nobody told yet leave the labels as they are") {
  auto facts = gpu_node(1);
  facts.gpu_devices[0].mig_enabled = true;
  facts.gpu_devices[0].mig.resize(2);
  const auto found = find(facts, {.mig = MigStrategy::single});
  CHECK_FALSE(found.labels.contains("nvidia.com/gpu.count"));
  CHECK(found.unknown.contains("nvidia.com/gpu."));
}

TEST_CASE("the kernel's version is labelled as node-feature-discovery does it") {
  model::HostFacts facts;
  facts.kernel.release = "5.15.0-1053-nvidia";
  CHECK(label(facts, "feature.node.kubernetes.io/kernel-version.full") == "5.15.0-1053-nvidia");
  CHECK(label(facts, "feature.node.kubernetes.io/kernel-version.revision") == "0");
  facts.kernel.release = "6.12.48+deb13-amd64";
  CHECK(label(facts, "feature.node.kubernetes.io/kernel-version.full") == "6.12.48_deb13-amd64");
  CHECK(label(facts, "feature.node.kubernetes.io/kernel-version.major") == "(none)");
}

TEST_CASE("CPU flags have node-feature-discovery's names, and those that every machine has are left out") {
  model::HostFacts facts;
  facts.arch = "amd64";
  facts.cpu = {.threads = 2, .vendor = "AuthenticAMD", .family = 25, .id = 17, .flags = {"avx512_vnni", "fma", "sse2", "aes", "popcnt"}};
  const std::string cpu = "feature.node.kubernetes.io/cpu-";
  CHECK(label(facts, cpu + "cpuid.AVX512VNNI") == "true");
  CHECK(label(facts, cpu + "cpuid.FMA3") == "true");
  CHECK(label(facts, cpu + "cpuid.AESNI") == "true");
  CHECK(label(facts, cpu + "cpuid.SSE2") == "(none)");
  CHECK(label(facts, cpu + "model.vendor_id") == "AMD");
  CHECK(label(facts, cpu + "model.family") == "25");
  CHECK(label(facts, cpu + "hardware_multithreading") == "false");
  facts.arch = "arm64";
  facts.cpu.vendor = "0x41";
  facts.cpu.flags = {"asimd", "atomics"};
  CHECK(label(facts, cpu + "cpuid.ATOMICS") == "true");
  CHECK(label(facts, cpu + "model.vendor_id") == "ARM");
}

TEST_CASE("nothing is written when nothing changed") {
  const auto found = find(gpu_node(8));
  Memory memory;
  const auto first = merge(found, {}, memory);
  CHECK(first.set == found.labels);
  CHECK(first.remove.empty());
  CHECK(merge(found, found.labels, memory).empty());
}

TEST_CASE("a label outlives a probe that failed, and goes only when the thing is gone") {
  Memory memory;
  const auto whole = find(gpu_node(8));
  auto node = merge(whole, {}, memory).set;
  node["example.com/rack"] = "r7";

  auto blind = gpu_node(0);
  blind.unknown["gpu_devices.nvidia"] = "NVML did not answer";
  for (int i = 0; i < 10; ++i) CHECK(merge(find(blind), node, memory).empty());

  const auto gone = find(gpu_node(0));
  for (int i = 1; i < looks_until_gone; ++i) CHECK(merge(gone, node, memory).empty());
  const auto last = merge(gone, node, memory);
  CHECK(last.remove.contains("nvidia.com/gpu.count"));
  CHECK(last.remove.contains("nvidia.com/gpu.present"));
  CHECK_FALSE(last.remove.contains("example.com/rack"));
  CHECK(memory.ours.count("nvidia.com/gpu.count") == 0);
}

TEST_CASE("a thing that comes back in time keeps its labels, and absences are counted anew") {
  Memory memory;
  const auto whole = find(gpu_node(1));
  const auto node = merge(whole, {}, memory).set;
  const auto gone = find(gpu_node(0));
  for (int round = 0; round < 5; ++round) {
    for (int i = 1; i < looks_until_gone; ++i) CHECK(merge(gone, node, memory).empty());
    CHECK(merge(whole, node, memory).empty());
  }
}

TEST_CASE("labels that others put onto the node are never removed") {
  Memory memory;
  const Labels node = {{"feature.node.kubernetes.io/custom-rdma.capable", "true"}, {"nvidia.com/gpu.deploy.driver", "true"}};
  for (int i = 0; i < 2 * looks_until_gone; ++i) CHECK(merge(find(model::HostFacts{}), node, memory).remove.empty());
}

TEST_CASE("which labels are ours survives a restart in an annotation") {
  const std::set<std::string> names = {"nvidia.com/gpu.count", "feature.node.kubernetes.io/memory-numa"};
  CHECK(read_names(write_names(names)) == names);
  CHECK(read_names("").empty());
  CHECK(read_names("a b,,x/y/z,ok") == std::set<std::string>{"ok"});
}
