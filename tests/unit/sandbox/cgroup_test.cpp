#include "installer/sandbox/cgroup.hpp"

#include <catch2/catch_test_macros.hpp>

using namespace cloudos;
using namespace cloudos::sandbox;

TEST_CASE("on cgroup v1 a machine gets its groups where the caller is, in every hierarchy") {
  const auto found = parse_cgroups("9:name=systemd:/\n4:memory:/user/42\n2:cpu,cpuacct:/\n0::/\n",
                                   "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
                                   "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:7 - cgroup cgroup rw,cpu,cpuacct\n"
                                   "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
                                   "40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd\n"
                                   "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n");
  REQUIRE(found);
  CHECK_FALSE(found->unified);
  REQUIRE(found->hierarchies.size() == 4);
  CHECK(found->hierarchies[0] ==
        Hierarchy{.controllers = {"name=systemd"}, .mount = "/sys/fs/cgroup/systemd", .parent = "/sys/fs/cgroup/systemd"});
  CHECK(found->hierarchies[1].parent == "/sys/fs/cgroup/memory/user/42");
  CHECK(found->hierarchies[2].controllers == std::vector<std::string>{"cpu", "cpuacct"});
  // systemd-nspawn goes by the group there, else all machines would share their units' groups.
  CHECK(found->hierarchies[3].parent == "/sys/fs/cgroup/unified");
}

TEST_CASE("on cgroup v2 a machine gets one group at the top, where no process of the caller is in its way") {
  const auto found =
      parse_cgroups("0::/user.slice/session-3.scope\n", "26 25 0:22 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n");
  REQUIRE(found);
  CHECK(found->unified);
  REQUIRE(found->hierarchies.size() == 1);
  CHECK(found->hierarchies[0].parent == "/sys/fs/cgroup");
}

TEST_CASE("a v1 hierarchy without the memory controller beside cgroup v2 does not count as v1") {
  const auto found = parse_cgroups("1:name=systemd:/init.scope\n0::/init.scope\n",
                                   "40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n"
                                   "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
  REQUIRE(found);
  CHECK(found->unified);
}

TEST_CASE("inside a container that sees a part of a hierarchy, groups are made below that part") {
  const auto found =
      parse_cgroups("4:memory:/docker/abc/inner\n", "35 31 0:32 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n");
  REQUIRE(found);
  CHECK(found->hierarchies.at(0).parent == "/sys/fs/cgroup/memory/inner");
}

TEST_CASE("a computer without control groups for memory is refused with a way out") {
  const auto none = parse_cgroups("0::/\n", "1 1 0:1 / / rw - ext4 /dev/sda rw\n");
  REQUIRE_FALSE(none);
  CHECK(none.error().kind == ErrorKind::refused);
  CHECK_FALSE(none.error().hint.empty());
}
