#include "agent/devices/health.hpp"

#include <catch2/catch_test_macros.hpp>

using namespace cloudos;
using namespace cloudos::devices;
using namespace std::chrono_literals;

namespace {

const Seen well{}, lost{.problem = "the GPU has fallen off the bus", .sure = true}, doubtful{.problem = "no answer"};

struct Gpu {
  Health health{Timing{}};
  Time now{};
  // Looks every ten seconds for `span`; gives how long it took to change, or nothing.
  std::optional<std::chrono::seconds> changes_within(const Seen& seen, std::chrono::seconds span) {
    for (std::chrono::seconds gone{}; gone <= span; gone += 10s, now += 10s)
      if (health.look(seen, now)) {
        now += 10s;
        return gone;
      }
    return std::nullopt;
  }
};

}  // namespace

TEST_CASE("a GPU that falls off the bus is unfit at once, and fit again once it was well for half a minute") {
  Gpu gpu;
  CHECK(gpu.health.look(lost, gpu.now));
  CHECK_FALSE(gpu.health.fit());
  CHECK(gpu.health.cause() == "the GPU has fallen off the bus");
  CHECK(gpu.changes_within(well, 300s) == 30s);
  CHECK(gpu.health.fit());
}

TEST_CASE("one look that fails is no illness, two in a row are") {
  Gpu gpu;
  CHECK_FALSE(gpu.health.look(doubtful, gpu.now));
  CHECK_FALSE(gpu.health.look(well, gpu.now));
  CHECK_FALSE(gpu.health.look(doubtful, gpu.now));
  CHECK(gpu.health.look(doubtful, gpu.now));
}

TEST_CASE("a bad look on the way to recovery starts the wait anew") {
  Gpu gpu;
  REQUIRE(gpu.health.look(lost, gpu.now));
  CHECK_FALSE(gpu.changes_within(well, 20s));
  CHECK_FALSE(gpu.health.look(lost, gpu.now));
  CHECK(gpu.changes_within(well, 300s) == 30s);
}

TEST_CASE("a GPU that flaps waits twice as long each time, half an hour at most, and is forgiven after an hour of peace") {
  Gpu gpu;
  for (const auto expected : {30s, 60s, 120s, 240s, 480s, 960s, 1800s, 1800s}) {
    REQUIRE(gpu.health.look(lost, gpu.now));
    CHECK(gpu.changes_within(well, 4000s) == expected);
  }
  gpu.now += 3601s;
  REQUIRE(gpu.health.look(lost, gpu.now));
  CHECK(gpu.changes_within(well, 300s) == 30s);
}

TEST_CASE("a program's own fault takes no GPU away") {
  Gpu gpu;
  for (const std::uint64_t xid : {13, 31, 43, 45, 63, 68, 94, 109}) CHECK_FALSE(gpu.health.xid(xid, gpu.now));
  CHECK(gpu.health.fit());
}

TEST_CASE("an Xid that asks for a reset keeps the GPU away until the driver says that it was") {
  Gpu gpu;
  CHECK(gpu.health.xid(79, gpu.now));
  CHECK(gpu.health.cause() == "Xid 79: the GPU has fallen off the bus");
  CHECK_FALSE(gpu.changes_within({.problem = "the driver wants the GPU reset", .sure = true, .reset_done = false}, 3600s));
  CHECK(gpu.changes_within({.reset_done = true}, 300s) == 30s);
}

TEST_CASE("where the driver cannot say so, ten good minutes stand for the reset") {
  Gpu gpu;
  CHECK(gpu.health.xid(48, gpu.now));
  CHECK(gpu.changes_within(well, 3600s) == 600s);
}

TEST_CASE("an Xid that nobody knows is a short illness") {
  Gpu gpu;
  CHECK(gpu.health.xid(4711, gpu.now));
  CHECK(gpu.health.cause() == "Xid 4711");
  CHECK(gpu.changes_within(well, 300s) == 30s);
}

TEST_CASE("what a GPU needs is the gravest of all that came since it became unfit, and nothing once it is fit") {
  Gpu gpu;
  REQUIRE(gpu.health.look(lost, gpu.now));
  CHECK(gpu.health.remedy() == xid::Remedy::time);
  gpu.health.xid(64, gpu.now);
  gpu.health.xid(48, gpu.now);
  CHECK(gpu.health.remedy() == xid::Remedy::replace);
  REQUIRE(gpu.changes_within(well, 3600s));
  CHECK(gpu.health.remedy() == xid::Remedy::none);
}

TEST_CASE("the first cause stays the cause") {
  Gpu gpu;
  CHECK(gpu.health.xid(79, gpu.now));
  CHECK_FALSE(gpu.health.xid(45, gpu.now));
  CHECK_FALSE(gpu.health.look(lost, gpu.now));
  CHECK(gpu.health.cause() == "Xid 79: the GPU has fallen off the bus");
}

TEST_CASE("what a driver wants done decides, and rows that wait for a reset do not") {
  nvml::Reading reading{.uuid = "GPU-a"};
  CHECK(seen_of(reading).problem.empty());
  CHECK_FALSE(seen_of(reading).reset_done);
  reading.remap_pending = true;
  CHECK(seen_of(reading).problem.empty());
  reading.recovery = nvml::Recovery::none;
  CHECK(seen_of(reading).reset_done == true);
  reading.recovery = nvml::Recovery::drain_p2p;
  CHECK(seen_of(reading).problem.empty());
  for (const auto recovery : {nvml::Recovery::reset, nvml::Recovery::reboot, nvml::Recovery::drain_and_reset}) {
    reading.recovery = recovery;
    CHECK(seen_of(reading).sure);
    CHECK_FALSE(seen_of(reading).problem.empty());
    CHECK(seen_of(reading).remedy == (recovery == nvml::Recovery::reboot ? xid::Remedy::restart : xid::Remedy::reset));
  }
  reading.recovery = nvml::Recovery::none;
  reading.remap_failed = true;
  CHECK(seen_of(reading).problem.contains("replace"));
}
