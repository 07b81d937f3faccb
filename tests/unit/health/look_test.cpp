#include <catch2/catch_test_macros.hpp>
#include <fstream>

#include "agent/health/sample.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace cloudos;
using namespace cloudos::health;
namespace fs = std::filesystem;

namespace {

struct Tree {
  cloudos::test::TemporaryFolder folder;
  void write(const fs::path& path, const std::string& text) const {
    fs::create_directories((folder / path).parent_path());
    std::ofstream(folder / path, std::ios::app) << text;
  }
  [[nodiscard]] Senses senses() const {
    return {.roots = {.root = folder.path(), .procfs = folder / "proc", .sysfs = folder / "sys", .devfs = folder / "dev"},
            .space = [](const fs::path&) -> Result<os::Space> { return os::Space{10_GiB, 4_GiB, 1000, 10}; }};
  }
};

}  // namespace

TEST_CASE("a sample is read from files below the roots") {
  const Tree tree;
  tree.write("proc/self/mountinfo",
             "25 1 8:2 / / ro,relatime - ext4 /dev/sda2 rw\n"  // as the agent sees it: only its mount is read-only
             "26 25 8:3 / /data ro - xfs /dev/sdb1 ro\n"
             "27 25 0:5 / /mnt/nfs rw - nfs4 server:/x rw\n"
             "28 25 8:2 /var /bind rw - ext4 /dev/sda2 rw\n");
  tree.write("proc/loadavg", "0.10 0.20 0.30 3/712 12345\n");
  tree.write("proc/sys/kernel/pid_max", "4194304\n");
  tree.write("proc/sys/kernel/threads-max", "256000\n");
  tree.write("proc/sys/kernel/tainted", "4096\n");
  tree.write("proc/sys/net/netfilter/nf_conntrack_max", "262144\n");
  tree.write("proc/sys/net/netfilter/nf_conntrack_count", "1234\n");
  for (const auto* name : {"eth0", "veth1"}) {
    tree.write(fs::path("sys/class/net") / name / "carrier", "1\n");
    tree.write(fs::path("sys/class/net") / name / "carrier_changes", "7\n");
    tree.write(fs::path("sys/class/net") / name / "duplex", "full\n");
  }
  tree.write("sys/class/net/eth0/device/vendor", "0x8086\n");
  tree.write("sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count", "3\n");
  tree.write("sys/devices/system/cpu/cpu0/topology/physical_package_id", "0\n");
  tree.write("sys/devices/system/edac/mc/mc0/ce_count", "5\n");
  tree.write("sys/devices/system/edac/mc/mc0/ue_count", "1\n");
  const auto sample = look(tree.senses());
  REQUIRE(sample.file_systems);
  REQUIRE(sample.file_systems->size() == 2);
  CHECK(sample.file_systems->at(0).free == 4_GiB);
  CHECK_FALSE(sample.file_systems->at(0).read_only);
  CHECK(sample.file_systems->at(1).read_only);
  CHECK(sample.pids->used == 712);
  CHECK(sample.pids->limit == 256000);
  CHECK(sample.conntrack->used == 1234);
  CHECK(sample.tainted == 4096);
  REQUIRE(sample.links->size() == 1);
  CHECK(sample.links->front().carrier_changes == 7);
  CHECK(sample.cpu_throttles.at("package 0") == 3);
  CHECK(sample.memory_errors.at("mc0").uncorrected == 1);
  CHECK_FALSE(sample.certificates);  // told by another (agent/certificates)
}

TEST_CASE("what is not there is absent from a sample") {
  const Tree tree;
  const auto sample = look(tree.senses());
  CHECK_FALSE(sample.file_systems);
  CHECK_FALSE(sample.pids);
  CHECK_FALSE(sample.conntrack);
  CHECK_FALSE(sample.links);
  CHECK_FALSE(sample.gpus);
}

TEST_CASE("a record of the kernel's log is taken apart, and a plain line is its text") {
  const auto line = parse_kernel_line("3,1722,123456789,-;EXT4-fs error (device sda2)\n SUBSYSTEM=block\n");
  CHECK(line.priority == 3);
  CHECK(line.sequence == 1722);
  CHECK(line.since_boot_us == 123456789);
  CHECK(line.text == "EXT4-fs error (device sda2)");
  CHECK(parse_kernel_line("30,1,5,c;from a daemon").priority == 6);
  CHECK(parse_kernel_line("a plain line; of a log").text == "a plain line; of a log");
}

TEST_CASE("new lines of the log are given once, and a half line when it is whole") {
  const Tree tree;
  tree.write("dev/kmsg", "6,1,10,-;one\n6,2,20,-;two\n KEY=value\n4,3,3");
  auto log = KernelLog::open(tree.folder / "dev/kmsg");
  REQUIRE(log);
  auto lines = log->read();
  REQUIRE(lines);
  REQUIRE(lines->size() == 2);
  CHECK(lines->at(1).text == "two");
  tree.write("dev/kmsg", "0,-;three\n");
  lines = log->read();
  REQUIRE(lines->size() == 1);
  CHECK(lines->at(0).text == "three");
  CHECK(log->read()->empty());
  CHECK_FALSE(KernelLog::open(tree.folder / "dev/nothing"));
}
