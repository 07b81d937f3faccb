#pragma once

// The fixed places on a machine. Everything of cloudos is under these three folders and in units named cloudos-*; the one
// exception is kubelet.service, a name that kubeadm itself starts and stops.
namespace cloudos::paths {

inline constexpr auto state = "/var/lib/cloudos";
inline constexpr auto config = "/etc/cloudos";
inline constexpr auto runtime = "/run/cloudos";

inline constexpr auto store = "/var/lib/cloudos/cas/sha256";       // content-addressed, by hex digest
inline constexpr auto journal = "/var/lib/cloudos/journal.jsonl";  // what was done here, for resume and undo
inline constexpr auto backups = "/var/lib/cloudos/backups";        // what stood where we wrote, by digest
inline constexpr auto agents = "/var/lib/cloudos/agent";           // agent/<digest12>/…, agent/current
inline constexpr auto agent = "/var/lib/cloudos/agent/current/bin/cloudos-agent";
inline constexpr auto balancer = "/var/lib/cloudos/agent/current/lib/cloudos-balancer";
inline constexpr auto versions = "/var/lib/cloudos/versions";  // versions/<kubernetes version>/bin/…
inline constexpr auto current = "/var/lib/cloudos/current";    // -> versions/<v>
inline constexpr auto bin = "/var/lib/cloudos/current/bin";
inline constexpr auto cni_bin = "/var/lib/cloudos/current/cni";
inline constexpr auto cni_config = "/etc/cloudos/cni";  // not /etc/cni/net.d: docs/pod-network.md
inline constexpr auto runs = "/run/cloudos/runs";       // <run>.events of each apply since boot
inline constexpr auto machine_lock = "/run/cloudos/lock";
inline constexpr auto discovery = "/run/cloudos/discovery.conf";  // while kubeadm joins; no secret

inline constexpr auto agent_config = "/etc/cloudos/agent.toml";
inline constexpr auto agent_socket = "/run/cloudos/agent.sock";      // of the agent's root half, for its network half
inline constexpr auto agent_identity = "/var/lib/cloudos/identity";  // identity/{cert,key}.pem: what join files pin
inline constexpr auto join_file = "/etc/cloudos/join.toml";          // with it a machine joins when it starts
inline constexpr auto trust = "/etc/cloudos/trust";                  // trust/*.pub: who may sign bundles
inline constexpr auto bundles = "/var/lib/cloudos/bundles";          // bundles/<digest>/bundle.json{,.minisig}
inline constexpr auto membership = "/etc/cloudos/cluster.json";      // what this machine belongs to

inline constexpr auto containerd_root = "/var/lib/cloudos/containerd";
inline constexpr auto containerd_state = "/run/cloudos/containerd";
inline constexpr auto containerd_socket = "/run/cloudos/containerd/containerd.sock";
inline constexpr auto containerd_config = "/etc/cloudos/containerd.toml";
inline constexpr auto balancer_config = "/etc/cloudos/balancer.json";  // {"schema":1,"masters":["10.0.0.1:6443",…]}
inline constexpr auto balancer_address = "127.0.0.1:7443";

inline constexpr auto kubernetes = "/etc/kubernetes";
inline constexpr auto admin_conf = "/etc/kubernetes/admin.conf";
inline constexpr auto kubelet_conf = "/etc/kubernetes/kubelet.conf";
inline constexpr auto kubelet_state = "/var/lib/kubelet";
inline constexpr auto etcd_state = "/var/lib/etcd";

}  // namespace cloudos::paths
