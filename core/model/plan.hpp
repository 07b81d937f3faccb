#pragma once

#include <map>
#include <string>
#include <variant>
#include <vector>

#include "core/base/secret.hpp"
#include "core/base/units.hpp"
#include "core/model/config.hpp"

namespace cloudos::model {

// --- What a step can do. Each is plain data; the agent knows how to check, apply, verify and undo it. -------------------
// Text fields marked (refs) may contain ${secret:NAME} and ${value:NAME}, which the agent resolves in memory just before
// use: secrets arrive on its standard input, values are outputs of earlier steps. Neither is ever written to the journal.

struct Folder {
  static constexpr auto kind = "folder";
  std::string path;
  unsigned mode = 0755;
  bool operator==(const Folder&) const = default;
};
struct WriteFile {
  static constexpr auto kind = "write-file";
  std::string path;
  unsigned mode = 0644;
  std::string content;
  bool keep_existing = false;  // a file that is there is the operator's, whatever stands in it
  bool operator==(const WriteFile&) const = default;
};
// A file out of the node store, expanded when it is stored as zstd, its content digest checked again.
struct InstallFile {
  static constexpr auto kind = "install-file";
  std::string path;
  unsigned mode = 0755;
  Digest blob;
  std::string stored;
  Digest content;
  Bytes content_size;
  bool operator==(const InstallFile&) const = default;
};
struct Symlink {
  static constexpr auto kind = "symlink";
  std::string path, target;
  bool keep_existing = false;
  bool operator==(const Symlink&) const = default;
};
// Of what stands directly in a folder of ours only these names stay.
struct KeepOnly {
  static constexpr auto kind = "keep-only";
  std::string path;
  std::vector<std::string> names;
  bool operator==(const KeepOnly&) const = default;
};
// /proc/sys now and /etc/sysctl.d/90-cloudos-<key>.conf for the next boot.
struct Sysctl {
  static constexpr auto kind = "sysctl";
  std::string key, value;
  bool operator==(const Sysctl&) const = default;
};
// modprobe now (where the feature is not there already) and /etc/modules-load.d for the next boot.
struct KernelModule {
  static constexpr auto kind = "kernel-module";
  std::string name;
  bool operator==(const KernelModule&) const = default;
};
// Swap off now, and for the next boot (fstab entries and swap units masked). Undo brings it back.
struct SwapOff {
  static constexpr auto kind = "swap-off";
  bool operator==(const SwapOff&) const = default;
};
// A unit file under /etc/systemd/system, its enablement and its run state. It is restarted when its file, or one of
// `watches`, is newer than the start of the running process.
struct Unit {
  static constexpr auto kind = "unit";
  std::string name, content;
  bool enable = true, start = true;
  std::vector<std::string> watches;
  bool operator==(const Unit&) const = default;
};
// Images from the node store into our containerd by digest: layers ingested side by side, then a thin import; pinned.
struct LoadImages {
  static constexpr auto kind = "load-images";
  struct Image {
    std::string ref;
    Digest manifest, config;
    std::vector<Digest> layers;
    bool operator==(const Image&) const = default;
  };
  std::vector<Image> images;
  bool unpack = false;
  bool operator==(const LoadImages&) const = default;
};
// kubeadm's configuration (JSON documents, one after the other) goes to it on standard input, never to a file. (refs)
// Outputs: "ca" = the cluster's CA certificate, PEM in base64.
struct KubeadmInit {
  static constexpr auto kind = "kubeadm-init";
  std::string config, node;
  std::vector<std::string> ignore_preflight;
  bool operator==(const KubeadmInit&) const = default;
};
// The machine becomes a node: its kubelet joins. `discovery`: the kubeconfig, without credentials, by which it knows the
// cluster; it is at paths::discovery while kubeadm runs. (refs) `control_plane`: a KubeadmControlPlane follows.
struct KubeadmJoin {
  static constexpr auto kind = "kubeadm-join";
  std::string config, discovery, node;
  bool control_plane = false;
  std::vector<std::string> ignore_preflight;
  bool operator==(const KubeadmJoin&) const = default;
};
// A machine that has joined becomes a master: its etcd joins, its control plane starts. Masters take turns at it.
struct KubeadmControlPlane {
  static constexpr auto kind = "kubeadm-control-plane";
  std::string config, discovery, node;
  std::vector<std::string> ignore_preflight;
  bool operator==(const KubeadmControlPlane&) const = default;
};
// On a master that is up: make the join token ${secret:join-token} valid and, when `certificates`, upload the control
// plane's keys encrypted with ${secret:certificate-key}. `config`: an InitConfiguration. (refs)
// Outputs: "ca".
struct OfferJoin {
  static constexpr auto kind = "offer-join";
  std::string config;
  bool certificates = false;
  bool operator==(const OfferJoin&) const = default;
};
// On a master: takes the offer back (deletes that token and the uploaded certificates).
struct WithdrawJoin {
  static constexpr auto kind = "withdraw-join";
  bool operator==(const WithdrawJoin&) const = default;
};
// On a master: server-side apply as field manager "cloudos". `content`: JSON or YAML documents.
struct ApplyManifest {
  static constexpr auto kind = "apply-manifest";
  std::string name, content;
  bool operator==(const ApplyManifest&) const = default;
};
// On a master: labels and taints of a node as wanted; only those that cloudos set before are ever removed.
struct NodeSettings {
  static constexpr auto kind = "node-settings";
  std::string node;
  std::map<std::string, std::string> labels;
  std::vector<Taint> taints;
  bool operator==(const NodeSettings&) const = default;
};
// The CNI conflist of bridge + host-local on this node's podCIDR + portmap, once the API server has assigned one.
// MTU: that of the link that holds `address`, less 50 for VXLAN.
struct PodNetwork {
  static constexpr auto kind = "pod-network";
  std::string node, address, pod_cidr;
  bool operator==(const PodNetwork&) const = default;
};
// Waits until the node of this machine is Ready, or says why it is not.
struct NodeReady {
  static constexpr auto kind = "node-ready";
  std::string node;
  int timeout_s = 300;
  bool operator==(const NodeReady&) const = default;
};
// On a master: waits until the named workloads of kube-system are rolled out ("daemonset/kube-proxy").
struct WorkloadsReady {
  static constexpr auto kind = "workloads-ready";
  std::vector<std::string> names;
  int timeout_s = 300;
  bool operator==(const WorkloadsReady&) const = default;
};

using Action = std::variant<Folder, WriteFile, InstallFile, Symlink, KeepOnly, Sysctl, KernelModule, SwapOff, Unit, LoadImages, KubeadmInit,
                            KubeadmJoin, KubeadmControlPlane, OfferJoin, WithdrawJoin, ApplyManifest, NodeSettings, PodNetwork, NodeReady,
                            WorkloadsReady>;

struct Step {
  StepId id;         // stable from run to run: "file:/etc/cloudos/containerd.toml"
  std::string what;  // "containerd's configuration"
  std::string why;   // "runtime of its own, beside any that is here"
  Action action;
  std::vector<StepId> after = {};  // steps of the same stage; those before it in the list always count
  bool operator==(const Step&) const = default;
};

// A run of steps on one machine that goes to its agent in one request.
struct Stage {
  StageId id;  // "prepare@10.0.0.4"
  MachineId machine;
  std::string title;           // "containerd and its images"
  std::vector<StageId> after;  // stages, of any machine, that must have succeeded
  std::vector<Step> steps;
  bool operator==(const Stage&) const = default;
};

struct PlanMachine {
  MachineId id;
  Role role = Role::node;
  std::string node, address;
  bool joined = false;
  bool operator==(const PlanMachine&) const = default;
};

// What takes the machines from what they are to what is wanted. Pure data: equal inputs give equal plans.
struct Plan {
  static constexpr int schema = 1;
  std::vector<PlanMachine> machines;
  std::vector<Stage> stages;         // in an order that respects `after`
  std::vector<std::string> secrets;  // names that its steps refer to; the driver makes or asks for them
  bool operator==(const Plan&) const = default;
};
[[nodiscard]] std::string encode_plan(const Plan& plan);
[[nodiscard]] Result<Plan> decode_plan(std::string_view json);

// The blobs of the node store that a stage needs before it may start, each once, in the order of use.
[[nodiscard]] std::vector<Digest> blobs_of(const Stage& stage);
[[nodiscard]] std::string_view kind_of(const Action& action);

// What the installer sends to `cloudos-agent apply` on standard input. The secrets are encoded into that stream only.
struct ApplyRequest {
  static constexpr int schema = 1;
  RunId run;
  StageId stage;
  std::string holder;  // who asks, for the lock's message: "ops@laptop"
  std::vector<Step> steps;
  std::map<std::string, std::string> values;
  std::map<std::string, Secret> secrets;
  bool check_only = false;  // report what would be done, change nothing
};
[[nodiscard]] Secret encode_request(const ApplyRequest& request);
[[nodiscard]] Result<ApplyRequest> decode_request(std::string_view json);

}  // namespace cloudos::model
