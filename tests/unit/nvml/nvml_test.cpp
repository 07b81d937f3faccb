#include "agent/nvml/nvml.hpp"

#include <poll.h>

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "agent/nvml/watch.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace cloudos;
using namespace std::chrono_literals;

namespace {

constexpr auto two_gpus =
    "driver 570.86.15\ncuda 12080\n"
    "gpu uuid=GPU-aaaa name=NVIDIA_H100_80GB_HBM3 bus=00000000:18:00.0 minor=0 memory=81559 cc=9.0 link=fabric|fabric mig=0 ecc=3 "
    "throttle=69 power=120500 busy=93 used=1024\n"
    "gpu uuid=GPU-bbbb name=NVIDIA_H100_80GB_HBM3 bus=00010000:2A:00.0 minor=1 memory=81559 cc=9.0 link=00000000:18:00.0\n";

struct Fixture {
  test::TemporaryFolder folder;
  Fixture() { ::setenv("CLOUDOS_NVML_STUB", (folder / "gpus").c_str(), 1); }
  void say(const std::string& text) const {
    std::ofstream(folder / "gpus.part") << text;
    std::filesystem::rename(folder / "gpus.part", folder / "gpus");
  }
};

// News that satisfy `so`, gathered for a few seconds.
template <class F>
bool hear(nvml::Watch& watch, F so) {
  const auto until = in(10s);
  while (std::chrono::steady_clock::now() < until) {
    pollfd event{.fd = watch.fd(), .events = POLLIN, .revents = 0};
    ::poll(&event, 1, 200);
    if (so(watch.take())) return true;
  }
  return false;
}

}  // namespace

TEST_CASE("every GPU is told with its name, place, memory and links") {
  const Fixture f;
  f.say(two_gpus);
  auto library = nvml::Library::open(CLOUDOS_NVML_LIBRARY);
  REQUIRE(library);
  const auto inventory = library->inventory();
  REQUIRE(inventory);
  CHECK(inventory->driver == "570.86.15");
  CHECK(inventory->cuda_major == 12);
  CHECK(inventory->cuda_minor == 8);
  REQUIRE(inventory->gpus.size() == 2);
  const auto& first = inventory->gpus[0];
  CHECK(first.uuid == "GPU-aaaa");
  CHECK(first.name == "NVIDIA H100 80GB HBM3");
  CHECK(first.pci_bus == "0000:18:00.0");
  CHECK(first.memory == Bytes{81559ULL << 20U});
  CHECK(first.compute_major == 9);
  CHECK(first.mig_capable);
  CHECK_FALSE(first.mig_enabled);
  CHECK(first.linked == std::vector<std::string>{"fabric"});
  CHECK(inventory->gpus[1].pci_bus == "00010000:2a:00.0");
  CHECK_FALSE(inventory->gpus[1].mig_capable);
  CHECK(inventory->gpus[1].linked == std::vector<std::string>{"0000:18:00.0"});
  CHECK(library->folder() == std::filesystem::path(CLOUDOS_NVML_LIBRARY).parent_path());
}

TEST_CASE("readings tell load, heat and errors, and what is not known stays open") {
  const Fixture f;
  f.say(two_gpus);
  auto library = nvml::Library::open(CLOUDOS_NVML_LIBRARY);
  REQUIRE(library);
  REQUIRE(library->inventory());
  const auto readings = library->readings();
  REQUIRE(readings.size() == 2);
  CHECK(readings[0].busy == 93U);
  CHECK(readings[0].power == 120'500U);
  CHECK(readings[0].ecc_uncorrected == 3U);
  CHECK(readings[0].memory_used == Bytes{1ULL << 30U});
  REQUIRE(readings[0].throttle);
  CHECK(nvml::throttle_reasons(*readings[0].throttle) == std::vector<std::string>{"power cap", "thermal (hardware)"});
  CHECK_FALSE(readings[1].ecc_uncorrected);
  CHECK_FALSE(readings[1].recovery);
}

TEST_CASE("a GPU that fell off the bus says so and the others go on") {
  const Fixture f;
  f.say(two_gpus);
  auto library = nvml::Library::open(CLOUDOS_NVML_LIBRARY);
  REQUIRE(library);
  REQUIRE(library->inventory());
  auto text = std::string(two_gpus);
  f.say(text.replace(text.find("cc=9.0"), 6, "lost=1"));
  const auto readings = library->readings();
  CHECK(readings[0].lost);
  REQUIRE(readings[0].error);
  CHECK(readings[0].error->message.contains("fallen off the bus"));
  CHECK_FALSE(readings[1].error);
}

TEST_CASE("MIG instances have the names that NVIDIA gives them") {
  const Fixture f;
  f.say(
      "driver 1\ncuda 12080\ngpu uuid=GPU-a name=A bus=00000000:18:00.0 minor=0 memory=81559 mig=1\n"
      "gpu uuid=GPU-b name=A100 bus=00000000:19:00.0 minor=1 memory=40536 mig=1\n"
      "mig gpu=0 uuid=MIG-1 gi=9 ci=0 slices=1 memory=9856\nmig gpu=0 uuid=MIG-2 gi=2 ci=0 slices=3 memory=40192\n"
      "mig gpu=0 uuid=MIG-3 gi=1 ci=0 slices=3 compute=1 memory=40192\nmig gpu=1 uuid=MIG-4 gi=0 ci=0 slices=1 memory=4864\n");
  auto library = nvml::Library::open(CLOUDOS_NVML_LIBRARY);
  REQUIRE(library);
  const auto inventory = library->inventory();
  REQUIRE(inventory);
  std::vector<std::string> names;
  for (const auto& gpu : inventory->gpus)
    for (const auto& instance : gpu.instances) names.push_back(instance.profile);
  CHECK(names == std::vector<std::string>{"1g.10gb", "3g.40gb", "1c.3g.40gb", "1g.5gb"});
  CHECK(inventory->gpus[0].instances[0].gpu_instance == 9);
}

TEST_CASE("no library and no driver are told apart, in words") {
  const Fixture f;
  CHECK(nvml::Library::open("/nonexistent/libnvidia-ml.so.1").error().message.contains("/nonexistent"));
  CHECK(nvml::Library::open(CLOUDOS_NVML_LIBRARY).error().message.contains("the driver is not loaded"));
  CHECK(nvml::Library::open(CLOUDOS_NVML_LIBRARY).error().retryable);
}

TEST_CASE("the watch finds a driver that is loaded later, hears Xids and sees a driver go and come back") {
  const Fixture f;
  auto watch = nvml::Watch::start(CLOUDOS_NVML_LIBRARY, {.probe = 50ms, .inventory = 100ms, .retry = 50ms});
  REQUIRE(watch);
  CHECK(hear(*watch, [](const nvml::News& n) { return n.missing.has_value(); }));
  f.say(two_gpus);
  CHECK(hear(*watch, [](const nvml::News& n) { return n.inventory && n.inventory->gpus.size() == 2; }));
  f.say(std::string(two_gpus) + "xid gpu=1 number=79\n");
  CHECK(hear(*watch, [](const nvml::News& n) { return n.xids == std::vector<nvml::Xid>{{"GPU-bbbb", 79, {}}}; }));
  std::filesystem::remove(f.folder / "gpus");
  CHECK(hear(*watch, [](const nvml::News& n) { return n.missing.has_value(); }));
  f.say(two_gpus);
  CHECK(hear(*watch, [](const nvml::News& n) { return n.inventory.has_value(); }));
}

TEST_CASE("a driver that hangs shows as an answer that grows old, and does not keep the watch from ending") {
  const Fixture f;
  f.say(two_gpus);
  {
    auto watch = nvml::Watch::start(CLOUDOS_NVML_LIBRARY, {.probe = 50ms, .inventory = 50ms, .retry = 50ms});
    REQUIRE(watch);
    CHECK(hear(*watch, [](const nvml::News& n) { return !n.readings.empty(); }));
    f.say(std::string(two_gpus) + "hang\n");
    std::this_thread::sleep_for(2s);
    CHECK(std::chrono::steady_clock::now() - watch->last_answer() > 1500ms);
  }
  f.say(two_gpus);
}
