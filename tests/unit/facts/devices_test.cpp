#include <catch2/catch_test_macros.hpp>
#include <fstream>

#include "agent/facts/facts.hpp"
#include "agent/facts/gpu_models.hpp"
#include "agent/facts/parse.hpp"
#include "agent/facts/parse_devices.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace cloudos;
using namespace cloudos::facts;

namespace {

namespace fs = std::filesystem;

// A tree of files to read facts from.
struct Tree {
  test::TemporaryFolder folder;
  Tree() { write("proc/meminfo", "MemTotal: 65536 kB\nMemAvailable: 60000 kB\n"); }
  void write(const fs::path& path, const std::string& text) const {
    fs::create_directories((folder / path).parent_path());
    std::ofstream(folder / path) << text;
  }
  [[nodiscard]] Roots roots() const {
    return {.root = folder.path(), .procfs = folder / "proc", .sysfs = folder / "sys", .devfs = folder / "dev"};
  }
  [[nodiscard]] model::HostFacts facts(std::span<GpuProbe* const> probes = {}) const {
    auto facts = gather(roots(), probes);
    REQUIRE(facts);
    return *facts;
  }
  void gpu(const std::string& address, const std::string& device, const std::string& driver) const {
    const auto at = fs::path("sys/bus/pci/devices") / address;
    write(at / "class", "0x030200\n");
    write(at / "vendor", "0x10de\n");
    write(at / "device", device + "\n");
    write(at / "numa_node", "1\n");
    if (!driver.empty()) fs::create_symlink("../../../../bus/pci/drivers/" + driver, folder / at / "driver");
  }
};

class Scripted final : public GpuProbe {
 public:
  explicit Scripted(Result<GpuAnswer> answer) : answer_(std::move(answer)) {}
  [[nodiscard]] std::string_view vendor() const override { return "nvidia"; }
  [[nodiscard]] Result<GpuAnswer> ask() override {
    ++asked;
    return answer_;
  }
  int asked = 0;

 private:
  Result<GpuAnswer> answer_;
};

}  // namespace

TEST_CASE("swap is told by device, also with blanks in its path") {
  const auto swaps =
      parse_swaps("Filename Type Size Used Priority\n/swap\\040file file 2097148 1024 -2\n/dev/dm-1 partition 8388604 0 -3\ntorn\n");
  REQUIRE(swaps.size() == 2);
  CHECK(swaps[0].device == "/swap file");
  CHECK(swaps[0].used == Bytes{1024ULL << 10U});
  CHECK(swaps[1].type == "partition");
}

TEST_CASE("a limit that is none reads as none") {
  CHECK(parse_memory_limit("max\n") == Bytes{});
  CHECK(parse_memory_limit("9223372036854771712\n") == Bytes{});
  CHECK(parse_memory_limit("8589934592\n") == Bytes{8589934592});
  CHECK(parse_memory_limit("") == Bytes{});
}

TEST_CASE("a machine in a control group has the memory of its group, version 2") {
  Tree tree;
  tree.write("proc/self/mountinfo", "31 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
  tree.write("proc/1/cgroup", "0::/init.scope\n");
  tree.write("sys/fs/cgroup/cgroup.controllers", "cpu memory pids\n");
  tree.write("sys/fs/cgroup/memory.max", "33554432\n");
  tree.write("sys/fs/cgroup/memory.current", "20971520\n");
  tree.write("sys/fs/cgroup/memory.stat", "anon 1\ninactive_file 10485760\n");
  const auto memory = tree.facts().memory;
  CHECK(memory.total == 32_MiB);
  CHECK(memory.limit == 32_MiB);
  CHECK(memory.physical == 64_MiB);
  CHECK(memory.available == 22_MiB);
}

TEST_CASE("a machine in a control group has the memory of its group, version 1") {
  Tree tree;
  tree.write("proc/self/mountinfo", "35 31 0:32 /machine.slice/m /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n");
  tree.write("proc/1/cgroup", "4:memory:/machine.slice/m/init.scope\n0::/\n");
  tree.write("sys/fs/cgroup/memory/memory.limit_in_bytes", "16777216\n");
  tree.write("sys/fs/cgroup/memory/memory.usage_in_bytes", "4194304\n");
  tree.write("sys/fs/cgroup/memory/memory.stat", "inactive_file 1\ntotal_inactive_file 2097152\n");
  tree.write("sys/fs/cgroup/memory/init.scope/memory.limit_in_bytes", "9223372036854771712\n");
  const auto memory = tree.facts().memory;
  CHECK(memory.total == 16_MiB);
  CHECK(memory.available == 14_MiB);
}

TEST_CASE("a machine without a group of its own has all memory, whatever its services are allowed") {
  Tree tree;
  tree.write("proc/self/mountinfo", "31 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
  tree.write("proc/1/cgroup", "0::/init.scope\n");
  tree.write("sys/fs/cgroup/cgroup.controllers", "cpu memory pids\n");
  tree.write("sys/fs/cgroup/system.slice/memory.max", "1048576\n");
  const auto memory = tree.facts().memory;
  CHECK(memory.total == 64_MiB);
  CHECK(memory.limit == Bytes{});
}

TEST_CASE("arm64 CPUs are known by MIDR, and their topology by sysfs") {
  const auto cpu = parse_cpuinfo(
      "processor\t: 0\nFeatures\t: fp asimd aes\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x4\nCPU part\t: 0xd0b\n"
      "CPU revision\t: 1\n\nRevision\t: d04170\nModel\t\t: Raspberry Pi 5\n");
  CHECK(cpu.vendor == "0x41");
  CHECK(cpu.family == 0x4f);
  CHECK(cpu.id == 0xd0b1);
  CHECK(cpu.model == "Cortex-A76");
  CHECK(cpu.flags == std::vector<std::string>{"fp", "asimd", "aes"});
}

TEST_CASE("the NVIDIA driver's version is read from the closed and from the open module") {
  CHECK(parse_nvidia_version(
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.161.08  Sat Feb 17 22:55:48 UTC 2024\nGCC version: gcc 12.2.0\n") ==
        "535.161.08");
  CHECK(parse_nvidia_version("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.124.06  Release Build  (root@b)\n") ==
        "570.124.06");
  CHECK(parse_nvidia_version("GCC version: gcc 12.2.0\n").empty());
  const auto information = parse_nvidia_information("Model: \t\t NVIDIA H100 80GB HBM3\nGPU UUID: \t GPU-1b2c\nDevice Minor: \t 3\n");
  CHECK(information.model == "NVIDIA H100 80GB HBM3");
  CHECK(information.minor == 3);
  CHECK(parse_nvidia_information("GPU UUID: \t GPU-" + std::string(8, '?') + "\n").uuid.empty());
}

TEST_CASE("PCI addresses of all sources are one") {
  CHECK(pci_address("00000000:1B:00.0") == "0000:1b:00.0");
  CHECK(pci_address("0000:1b:00.0") == "0000:1b:00.0");
  CHECK(pci_address("00010000:1B:00.0") == "00010000:1b:00.0");  // a domain that needs more than four digits keeps them
  CHECK(kfd_address(0, 0x0500) == "0000:05:00.0");
  CHECK(kfd_address(1, 0x2601) == "0001:26:00.1");
  CHECK(gfx_name(90402) == "gfx942");
  CHECK(gfx_name(90010) == "gfx90a");
  CHECK(gfx_name(110000) == "gfx1100");
}

TEST_CASE("what the driver's library says is added to the right device") {
  Tree tree;
  tree.gpu("0000:1b:00.0", "0x2330", "nvidia");
  tree.gpu("0000:43:00.0", "0x2330", "nvidia");
  GpuAnswer answer{.driver = {.version = "570.124.06", .cuda_version = "12.8"}, .devices = {{.address = "00000000:43:00.0"}}};
  answer.devices[0].memory = Bytes{81559ULL << 20U};
  answer.devices[0].links = {"00000000:1B:00.0"};
  Scripted probe(answer);
  GpuProbe* const probes[] = {&probe};
  const auto facts = tree.facts(probes);
  REQUIRE(facts.gpu_devices.size() == 2);
  CHECK(facts.gpu_devices[0].memory == Bytes{});
  CHECK(facts.gpu_devices[1].memory == Bytes{81559ULL << 20U});
  CHECK(facts.gpu_devices[1].links == std::vector<std::string>{"0000:1b:00.0"});
  CHECK(facts.gpu_devices[1].model == "NVIDIA H100 80GB HBM3");
  CHECK(facts.gpu_devices[1].numa_node == 1);
  CHECK(facts.gpu_drivers.at("nvidia").cuda_version == "12.8");
}

TEST_CASE("a driver's library that does not answer takes no GPU away, and is said") {
  Tree tree;
  tree.gpu("0000:1b:00.0", "0x2330", "nvidia");
  Scripted probe(fail(ErrorKind::timeout, "NVML did not answer"));
  GpuProbe* const probes[] = {&probe};
  const auto facts = tree.facts(probes);
  CHECK(facts.gpu_devices.size() == 1);
  CHECK(facts.unknown.at("gpu_devices.nvidia") == "NVML did not answer");
}

TEST_CASE("nobody asks a library about GPUs that have no driver") {
  Tree tree;
  tree.gpu("0000:1b:00.0", "0x2330", "");
  tree.gpu("0000:43:00.0", "0x2330", "vfio-pci");
  Scripted probe(GpuAnswer{});
  GpuProbe* const probes[] = {&probe};
  const auto facts = tree.facts(probes);
  CHECK(probe.asked == 0);
  CHECK(facts.gpu_devices.size() == 2);
  CHECK(facts.gpu_drivers.empty());
}

TEST_CASE("how long a write takes to be durable is measured, and leaves nothing behind") {
  const test::TemporaryFolder folder;
  const auto latency = measure_sync(folder.path(), 10);
  REQUIRE(latency);
  CHECK(latency->writes == 10);
  CHECK(latency->median_us <= latency->p99_us);
  CHECK(fs::is_empty(folder.path()));
  CHECK_FALSE(measure_sync(folder / "nowhere"));
}
