#include "agent/facts/parse.hpp"

#include <catch2/catch_test_macros.hpp>

using namespace cloudos;
using namespace cloudos::facts;

TEST_CASE("os-release values are read bare and in both kinds of quotes") {
  const auto values = parse_assignments("# comment\nID=debian\nPRETTY_NAME=\"Debian GNU/Linux 13\"\nVARIANT='x y'\nnonsense\n");
  CHECK(values == std::map<std::string, std::string>{{"ID", "debian"}, {"PRETTY_NAME", "Debian GNU/Linux 13"}, {"VARIANT", "x y"}});
}

TEST_CASE("a CPU without packages, as ARM's, is one socket with a core a thread") {
  const auto cpu = parse_cpuinfo("processor\t: 0\nBogoMIPS\t: 50.00\n\nprocessor\t: 1\nBogoMIPS\t: 50.00\n");
  CHECK(cpu.sockets == 1);
  CHECK(cpu.cores == 2);
  CHECK(cpu.threads == 2);
  CHECK(parse_cpuinfo("").sockets == 0);
}

TEST_CASE("a path lies on the mount nearest above it, and of two on the same place on the later") {
  const auto mounts = parse_mountinfo(
      "25 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
      "30 25 8:2 / /var/lib rw shared:6 master:1 - xfs /dev/sdb1 rw\n"
      "31 30 8:3 / /var/lib rw - xfs /dev/sdc1 rw\n"
      "torn line\n");
  REQUIRE(mounts.size() == 3);
  CHECK(mount_of(mounts, "/var/lib/cloudos")->device == "/dev/sdc1");
  CHECK(mount_of(mounts, "/var/library")->device == "/dev/sda1");
  CHECK(mount_of({}, "/") == nullptr);
}

TEST_CASE("only sockets that wait for peers are listeners") {
  const std::string_view text =
      "  sl  local_address rem_address   st ...\n"
      "   0: 0200000A:192B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 42 1\n"
      "   1: 0200000A:192B 0300000A:9C40 01 00000000:00000000 00:00000000 00000000     0        0 43 1\n";
  const auto waiting = parse_sockets("tcp", text);
  REQUIRE(waiting.size() == 1);
  CHECK(waiting[0].address == "10.0.0.2");
  CHECK(waiting[0].port == 6443);
  CHECK(waiting[0].inode == 42);
  CHECK(parse_sockets("udp", text).empty());
}

TEST_CASE("a process's unit is that of this machine, not of one nested in it") {
  CHECK(unit_of_cgroup("0::/system.slice/kubelet.service\n") == "kubelet.service");
  CHECK(unit_of_cgroup("0::/user.slice/user-0.slice/session-3.scope\n") == "session-3.scope");
  CHECK(unit_of_cgroup("4:memory:/a\n1:name=systemd:/machine.slice/m.scope/payload/system.slice/kubelet.service\n0::/\n") == "m.scope");
  CHECK(unit_of_cgroup("0::/\n").empty());
  CHECK(unit_of_cgroup("").empty());
}

TEST_CASE("virtualisation has systemd-detect-virt's names") {
  CHECK(virtualisation_of("systemd-nspawn\n", "QEMU", true) == "systemd-nspawn");
  CHECK(virtualisation_of("", "Standard PC\nQEMU\n", true) == "kvm");
  CHECK(virtualisation_of("", "m5.metal\nAmazon EC2\n", false) == "none");
  CHECK(virtualisation_of("", "", true) == "vm-other");
}

TEST_CASE("a join that was begun and not finished is partial, one that was undone is none") {
  const auto record = [](const char* kind, const char* state) {
    return model::JournalRecord{.sequence = 0, .at_ms = 0, .run = {}, .step = {}, .kind = kind, .state = state, .undo = {}};
  };
  auto node_of_a_master = record("kubeadm-join", "done");
  node_of_a_master.undo["control-plane"] = "follows";
  CHECK(join_state({record("kubeadm-join", "done")}) == "joined");
  CHECK(join_state({node_of_a_master}) == "partial");
  CHECK(join_state({node_of_a_master, record("kubeadm-control-plane", "intent")}) == "partial");
  CHECK(join_state({node_of_a_master, record("kubeadm-control-plane", "done")}) == "joined");
  CHECK(join_state({}) == "none");
  CHECK(join_state({record("unit", "done")}) == "none");
  CHECK(join_state({record("kubeadm-join", "intent")}) == "partial");
  CHECK(join_state({record("kubeadm-join", "intent"), record("kubeadm-join", "failed")}) == "partial");
  CHECK(join_state({record("kubeadm-init", "intent"), record("kubeadm-init", "done"), record("unit", "intent")}) == "joined");
  CHECK(join_state({record("kubeadm-init", "intent"), record("kubeadm-init", "done"), record("kubeadm-init", "undone")}) == "none");
}

TEST_CASE("an agent knows its own digest from where it runs") {
  CHECK(agent_digest_of("/var/lib/cloudos/agent/0123456789ab/lib/ld-linux-x86-64.so.2") == "0123456789ab");
  CHECK(agent_digest_of("/src/build/dev/agent/cli/cloudos-agent").empty());
  CHECK(agent_digest_of("/x/agent/0123456789AB/bin/y").empty());
}

TEST_CASE("kernels are compared by number") {
  CHECK(kernel_at_least("6.1.0-18-amd64", 5, 13));
  CHECK(kernel_at_least("5.13.0", 5, 13));
  CHECK_FALSE(kernel_at_least("5.4.0-150-generic", 5, 13));
  CHECK_FALSE(kernel_at_least("nonsense", 5, 13));
}

TEST_CASE("only graphics and accelerators of the three vendors are GPUs") {
  CHECK(gpu_of("0x030200", "0x10de", "0x2330", "nvidia")->device == "10de:2330");
  CHECK(gpu_of("0x0b4000", "0x8086", "0x0bda", "")->driver == "driver missing");
  CHECK(gpu_of("0x038000", "0x8086", "0x0bda", "i915")->device == "8086:0bda");
  CHECK_FALSE(gpu_of("0x030000", "0x1a03", "0x2000", "ast"));
  CHECK_FALSE(gpu_of("0x020000", "0x8086", "0x1521", "igb"));
  CHECK_FALSE(gpu_of("", "", "", ""));
}
