#include "agent/gpu_facts/gpu_facts.hpp"

#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <cstdlib>

#include "core/os/file/file.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace cloudos;
using namespace std::chrono_literals;

namespace {

nvml::Gpu gpu(const std::string& bus, std::vector<std::string> linked) {
  return {.uuid = "GPU-" + bus, .name = "NVIDIA H100", .pci_bus = bus, .minor = 3, .memory = 80_GiB, .linked = std::move(linked)};
}

}  // namespace

TEST_CASE("GPUs behind switches reach all others there, GPUs with links of their own those at the ends") {
  const auto answer = gpu_facts::answer_of(
      {.driver = "570.86.15",
       .cuda_major = 12,
       .cuda_minor = 8,
       .gpus = {gpu("0000:1b:00.0", {"fabric"}), gpu("0000:43:00.0", {"fabric"}), gpu("0000:52:00.0", {"0000:61:00.0"}),
                gpu("0000:61:00.0", {"0000:52:00.0"}), gpu("0000:9d:00.0", {})}});
  CHECK(answer.driver.version == "570.86.15");
  CHECK(answer.driver.cuda_version == "12.8");
  REQUIRE(answer.devices.size() == 5);
  CHECK(answer.devices[0].links == std::vector<std::string>{"0000:43:00.0"});
  CHECK(answer.devices[2].links == std::vector<std::string>{"0000:61:00.0"});
  CHECK(answer.devices[4].links.empty());
  CHECK(answer.devices[4].device_nodes == std::vector<std::string>{"/dev/nvidia3"});
}

TEST_CASE("what a watcher could not count is unknown for its reason") {
  gpu_facts::Counted counted(fail(ErrorKind::io, "the library is not there"));
  CHECK(counted.vendor() == "nvidia");
  CHECK(counted.ask().error().message == "the library is not there");
  gpu_facts::Counted known(nvml::Inventory{.driver = "570", .gpus = {gpu("0000:1b:00.0", {})}});
  CHECK(known.ask()->devices.size() == 1);
}

TEST_CASE("a driver that hangs keeps nobody longer than they will wait") {
  const test::TemporaryFolder folder;
  ::setenv("CLOUDOS_NVML_STUB", (folder / "gpus").c_str(), 1);
  REQUIRE(os::write_atomic(folder / "gpus", "hang\n", 0644));
  gpu_facts::Asking asking(CLOUDOS_NVML_LIBRARY, 100ms);
  const auto before = std::chrono::steady_clock::now();
  const auto answer = asking.ask();
  REQUIRE(os::write_atomic(folder / "gpus", "driver 1\n", 0644));  // so that its thread comes to an end
  CHECK(answer.error().kind == ErrorKind::timeout);
  CHECK(std::chrono::steady_clock::now() - before < 10s);
}
