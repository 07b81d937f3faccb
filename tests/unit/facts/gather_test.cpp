#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include <unistd.h>

#include "agent/facts/facts.hpp"

using namespace cloudos;

namespace {

namespace fs = std::filesystem;

facts::Roots fixture(const std::string& name) {
  const auto root = fs::path(CLOUDOS_SOURCE_DIR) / "tests/unit/facts/fixtures" / name;
  return {.root = root, .procfs = root / "proc", .sysfs = root / "sys", .devfs = root / "dev"};
}

model::HostFacts facts_of(const std::string& name) {
  auto facts = facts::gather(fixture(name));
  REQUIRE(facts);
  return *facts;
}

template <class List, class Key>
auto named(const List& list, Key key, const std::string& value) {
  const auto found = std::ranges::find(list, value, key);
  REQUIRE(found != list.end());
  return *found;
}

using Facts = model::HostFacts;

}  // namespace

TEST_CASE("a server's hardware is told as it is") {
  const auto facts = facts_of("gpu-server");
  CHECK(facts.hostname == "gpu-1");
  CHECK(facts.machine_id == "0f1e2d3c4b5a69788796a5b4c3d2e1f0");
  CHECK(facts.arch == "amd64");
  CHECK(facts.os.id == "debian");
  CHECK(facts.os.version_id == "13");
  CHECK(facts.kernel.release == "6.12.48+deb13-amd64");
  CHECK(facts.init.systemd_version == 257);
  CHECK(facts.virtualisation == "none");
  CHECK(facts.cpu.sockets == 2);
  CHECK(facts.cpu.cores == 4);
  CHECK(facts.cpu.threads == 8);
  CHECK(facts.memory.total == Bytes{2113532840ULL << 10U});
  CHECK(facts.memory.swap_total == Bytes{8388604ULL << 10U});
  REQUIRE(facts.disks.size() == 2);
  CHECK_FALSE(named(facts.disks, &Facts::Disk::name, "nvme0n1").rotational);
  CHECK(named(facts.disks, &Facts::Disk::name, "sda").size == Bytes{35156656128ULL * 512});
  CHECK(facts.sysctls.at("net.ipv4.ip_forward") == "1");
  CHECK(facts.limits.at("fs.inotify.max_user_instances") == "128");
}

TEST_CASE("GPUs are counted by kind, and a missing driver is said") {
  const auto facts = facts_of("gpu-server");
  REQUIRE(facts.gpus.size() == 2);
  const auto h100 = named(facts.gpus, &Facts::Gpu::vendor, "nvidia");
  CHECK(h100.device == "10de:2330");
  CHECK(h100.count == 2);
  CHECK(h100.driver == "driver missing");
  CHECK(named(facts.gpus, &Facts::Gpu::vendor, "amd").driver == "amdgpu");
}

TEST_CASE("file systems are those of this machine, with the one below each of our folders") {
  const auto facts = facts_of("gpu-server");
  std::set<std::string> paths;
  for (const auto& mount : facts.mounts) paths.insert(mount.path);
  CHECK(paths == std::set<std::string>{"/", "/data sets", "/run", "/var/lib/cloudos"});
  CHECK(named(facts.mounts, &Facts::Mount::path, "/var/lib/cloudos").type == "xfs");
  CHECK(named(facts.mounts, &Facts::Mount::path, "/data sets").read_only);
}

TEST_CASE("a taken port names its process and unit") {
  const auto facts = facts_of("gpu-server");
  REQUIRE(facts.listeners.size() == 3);
  const auto api = named(facts.listeners, &Facts::Listener::protocol, "tcp6");
  CHECK(api.port == 6443);
  CHECK(api.address == "::");
  CHECK(api.process == "kube-apiserver");
  CHECK(api.unit == "cri-containerd-0123.scope");
  const auto kubelet = named(facts.listeners, &Facts::Listener::protocol, "tcp");
  CHECK(kubelet.address == "127.0.0.1");
  CHECK(kubelet.port == 10264);
  CHECK(kubelet.unit == "kubelet.service");
  const auto dns = named(facts.listeners, &Facts::Listener::protocol, "udp");
  CHECK(dns.port == 53);
  CHECK(dns.process.empty());
}

TEST_CASE("links and routes are read for both families") {
  const auto facts = facts_of("gpu-server");
  REQUIRE(facts.interfaces.size() == 2);
  const auto link = named(facts.interfaces, &Facts::Interface::name, "eno1");
  CHECK(link.mtu == 9000);
  CHECK(link.speed_mbit == 100'000);
  std::set<std::string> routes;
  for (const auto& route : facts.routes) routes.insert(route.destination + " " + route.gateway);
  CHECK(routes == std::set<std::string>{"0.0.0.0/0 10.0.0.254", "10.0.0.0/24 ", "fd00::/64 ", "::/0 fd00::1"});
  CHECK(facts.routes.front().metric == 100);
}

TEST_CASE("a master of ours is recognised with its cluster, its version and the run at work") {
  const auto facts = facts_of("gpu-server");
  const auto& kubernetes = facts.kubernetes;
  CHECK(kubernetes.state == "joined");
  CHECK(kubernetes.role == "master");
  CHECK(kubernetes.node_name == "gpu-1");
  CHECK(kubernetes.cluster_id == "9f86d081884c7d65");
  CHECK(kubernetes.version == "v1.37.2");
  CHECK(kubernetes.server_address == "10.0.0.1");
  CHECK(kubernetes.ca_spki.starts_with("sha256:"));
  CHECK(kubernetes.kubelet_active);
  CHECK_FALSE(kubernetes.foreign);
  CHECK(facts.running_apply == "00000000000000ab");
  CHECK(facts.firewalls == std::vector<std::string>{"ufw"});
  REQUIRE(facts.runtimes.size() == 1);
  CHECK(facts.runtimes[0].name == "docker");
  CHECK_FALSE(facts.runtimes[0].running);
}

TEST_CASE("the cgroup driver follows from the version and the init") {
  const auto modern = facts_of("gpu-server");
  CHECK(modern.cgroup.version == 2);
  CHECK(modern.cgroup.driver == "systemd");
  CHECK(modern.features.at("cgroup-memory").works);
  CHECK(modern.features.at("cgroup-freezer").works);
  const auto old = facts_of("old-node");
  CHECK(old.cgroup.version == 1);
  CHECK(old.cgroup.driver == "cgroupfs");
  CHECK(old.features.at("cgroup-cpu").works);
  CHECK(old.features.at("cgroup-pids").reason.contains("read-only"));
  CHECK(old.features.at("cgroup-freezer").reason.contains("no cgroup version 1 hierarchy"));
}

TEST_CASE("a machine whose join was cut off is partial, whatever lies there, and a torn journal line is said") {
  const auto facts = facts_of("old-node");
  CHECK(facts.kubernetes.state == "partial");
  CHECK(facts.kubernetes.role == "node");
  CHECK_FALSE(facts.kubernetes.foreign);
  CHECK_FALSE(facts.kubernetes.kubelet_active);
  CHECK(facts.unknown.contains("journal"));
  CHECK(facts.virtualisation == "kvm");
  CHECK(facts.init.systemd_version == 239);
  CHECK(facts.cpu.sockets == 1);
}

TEST_CASE("Kubernetes that cloudos did not install is foreign") {
  const auto root = fs::temp_directory_path() / ("cloudos-facts-" + std::to_string(getpid()));
  fs::create_directories(root / "proc");
  fs::create_directories(root / "etc/kubernetes");
  std::ofstream(root / "proc/meminfo") << "MemTotal: 1 kB\n";
  std::ofstream(root / "etc/kubernetes/kubelet.conf") << "apiVersion: v1\n";
  const facts::Roots roots{.root = root, .procfs = root / "proc", .sysfs = root / "sys", .devfs = root / "dev"};
  const auto theirs = facts::gather(roots);
  fs::remove(root / "etc/kubernetes/kubelet.conf");
  const auto clean = facts::gather(roots);
  fs::create_directories(root / "etc/systemd/system");
  std::ofstream(root / "etc/systemd/system/kubelet.service") << "ExecStart=/usr/bin/kubelet\n";
  const auto unit = facts::gather(roots);
  std::ofstream(root / "etc/systemd/system/kubelet.service") << "ExecStart=/var/lib/cloudos/current/bin/kubelet\n";
  const auto ours = facts::gather(roots);
  fs::remove_all(root);
  REQUIRE((theirs && clean && unit && ours));
  CHECK(theirs->kubernetes.foreign);
  CHECK_FALSE(clean->kubernetes.foreign);
  CHECK(unit->kubernetes.foreign);
  CHECK_FALSE(ours->kubernetes.foreign);
}

TEST_CASE("a stored tree never passes off what was not tried as a fact") {
  const auto facts = facts_of("gpu-server");
  CHECK_FALSE(facts.features.contains("nft"));
  CHECK(facts.unknown.contains("features"));
  CHECK(facts.unknown.contains("interfaces.addresses"));
  CHECK_FALSE(facts::gather({.root = "/nowhere", .procfs = "/nowhere", .sysfs = "/nowhere", .devfs = "/nowhere"}));
}

TEST_CASE("on this machine every feature is tried, and each that fails says why") {
  const auto facts = facts::gather({});
  REQUIRE(facts);
  for (const auto* name :
       {"overlayfs", "nft", "iptables", "vxlan", "bridge", "veth", "netns", "conntrack", "conntrack-write", "sysctl-write",
        "oom-score-lower", "seccomp", "cgroup-cpu", "cgroup-memory", "cgroup-pids", "inotify-instances"}) {
    INFO(name);
    REQUIRE(facts->features.contains(name));
    const auto& feature = facts->features.at(name);
    CHECK(feature.works == feature.reason.empty());
  }
  CHECK(facts->memory.total > 64_MiB);
  CHECK(facts->clock_ms > 1'700'000'000'000);
  // What the trials made is gone with their namespaces.
  const auto after = facts::gather({});
  REQUIRE(after);
  for (const auto& link : after->interfaces) CHECK_FALSE(link.name.starts_with("trial-"));
}
