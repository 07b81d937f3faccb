#include <set>

#include "samples.hpp"

using namespace cloudos;
using namespace cloudos::health;
using namespace cloudos::health::test;

TEST_CASE("a machine that is well has every condition false, and writes nothing more") {
  Machine machine;
  const auto first = machine.look();
  CHECK(first.events.empty());
  std::set<std::string> types;
  for (const auto& condition : first.changed) {
    CHECK_FALSE(condition.status);
    types.insert(condition.type);
  }
  CHECK(types.size() == 17);  // all but GPUUnhealthy: it has no GPU
  for (int i = 0; i < 600; ++i) CHECK(machine.look().changed.empty());
  CHECK(machine.events.empty());
}

TEST_CASE("what could not be looked at is neither good nor bad") {
  Monitor monitor;
  std::set<std::string> types;
  for (const auto& condition : monitor.look(Sample{}).changed) types.insert(condition.type);
  CHECK(types == std::set<std::string>{"KernelOops", "OOMKilling", "TasksHung"});  // the log was read, and empty
  Machine machine;
  machine.sample.links->front().duplex = "half";
  machine.looks(2);
  REQUIRE(machine.bad(type::duplex));
  machine.sample.links.reset();
  machine.looks(10);
  CHECK(machine.bad(type::duplex));
}

TEST_CASE("a clock that is off is told after three looks, and when it is right again") {
  Machine machine;
  machine.sample.clock->offset_us = -800'000;
  machine.looks(2);
  CHECK_FALSE(machine.bad(type::clock));
  machine.look();
  CHECK(machine.bad(type::clock));
  CHECK(machine.condition(type::clock).reason == "ClockOffset");
  CHECK(machine.condition(type::clock).message.contains("800.0 ms"));
  CHECK(machine.is_problem(type::clock, "clock"));
  CHECK(machine.told("ClockOffset") == 1);
  machine.sample.clock->offset_us = 300'000;  // better, not good
  machine.looks(10);
  CHECK(machine.bad(type::clock));
  machine.sample.clock->offset_us = 20;
  machine.looks(3);
  CHECK_FALSE(machine.bad(type::clock));
  CHECK(machine.told("ClockSkewedCleared") == 1);
}

TEST_CASE("a clock that nothing keeps right is told, and one that is set is an event") {
  Machine machine;
  machine.sample.clock->synchronised = false;
  machine.looks(3);
  CHECK(machine.condition(type::clock).reason == "ClockNotSynchronised");
  Monitor monitor;
  auto sample = well();
  sample.wall_ms = 1'800'000'000'000;
  static_cast<void>(monitor.look(sample));
  sample.monotonic_ms += minute;
  sample.wall_ms += minute + 90'000;
  const auto out = monitor.look(sample);
  REQUIRE(out.events.size() == 1);
  CHECK(out.events[0].reason == "ClockJumped");
  CHECK(out.events[0].message.contains("forward by 90 s"));
}

TEST_CASE("a file system that turns read-only is told with its disk, and when it is writable again") {
  Machine machine;
  machine.look();
  machine.sample.file_systems->front().read_only = true;
  machine.look();
  CHECK(machine.bad(type::read_only));
  CHECK(machine.condition(type::read_only).message.contains("/dev/sda2"));
  CHECK(machine.told("FilesystemIsReadOnly") == 1);
  CHECK(machine.is_problem(type::read_only, "/"));
  machine.sample.file_systems->front().read_only = false;
  machine.looks(2);
  CHECK_FALSE(machine.bad(type::read_only));
  CHECK(machine.told("ReadonlyFilesystemCleared") == 1);
}

TEST_CASE("a file system that is meant to be read-only is no fault, unless the kernel made it so before we came") {
  Machine machine;
  machine.sample.file_systems->push_back({.path = "/mnt/image", .device = "/dev/sdb1", .type = "ext4", .read_only = true});
  machine.looks(3);
  CHECK_FALSE(machine.bad(type::read_only));
  machine.says("EXT4-fs (sdb1): Remounting filesystem read-only");
  machine.look();
  CHECK(machine.is_problem(type::read_only, "/mnt/image"));
}

TEST_CASE("a disk that fills is told with the date when it will be full, and when it has stopped") {
  Machine machine;
  auto& fs = machine.sample.file_systems->front();
  fs.free = 40_GiB;
  for (int i = 0; i < 12; ++i) {
    machine.look(5 * minute);
    fs.free.count -= (2_GiB).count / 12;  // 2 GiB an hour: some 19 hours are left
  }
  CHECK(machine.bad(type::filling));
  const auto condition = machine.condition(type::filling);
  CHECK(condition.reason == "DiskFilling");
  CHECK(condition.message.contains("will be full on 2027-01-16 0"));  // the samples begin on 2027-01-15 08:00
  CHECK(machine.told("DiskFilling") == 1);
  machine.looks(100, 5 * minute);  // nothing more is written to it
  CHECK_FALSE(machine.bad(type::filling));
  CHECK(machine.told("DiskFillingCleared") == 1);
}

TEST_CASE("a disk that is nearly full is told, and the message does not change with every byte") {
  Machine machine;
  auto& fs = machine.sample.file_systems->front();
  fs.free = 4_GiB;
  machine.look();
  CHECK(machine.condition(type::filling).reason == "DiskNearlyFull");
  std::size_t writes = 0;
  for (int i = 0; i < 60; ++i) {
    fs.free.count -= 1'000'000;
    for (const auto& condition : machine.look().changed) writes += condition.type == type::filling ? 1U : 0U;
  }
  CHECK(writes <= 4);
  fs.free = 50_GiB;
  machine.looks(100, 5 * minute);
  CHECK_FALSE(machine.bad(type::filling));
}

TEST_CASE("a disk whose inodes run out is told, and when there are some again") {
  Machine machine;
  machine.sample.file_systems->front().inodes_free = 30'000;
  machine.look();
  CHECK(machine.bad(type::inodes));
  CHECK(machine.told("InodesNearlyExhausted") == 1);
  machine.sample.file_systems->front().inodes_free = 60'000;  // between the two
  machine.looks(5);
  CHECK(machine.bad(type::inodes));
  machine.sample.file_systems->front().inodes_free = 500'000;
  machine.looks(2);
  CHECK_FALSE(machine.bad(type::inodes));
}

TEST_CASE("PIDs that run out are told, and when there are some again") {
  Machine machine;
  machine.sample.pids->used = 31'000;
  machine.looks(2);
  CHECK(machine.bad(type::pids));
  CHECK(machine.condition(type::pids).message.contains("31000 of 32768"));
  machine.sample.pids->used = 27'000;
  machine.looks(5);
  CHECK(machine.bad(type::pids));
  machine.sample.pids->used = 600;
  machine.looks(2);
  CHECK_FALSE(machine.bad(type::pids));
  CHECK(machine.told("PIDsExhaustedCleared") == 1);
}

TEST_CASE("connection tracking that is nearly full is told, and when it is not any more") {
  Machine machine;
  machine.sample.conntrack->used = 250'000;
  machine.looks(2);
  CHECK(machine.bad(type::conntrack));
  CHECK(machine.told("ConnectionTrackingNearlyFull") == 1);
  machine.sample.conntrack->used = 1000;
  machine.looks(2);
  CHECK_FALSE(machine.bad(type::conntrack));
}

TEST_CASE("a disk too slow for etcd is told after three looks, and when it is fast again") {
  Machine machine;
  machine.sample.sync_p99_us["/var/lib/etcd"] = 45'000;
  machine.looks(2);
  CHECK_FALSE(machine.bad(type::sync));
  machine.look();
  CHECK(machine.bad(type::sync));
  CHECK(machine.condition(type::sync).message.contains("45.0 ms"));
  machine.sample.sync_p99_us["/var/lib/etcd"] = 1500;
  machine.looks(3);
  CHECK_FALSE(machine.bad(type::sync));
}

TEST_CASE("a certificate that expires is told two weeks before, and when it is renewed") {
  Machine machine;
  auto& certificate = machine.sample.certificates->front();
  certificate.expires_s = 1'800'000'000 + 10LL * 86400;
  machine.look();
  CHECK(machine.condition(type::certificate).reason == "CertificateExpiresSoon");
  CHECK(machine.condition(type::certificate).message.contains("/etc/kubernetes/pki/apiserver.crt expires on 2027-01-25"));
  certificate.expires_s = 1'800'000'000 - 86400;
  machine.look();
  CHECK(machine.condition(type::certificate).reason == "CertificateExpired");
  certificate.expires_s = 1'800'000'000 + 365LL * 86400;
  machine.look();
  CHECK_FALSE(machine.bad(type::certificate));
  CHECK(machine.told("CertificateExpiringCleared") == 1);
}
