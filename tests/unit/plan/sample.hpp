// A bundle and machines for the planning tests: small, whole, and the same in every run.
#pragma once

#include <format>
#include <string>

#include "core/plan/plan.hpp"

namespace cloudos::sample {

inline Digest digest(unsigned n) { return *Digest::parse(std::format("{:064x}", n)); }

inline model::BundleFile file(std::string path, unsigned n, Bytes size) {
  return {.path = std::move(path),
          .mode = 0755,
          .digest = digest(n),
          .stored = "zstd",
          .content_digest = digest(n + 0x1000),
          .content_size = size};
}
inline model::BundleImage image(std::string ref, std::string phase, unsigned n, Bytes unpacked) {
  return {.ref = std::move(ref),
          .digest = digest(n),
          .phase = std::move(phase),
          .config = digest(n + 1),
          .layers = {digest(n + 2)},
          .unpacked = unpacked};
}

inline model::BundleIndex bundle() {
  model::BundleIndex index{.name = "kubernetes", .version = "1.37.2", .platform = "linux/amd64"};
  index.components = {
      {.name = "kubernetes",
       .version = "1.37.2",
       .files = {file("bin/kubelet", 0x10, 92_MiB), file("bin/kubeadm", 0x11, 75_MiB), file("bin/kubectl", 0x12, 62_MiB)},
       .images = {image("registry.k8s.io/kube-apiserver:v1.37.2", "control-plane", 0x100, 119_MiB),
                  image("registry.k8s.io/kube-controller-manager:v1.37.2", "control-plane", 0x110, 105_MiB),
                  image("registry.k8s.io/kube-scheduler:v1.37.2", "control-plane", 0x120, 81_MiB),
                  image("registry.k8s.io/kube-proxy:v1.37.2", "node", 0x130, 120_MiB)}},
      {.name = "etcd",
       .version = "3.7.3",
       .files = {file("bin/etcdctl", 0x13, 17_MiB)},
       .images = {image("registry.k8s.io/etcd:3.7.0-0", "control-plane", 0x140, 25_MiB)}},
      {.name = "containerd",
       .version = "2.4.2",
       .files = {file("bin/containerd", 0x14, 39_MiB), file("bin/containerd-shim-runc-v2", 0x15, 14_MiB), file("bin/ctr", 0x16, 23_MiB)}},
      {.name = "runc", .version = "1.5.2", .files = {file("bin/runc", 0x17, 9_MiB)}},
      {.name = "cni",
       .version = "1.9.1",
       .files = {file("cni/bridge", 0x18, 4_MiB), file("cni/host-local", 0x19, 3_MiB), file("cni/portmap", 0x1a, 4_MiB)}},
      {.name = "coredns", .version = "1.14.6", .images = {image("registry.k8s.io/coredns/coredns:v1.14.6", "addon", 0x150, 75_MiB)}},
      {.name = "flannel",
       .version = "0.28.10",
       .images = {image("cloudos.local/flannel:v0.28.10", "node", 0x160, 94_MiB)},
       .manifests = {file("flannel.yaml", 0x30, 3_KiB)}},
      {.name = "pause", .version = "3.10.2", .images = {image("registry.k8s.io/pause:3.10.2", "node", 0x170, 1_MiB)}},
      {.name = "agent", .version = "0.1.0", .files = {file("agent/agent.tar.gz", 0x1f, 12_MiB)}},
  };
  const auto blob = [&](const Digest& d, Bytes size) { index.blobs[d.hex()] = {.size = size}; };
  for (const auto& component : index.components) {
    for (const auto& f : component.files) blob(f.digest, Bytes{f.content_size.count / 4});
    for (const auto& f : component.manifests) blob(f.digest, f.content_size);
    for (const auto& i : component.images) {
      blob(i.digest, 1_KiB);
      blob(i.config, 2_KiB);
      for (const auto& layer : i.layers) blob(layer, Bytes{i.unpacked.count / 4});
    }
  }
  return index;
}

// A server as they come: Debian 13, cgroup v2, nothing else on it. `n` tells it from the others and is its address.
inline model::HostFacts server(unsigned n) {
  model::HostFacts f{.hostname = std::format("m{}", n),
                     .machine_id = std::format("{:032x}", n),
                     .boot_id = std::format("boot-{}", n),
                     .arch = "amd64",
                     .clock_synchronised = true,
                     .root = true};
  f.os = {"debian", "13", "Debian GNU/Linux 13 (trixie)"};
  f.kernel = {"6.12.0"};
  f.init = {"systemd", 257, "running"};
  f.virtualisation = "none";
  f.cpu = {1, 4, 8, "a processor"};
  f.memory = {16_GiB, 15_GiB, {}};
  f.mounts = {{"/", "/dev/sda2", "ext4", 100_GiB, 90_GiB, 6'000'000, 5'900'000, false}};
  f.interfaces = {{"lo", "", "unknown", 65536, 0, {"127.0.0.1/8"}}, {"eth0", "", "up", 1500, 1000, {std::format("10.0.0.{}/24", n)}}};
  f.routes = {{"0.0.0.0/0", "10.0.0.254", "eth0", "", 0}, {"10.0.0.0/24", "", "eth0", "", 0}};
  f.listeners = {{"tcp", "0.0.0.0", 22, "sshd", "ssh.service"}};
  for (const auto* feature : {"overlayfs", "nft", "iptables", "vxlan", "bridge", "veth", "netns", "conntrack", "conntrack-write",
                              "sysctl-write", "oom-score-lower", "seccomp", "inotify-instances", "cgroup-cpu", "cgroup-memory",
                              "cgroup-pids", "cgroup-cpuset", "cgroup-devices", "cgroup-freezer"})
    f.features[feature] = {.works = true, .reason = {}};
  f.cgroup = {2, {"cpu", "cpuset", "memory", "pids"}, "systemd"};
  f.sysctls = {{"net.ipv4.ip_forward", "0"}};
  f.limits = {{"fs.inotify.max_user_instances", "128"}, {"fs.inotify.max_user_watches", "524288"}};
  return f;
}

// A machine in a container of a host with cgroup v1, as ground for tests and trials is.
inline model::HostFacts contained(unsigned n) {
  auto f = server(n);
  f.virtualisation = "systemd-nspawn";
  f.init.systemd_version = 252;
  f.cgroup = {1, {"cpu", "cpuset", "memory", "pids", "devices", "freezer"}, "cgroupfs"};
  f.sysctls["net.bridge.bridge-nf-call-iptables"] = "1";
  f.features["oom-score-lower"] = {false, "Permission denied"};
  f.features["conntrack-write"] = {false, "Permission denied"};
  return f;
}

inline constexpr auto cluster_id = "0123456789abcdef";

// Made a member of the sample cluster.
inline model::HostFacts joined(model::HostFacts f, model::Role role, const std::string& address) {
  const bool master = role == model::Role::master;
  f.kubernetes = {.state = "joined",
                  .role = master ? "master" : "node",
                  .node_name = f.hostname,
                  .version = "1.37.2",
                  .ca_spki = "sha256:ab",
                  .cluster_id = cluster_id,
                  .bundle = digest(0xb).hex(),
                  .api_healthy = master,
                  .kubelet_active = true,
                  .server_address = master ? address : ""};
  f.routes.push_back({"10.244.1.0/24", "", "cni0", "", 0});
  f.routes.push_back({"10.244.2.0/24", "10.244.2.0", "flannel.1", "", 0});
  f.listeners.push_back({"tcp6", "::", 10250, "kubelet", "kubelet.service"});
  return f;
}

inline model::MachineConfig machine(unsigned n, model::Role role) {
  const auto host = std::format("10.0.0.{}", n);
  return {.id = MachineId{host}, .host = host, .role = role};
}

// `masters` and then `nodes` machines, 10.0.0.1 and up, all servers that answered.
inline plan::Input input(unsigned masters, unsigned nodes) {
  plan::Input in{.bundle = bundle(),
                 .bundle_digest = digest(0xb),
                 .vouched = {.json = "{}", .minisig = "signed\n", .keys = {{"1A2B3C4D5E6F7081", "a key\n"}}},
                 .cluster_id = cluster_id};
  in.manifests[digest(0x30)] = "net: {{pod_cidr}} nft: {{nftables}} image: {{image}} api: {{api_host}} {{api_port}}\n";
  for (unsigned n = 1; n <= masters + nodes; ++n) {
    in.config.machines.push_back(machine(n, n <= masters ? model::Role::master : model::Role::node));
    in.machines[in.config.machines.back().id] = {.facts = server(n), .clock_offset = Milliseconds{0}, .round_trip = Milliseconds{2}};
    in.missing[in.config.machines.back().id] = 400_MiB;
  }
  return in;
}

}  // namespace cloudos::sample
