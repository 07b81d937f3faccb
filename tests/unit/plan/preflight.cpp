#include <catch2/catch_test_macros.hpp>

#include <algorithm>

#include "sample.hpp"

using namespace cloudos;
using model::Finding;
using model::Role;

namespace {

const MachineId m1{"10.0.0.1"}, m2{"10.0.0.2"}, m3{"10.0.0.3"}, m4{"10.0.0.4"};

// One master and three nodes, all well.
struct Ground {
  plan::Input in = sample::input(1, 3);
  model::HostFacts& facts(const MachineId& id) { return in.machines.at(id).facts; }
  void join_all() {
    for (const auto& machine : in.config.machines) {
      facts(machine.id) = sample::joined(facts(machine.id), machine.role, machine.host);
      in.missing[machine.id] = {};
    }
  }
};

// The only finding.
Finding only(const Ground& ground) {
  const auto all = plan::preflight(ground.in);
  for (const auto& finding : all) UNSCOPED_INFO(finding.where << " " << finding.code << ": " << finding.message);
  REQUIRE(all.size() == 1);
  CHECK_FALSE(all[0].remedy.empty());
  return all[0];
}
bool clean(const Ground& ground) {
  const auto all = plan::preflight(ground.in);
  for (const auto& finding : all) UNSCOPED_INFO(finding.where << " " << finding.code << ": " << finding.message);
  return all.empty();
}

}  // namespace

TEST_CASE("machines that are well have no findings, before and after they have joined") {
  Ground ground;
  CHECK(clean(ground));
  ground.join_all();
  CHECK(clean(ground));
}

TEST_CASE("the findings of all machines come at once") {
  Ground ground;
  ground.facts(m1).root = false;
  ground.facts(m2).init.name = "busybox";
  ground.facts(m3).arch = "arm64";
  ground.facts(m4).features["vxlan"] = {false, "Operation not supported"};
  std::vector<std::string> codes;
  for (const auto& finding : plan::preflight(ground.in)) codes.push_back(finding.where + " " + finding.code);
  CHECK(codes == std::vector<std::string>{"10.0.0.1 not-root", "10.0.0.2 no-systemd", "10.0.0.3 wrong-platform", "10.0.0.4 no-vxlan"});
}

TEST_CASE("a node that does not answer is a warning, the others go on") {
  Ground ground;
  ground.in.machines.erase(m4);
  ground.in.unreachable.emplace(m4, Error{.kind = ErrorKind::network, .message = "connection refused", .hint = "is sshd running?"});
  const auto finding = only(ground);
  CHECK(finding.severity == Finding::Severity::warning);
  CHECK(finding.code == "unreachable");
  CHECK(finding.message == "does not answer (connection refused); the others go on without it");
}

TEST_CASE("no second cluster is founded while a master that may hold one does not answer") {
  Ground ground;
  ground.in = sample::input(3, 1);
  ground.in.machines.erase(m1);
  ground.in.unreachable.emplace(m1, Error{.kind = ErrorKind::network, .message = "no route"});
  CHECK(only(ground).code == "master-unreachable");
  CHECK(only(ground).severity == Finding::Severity::error);
  // Another master is in the cluster: the dead one is only left out.
  for (const auto& id : {m2, m3}) ground.facts(id) = sample::joined(ground.facts(id), Role::master, id.value);
  CHECK(only(ground).severity == Finding::Severity::warning);
}

TEST_CASE("a port that somebody else holds is named with its holder; what is ours is fine") {
  Ground ground;
  ground.facts(m1).listeners.push_back({"tcp6", "::", 6443, "haproxy", "haproxy.service"});
  CHECK(only(ground).message == "tcp port 6443, which kube-apiserver needs, is held by haproxy (haproxy.service)");
  ground.facts(m1).listeners.back() = {"tcp", "127.0.0.1", 7443, "systemd", "init.scope"};
  CHECK(clean(ground));
  ground.facts(m1).listeners.back() = {"udp", "0.0.0.0", 8472, "", ""};
  CHECK(only(ground).code == "port-in-use");
  ground.facts(m1).listeners.back() = {"tcp", "0.0.0.0", 8472, "web", ""};
  CHECK(clean(ground));
}

TEST_CASE("ports of masters are not asked of nodes, and none of a machine that has joined or was cut off half way") {
  Ground ground;
  ground.facts(m2).listeners.push_back({"tcp", "0.0.0.0", 6443, "haproxy", ""});
  CHECK(clean(ground));
  ground.facts(m2).listeners.back() = {"tcp", "0.0.0.0", 10250, "kubelet", "kubelet.service"};
  CHECK(only(ground).code == "port-in-use");
  ground.facts(m2).kubernetes.state = "partial";
  CHECK(clean(ground));
  ground.facts(m2).listeners.back().process = "nginx";
  CHECK(only(ground).code == "port-in-use");
  ground.join_all();
  ground.facts(m2).listeners.push_back({"tcp", "0.0.0.0", 10256, "nginx", ""});
  CHECK(clean(ground));
}

TEST_CASE("two machines with one host name, machine-id or address are told apart from one machine named twice") {
  Ground ground;
  ground.facts(m3).hostname = "m2";
  CHECK(only(ground).code == "same-hostname");
  ground.in.config.machines[2].hostname = "other";
  CHECK(clean(ground));
  ground.facts(m3).machine_id = ground.facts(m2).machine_id;
  CHECK(only(ground).code == "same-machine-id");
  ground.facts(m3).boot_id = ground.facts(m2).boot_id;
  CHECK(only(ground).code == "same-machine");
  ground.facts(m3).machine_id = "3";
  ground.in.config.machines[2].address = "10.0.0.2";
  ground.facts(m3).interfaces[1].addresses.emplace_back("10.0.0.2/24");
  CHECK(only(ground).code == "same-address");
}

TEST_CASE("a host name that cannot name a node is refused with the reason") {
  Ground ground;
  ground.facts(m2).hostname = "Web_1";
  CHECK(only(ground).message == "the host name 'Web_1' has an upper-case letter ('W'), so it cannot name a node");
  ground.facts(m2).hostname = "localhost";
  CHECK(only(ground).code == "bad-hostname");
}

TEST_CASE("a clock that is off by more than five seconds is refused, and only that one") {
  Ground ground;
  ground.in.machines[m3].clock_offset = Milliseconds{600'000};
  CHECK(only(ground).where == "10.0.0.3");
  CHECK(only(ground).message == "its clock is 10 min 00 s ahead of the others'");
  ground.in.machines[m3].clock_offset = Milliseconds{-600'000};
  CHECK(only(ground).message == "its clock is 10 min 00 s behind the others'");
  ground.in.machines[m3].clock_offset = Milliseconds{4'900};
  CHECK(clean(ground));
}

TEST_CASE("a slow line is not taken for a wrong clock") {
  Ground ground;
  ground.in.machines[m3].clock_offset = Milliseconds{7'000};
  CHECK(only(ground).code == "clock");
  ground.in.machines[m3].round_trip = Milliseconds{6'000};
  CHECK(clean(ground));
}

TEST_CASE("the installer's own clock may be wrong, as long as the machines agree") {
  Ground ground;
  for (auto& [id, seen] : ground.in.machines) seen.clock_offset = Milliseconds{900'000};
  CHECK(clean(ground));
}

TEST_CASE("a full disk is refused with the mount point and the bytes missing") {
  Ground ground;
  ground.facts(m2).mounts = {{"/", "/dev/sda1", "ext4", 100_GiB, 90_GiB, 6'000'000, 5'900'000, false},
                             {"/var/lib/cloudos", "/dev/sdb1", "ext4", 10_GiB, 100_MiB, 600'000, 590'000, false}};
  const auto finding = only(ground);
  CHECK(finding.code == "disk-full");
  CHECK(finding.message.starts_with("/var/lib/cloudos has 100 MiB free, the install needs "));
  CHECK(finding.message.ends_with("are missing"));
  // What is there already need not fit again.
  ground.in.missing[m2] = {};
  CHECK(clean(ground));
}

TEST_CASE("a disk that the kubelet would call full after the install is a warning") {
  Ground ground;
  ground.facts(m2).mounts[0].total = 100_GiB;
  ground.facts(m2).mounts[0].free = 15_GiB;
  CHECK(only(ground).code == "disk-nearly-full");
  CHECK(only(ground).severity == Finding::Severity::warning);
}

TEST_CASE("a file system without inodes or mounted read-only is refused") {
  Ground ground;
  ground.facts(m2).mounts[0].inodes_free = 100;
  CHECK(only(ground).code == "inodes-full");
  ground.facts(m2).mounts[0].inodes_free = 5'000'000;
  ground.facts(m2).mounts[0].read_only = true;
  CHECK(only(ground).code == "read-only");
}

TEST_CASE("file systems that do not count inodes pass") {
  Ground ground;
  ground.facts(m2).mounts[0].inodes_total = 0;
  ground.facts(m2).mounts[0].inodes_free = 0;
  CHECK(clean(ground));
}

TEST_CASE("each kernel feature that pods need is asked for, with the reason why it does not work") {
  for (const auto* feature :
       {"overlayfs", "netns", "bridge", "veth", "vxlan", "conntrack", "cgroup-cpu", "cgroup-cpuset", "cgroup-memory", "cgroup-pids"}) {
    INFO(feature);
    Ground ground;
    ground.facts(m2).features[feature] = {false, "No such device"};
    CHECK(only(ground).code == std::string("no-") + feature);
    CHECK(only(ground).message.contains("No such device"));
  }
  Ground ground;
  ground.facts(m2).features["nft"] = {false, "too old"};
  CHECK(clean(ground));
  ground.facts(m2).features["iptables"] = {false, "missing"};
  CHECK(only(ground).code == "no-nft");
}

TEST_CASE("a container whose host lacks br_netfilter is told what will not work") {
  Ground ground;
  ground.facts(m2) = sample::contained(2);
  CHECK(clean(ground));
  ground.facts(m2).sysctls.erase("net.bridge.bridge-nf-call-iptables");
  CHECK(only(ground).code == "no-br-netfilter");
}

TEST_CASE("what could not be tried is said, and not taken for missing") {
  Ground ground;
  ground.facts(m2).features.clear();
  ground.facts(m2).unknown["features"] = "the trials did not end within 5 s";
  CHECK(only(ground).code == "features-unknown");
}

TEST_CASE("swap is announced before it is turned off") {
  Ground ground;
  ground.facts(m2).memory.swap_total = 2_GiB;
  CHECK(only(ground).code == "swap");
  CHECK(only(ground).severity == Finding::Severity::warning);
}

TEST_CASE("somebody else's Kubernetes is refused, another runtime is left alone") {
  Ground ground;
  ground.facts(m2).kubernetes.foreign = true;
  CHECK(only(ground).code == "foreign-kubernetes");
  ground.facts(m2).kubernetes.foreign = false;
  ground.facts(m2).runtimes = {{"docker", "/run/docker.sock", "27.5.1", true}, {"podman", "/run/podman/podman.sock", "5.0", false}};
  CHECK(only(ground).severity == Finding::Severity::warning);
  CHECK(only(ground).message == "docker 27.5.1 is running");
}

TEST_CASE("an active firewall is shown with the ports to open, and our own rules are none") {
  Ground ground;
  ground.facts(m1).firewalls = {"ufw"};
  CHECK(only(ground).remedy.contains("6443"));
  ground.facts(m1).firewalls = {"nftables: 240 rules"};
  ground.join_all();
  CHECK(clean(ground));
}

TEST_CASE("two machines that cannot reach each other are named with the reason, and a small MTU too") {
  Ground ground;
  ground.in.reach = {{m2, m3, false, 0, "", "timed out"}};
  CHECK(only(ground).where == "10.0.0.2");
  CHECK(only(ground).message == "cannot reach 10.0.0.3: timed out");
  ground.in.reach = {{m2, m3, true, 1400, "10.0.0.2", ""}};
  CHECK(only(ground).code == "small-mtu");
  CHECK(only(ground).severity == Finding::Severity::warning);
  ground.in.reach = {{m2, m3, true, 1500, "10.0.0.2", ""}};
  CHECK(clean(ground));
}

TEST_CASE("a pod or service network that the machine already has a route to is refused; our own routes are not") {
  Ground ground;
  ground.facts(m2).routes.push_back({"10.244.9.0/24", "10.0.0.254", "eth0", "", 0});
  CHECK(only(ground).message == "pod_cidr 10.244.0.0/16 overlaps the machine's route to 10.244.9.0/24 by eth0");
  ground.facts(m2).routes.back() = {"10.96.0.0/16", "", "tun0", "", 0};
  CHECK(only(ground).message.starts_with("service_cidr"));
  // Leftovers of another cluster look like ours, on a machine that is not.
  ground.facts(m2).routes.back() = {"10.244.9.0/24", "", "cni0", "", 0};
  CHECK(only(ground).code == "cidr-overlap");
}

TEST_CASE("a machine without a way out is warned that it cannot reach services itself") {
  Ground ground;
  ground.facts(m2).routes.erase(ground.facts(m2).routes.begin());
  CHECK(only(ground).code == "no-default-route");
  ground.facts(m2).routes.push_back({"10.0.0.0/8", "", "eth0", "", 0});
  // That route is so wide that it holds the cluster's networks too, which is another matter.
  for (const auto& finding : plan::preflight(ground.in)) CHECK(finding.code == "cidr-overlap");
}

TEST_CASE("a machine without an address, or with a wanted one that it does not have, is refused") {
  Ground ground;
  ground.in.config.machines[1].address = "192.168.9.9";
  CHECK(only(ground).code == "address-not-here");
  ground.in.config.machines[1].address.clear();
  ground.facts(m2).interfaces.pop_back();
  CHECK(only(ground).code == "no-address");
}

TEST_CASE("too little memory and too few processors are warnings") {
  Ground ground;
  ground.facts(m1).memory.total = 1_GiB;
  CHECK(only(ground).code == "little-memory");
  ground.facts(m1).memory.total = 2_GiB;
  ground.facts(m1).cpu.threads = 1;
  CHECK(only(ground).code == "few-cpus");
}

TEST_CASE("a member of another cluster is refused") {
  Ground ground;
  ground.join_all();
  ground.facts(m3).kubernetes.cluster_id = "fedcba9876543210";
  CHECK(only(ground).code == "other-cluster");
}

TEST_CASE("nodes of a cluster whose masters are not in the list do not get a second cluster") {
  Ground ground;
  ground.facts(m3) = sample::joined(ground.facts(m3), Role::node, "10.0.0.3");
  CHECK(only(ground).code == "masters-missing");
}

TEST_CASE("a bundle that is older than what runs, or newer, is refused by install") {
  Ground ground;
  ground.join_all();
  ground.facts(m2).kubernetes.version = "1.38.0";
  CHECK(only(ground).code == "downgrade");
  ground.facts(m2).kubernetes.version = "1.36.9";
  CHECK(only(ground).code == "other-version");
  ground.facts(m2).kubernetes.version = "1.35.0";
  CHECK(only(ground).remedy.contains("may not skip a minor"));
}

TEST_CASE("a node that has joined keeps its name and its role") {
  Ground ground;
  ground.join_all();
  ground.in.config.machines[1].hostname = "renamed";
  CHECK(only(ground).code == "hostname-changed");
  ground.in.config.machines[1].hostname = "m2";
  CHECK(clean(ground));
  ground.in.config.machines[1].role = Role::master;
  CHECK(only(ground).code == "role-changed");
}

TEST_CASE("an endpoint whose address is a node's, or two masters' at once, is refused") {
  Ground ground;
  ground.in.config.endpoint = "10.0.0.2:6443";
  CHECK(only(ground).code == "endpoint-in-use");
  ground.in = sample::input(3, 0);
  ground.in.config.endpoint = "10.0.0.100";
  for (const auto& id : {m1, m2}) ground.facts(id).interfaces[1].addresses.emplace_back("10.0.0.100/32");
  CHECK(only(ground).where == "10.0.0.2");
  ground.facts(m2).interfaces[1].addresses.pop_back();
  CHECK(clean(ground));
}

TEST_CASE("what a machine says of itself cannot send escape sequences to the terminal") {
  Ground ground;
  ground.facts(m1).listeners.push_back({"tcp", "0.0.0.0", 6443, "\x1b[2Jx", ""});
  CHECK_FALSE(only(ground).message.contains('\x1b'));
  ground.facts(m1).listeners.pop_back();
  ground.facts(m1).hostname = "\x1b[31m";
  CHECK_FALSE(only(ground).message.contains('\x1b'));
}
