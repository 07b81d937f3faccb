// Trees of /proc and /sys whose counters move on while the agent waits between its two readings.
#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <cstdlib>
#include <format>

#include "agent/usage/usage.hpp"
#include "core/os/file/file.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace cloudos;
namespace fs = std::filesystem;

namespace {

class Tree {
 public:
  Tree() {
    put("proc/meminfo", "MemTotal: 8388608 kB\nMemFree: 1000 kB\nMemAvailable: 6291456 kB\n");
    put("proc/loadavg", "3.10 2.05 1.50 2/345 6789\n");
    stat(1000, 500, 7777);
    put("proc/self/mountinfo", "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n");
  }
  void put(const std::string& path, const std::string& text) const { REQUIRE(os::write_atomic(folder_ / path, text, 0644)); }
  // Hundredths of a second.
  void stat(int user, int system, int idle) const {
    put("proc/stat",
        std::format("cpu  {} 0 {} {} 40 0 0 90 0 0\ncpu0 1 0 1 1 1 0 0 0 0 0\ncpu1 1 0 1 1 1 0 0 0 0 0\nctxt 1\n", user, system, idle));
  }
  [[nodiscard]] facts::Roots roots() const {
    return {.root = folder_.path(), .procfs = folder_ / "proc", .sysfs = folder_ / "sys", .devfs = folder_ / "dev"};
  }
  [[nodiscard]] model::Usage take(const std::function<void()>& meanwhile, model::HostFacts facts = {}) const {
    if (facts.memory.total.count == 0) facts.memory.total = 8_GiB;
    auto usage = usage::take(facts, {.roots = roots(), .nvml = CLOUDOS_NVML_LIBRARY, .pause = [&](Milliseconds) { meanwhile(); }});
    REQUIRE(usage);
    return *usage;
  }

 private:
  test::TemporaryFolder folder_;
};

constexpr auto mounts_1 =
    "21 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
    "30 21 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "31 21 0:31 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";

}  // namespace

TEST_CASE("a machine's CPU time is what its kernel spent on work, not on idling, waiting or other guests") {
  const Tree tree;
  const auto usage = tree.take([&] { tree.stat(1150, 550, 7900); });
  CHECK(usage.source == "machine");
  CHECK(usage.cpu.used_us == 2'000'000);
  CHECK(usage.cpu.cores_m == 2000);
  CHECK(usage.unknown.empty());
}

TEST_CASE("cores in use are CPU time over the time that passed, whatever span was asked for") {
  model::Usage usage{.cpu = {.span_us = 1'003'000, .used_us = 2'507'500}};
  CHECK(usage.cpu.used_m() == 2500);
  usage.cpu = {.span_us = 3'000'000, .used_us = 2'000'000};
  CHECK(usage.cpu.used_m() == 667);
  usage.cpu.span_us = 0;
  CHECK(usage.cpu.used_m() == 0);
}

TEST_CASE("a machine's memory in use is what is not available, and its load is the kernel's") {
  const auto usage = Tree().take([] {});
  CHECK(usage.memory.total == 8_GiB);
  CHECK(usage.memory.used == 2_GiB);
  CHECK(usage.load_m == std::vector<std::int64_t>{3100, 2050, 1500});
}

TEST_CASE("a container with version 1 groups tells its own CPU time and memory, not its host's") {
  const Tree tree;
  tree.put("run/systemd/container", "systemd-nspawn\n");
  tree.put("proc/self/mountinfo", mounts_1);
  tree.put("proc/1/cgroup", "4:cpu,cpuacct:/init.scope\n3:memory:/init.scope\n");
  const std::string cpu = "sys/fs/cgroup/cpu,cpuacct/", memory = "sys/fs/cgroup/memory/";
  tree.put(cpu + "cpuacct.usage", "5000000000\n");
  tree.put(cpu + "init.scope/cpuacct.usage", "1000\n");
  tree.put(cpu + "cpu.cfs_quota_us", "150000\n");
  tree.put(cpu + "cpu.cfs_period_us", "100000\n");
  tree.put(memory + "memory.usage_in_bytes", "1073741824\n");
  tree.put(memory + "memory.stat", "cache 9\ninactive_file 1\ntotal_inactive_file 268435456\n");
  model::HostFacts facts{.hostname = "box"};
  facts.memory.total = 4_GiB;
  const auto usage = tree.take(
      [&] {
        tree.stat(99999, 99999, 99999);
        tree.put(cpu + "cpuacct.usage", "5750000000\n");
      },
      facts);
  CHECK(usage.source == "group");
  CHECK(usage.cpu.used_us == 750'000);
  CHECK(usage.cpu.cores_m == 1500);
  CHECK(usage.memory.total == 4_GiB);
  CHECK(usage.memory.used == 768_MiB);
  CHECK(usage.node == "box");
}

TEST_CASE("a container with version 2 groups tells its own CPU time and memory, not its host's") {
  const Tree tree;
  tree.put("run/systemd/container", "lxc\n");
  tree.put("proc/self/mountinfo", "30 21 0:30 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
  tree.put("proc/1/cgroup", "0::/init.scope\n");
  const std::string group = "sys/fs/cgroup/";
  tree.put(group + "cgroup.controllers", "cpuset cpu io memory pids\n");
  tree.put(group + "cpu.stat", "usage_usec 7000000\nuser_usec 1\nsystem_usec 1\n");
  tree.put(group + "cpu.max", "max 100000\n");
  tree.put(group + "memory.current", "536870912\n");
  tree.put(group + "memory.stat", "anon 1\ninactive_file 268435456\n");
  const auto usage = tree.take([&] { tree.put(group + "cpu.stat", "usage_usec 7400000\n"); });
  CHECK(usage.source == "group");
  CHECK(usage.cpu.used_us == 400'000);
  CHECK(usage.cpu.cores_m == 2000);
  CHECK(usage.memory.used == 256_MiB);
}

TEST_CASE("a container whose group has no figures says that they are its host's") {
  const Tree tree;
  tree.put("run/systemd/container", "docker\n");
  const auto usage = tree.take([&] { tree.stat(1100, 500, 7900); });
  CHECK(usage.source == "machine");
  CHECK(usage.cpu.used_us == 1'000'000);
  CHECK(usage.unknown.at("source").contains("host's"));
}

TEST_CASE("a disk's use is what df says, and the one that holds pods is known") {
  const Tree tree;
  model::HostFacts facts;
  facts.mounts = {{.path = "/", .device = "/dev/sda1", .type = "ext4"}, {.path = "/not/there", .device = "/dev/sdb1", .type = "ext4"}};
  const auto usage = tree.take([] {}, facts);
  REQUIRE(usage.file_systems.size() == 1);
  const auto space = os::space_of(tree.roots().root);
  REQUIRE(space);
  CHECK(usage.file_systems[0].pods);
  CHECK(usage.file_systems[0].total == space->total);
  CHECK(usage.file_systems[0].used.count > 0);
  CHECK(usage.file_systems[0].used <= space->total);
  CHECK(usage.unknown.contains("file_systems./not/there"));
}

TEST_CASE("an AMD GPU's load, memory, heat and power are its driver's") {
  const Tree tree;
  const std::string gpu = "sys/bus/pci/devices/0000:03:00.0/";
  tree.put(gpu + "gpu_busy_percent", "73\n");
  tree.put(gpu + "mem_info_vram_total", "206141652992\n");
  tree.put(gpu + "mem_info_vram_used", "1073741824\n");
  tree.put(gpu + "hwmon/hwmon3/temp1_input", "48000\n");
  tree.put(gpu + "hwmon/hwmon3/power1_average", "210000000\n");
  model::HostFacts facts;
  facts.gpu_devices = {
      {.address = "0000:03:00.0", .vendor = "amd", .device = "1002:74a1", .model = "AMD Instinct MI300X", .driver = "amdgpu"},
      {.address = "0000:04:00.0", .vendor = "nvidia", .device = "10de:2330"}};
  const auto usage = tree.take([] {}, facts);
  REQUIRE(usage.gpus.size() == 2);
  CHECK(usage.gpus[0].busy_percent == 73);
  CHECK(usage.gpus[0].memory_used == 1_GiB);
  CHECK(usage.gpus[0].temperature == 48);
  CHECK(usage.gpus[0].power_mw == 210'000);
  // Nobody can be asked about a GPU without a driver: it is told, and nothing is made up.
  CHECK(usage.gpus[1].driver.empty());
  CHECK(usage.gpus[1].busy_percent == -1);
}

TEST_CASE("an NVIDIA GPU's load, memory, heat, power and trouble are its driver's") {
  const Tree tree;
  const test::TemporaryFolder stub;
  ::setenv("CLOUDOS_NVML_STUB", (stub / "gpus").c_str(), 1);
  REQUIRE(os::write_atomic(stub / "gpus",
                           "driver 570.86.15\ncuda 12080\n"
                           "gpu uuid=GPU-1 name=NVIDIA_H100 bus=00000000:18:00.0 minor=0 memory=81559 cc=9.0\n"
                           "gpu uuid=GPU-2 name=NVIDIA_H100 bus=00000000:2A:00.0 minor=1 memory=81559 cc=9.0 lost=1\n",
                           0644));
  model::HostFacts facts;
  for (const auto* address : {"0000:18:00.0", "0000:2a:00.0"})
    facts.gpu_devices.push_back({.address = address, .vendor = "nvidia", .device = "10de:2330", .driver = "nvidia"});
  const auto usage = tree.take([] {}, facts);
  REQUIRE(usage.gpus.size() == 2);
  INFO(model::encode_usage(usage));
  CHECK(usage.gpus[0].model.contains("H100"));
  CHECK(usage.gpus[0].memory.count > 0);
  CHECK(usage.gpus[0].temperature > 0);
  CHECK(usage.gpus[0].trouble.empty());
  CHECK_FALSE((usage.gpus[1].trouble.empty() && usage.unknown.empty()));
}

TEST_CASE("a driver that hangs delays nothing else for longer than it is waited for, and is told") {
  const Tree tree;
  const test::TemporaryFolder stub;
  ::setenv("CLOUDOS_NVML_STUB", (stub / "gpus").c_str(), 1);
  REQUIRE(os::write_atomic(stub / "gpus", "hang\n", 0644));
  model::HostFacts facts;
  facts.gpu_devices = {{.address = "0000:18:00.0", .vendor = "nvidia", .device = "10de:2330", .driver = "nvidia"}};
  const auto before = std::chrono::steady_clock::now();
  const auto usage = usage::take(
      facts, {.roots = tree.roots(), .driver_patience = Milliseconds{200}, .nvml = CLOUDOS_NVML_LIBRARY, .pause = [](Milliseconds) {}});
  REQUIRE(os::write_atomic(stub / "gpus", "driver 1\n", 0644));  // so that its thread comes to an end
  REQUIRE(usage);
  CHECK(std::chrono::steady_clock::now() - before < std::chrono::seconds{10});
  CHECK(usage->unknown.at("gpus.nvidia").contains("does not answer"));
  REQUIRE(usage->gpus.size() == 1);
  CHECK(usage->gpus[0].busy_percent == -1);
}

TEST_CASE("usage survives its journey as JSON, and what is no usage is refused") {
  model::Usage usage{.node = "n", .source = "group", .cpu = {.at_us = 5, .span_us = 6, .used_us = 7, .cores_m = 8}};
  usage.file_systems = {{.path = "/", .device = "/dev/sda1", .total = 5_GiB, .used = 1_GiB, .pods = true}};
  usage.gpus = {{.address = "a", .busy_percent = 3, .trouble = "it must be reset"}};
  usage.load_m = {10, 20, 30};
  const auto text = model::encode_usage(usage);
  const auto back = model::decode_usage(text);
  REQUIRE(back);
  CHECK(model::encode_usage(*back) == text);
  CHECK_FALSE(model::decode_usage("[]"));
  CHECK_FALSE(model::decode_usage(R"({"schema":99})"));
}
