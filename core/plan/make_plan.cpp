#include <algorithm>
#include <format>
#include <optional>

#include <nlohmann/json.hpp>

#include "core/base/ip.hpp"
#include "core/model/paths.hpp"
#include "core/plan/fill.hpp"
#include "core/plan/join_rules.hpp"
#include "core/plan/kubeadm.hpp"
#include "core/plan/prepare.hpp"

namespace cloudos::plan {
namespace {

using model::Plan;

constexpr auto network_manifest = "flannel.yaml";

StageId stage_id(std::string_view phase, const Member& member) { return StageId{std::format("{}@{}", phase, member.id().value)}; }

// Builds the stages in an order that respects what each waits for. The shortest way to a whole cluster: every machine
// prepares by itself at once; the first master founds; all others join as nodes, side by side; of these the masters get their
// control planes one after the other (etcd takes one new member at a time); what is applied to the cluster goes beside that.
// A joining master's kubelet goes through the balancer, as every node's does: it is Ready, with its pods, before its own API
// server is up, and need not wait for it.
class Builder {
 public:
  explicit Builder(const Input& input) : Builder(input, resolve(input)) {}
  Builder(const Input& input, Cluster cluster) : input_(input), cluster_(std::move(cluster)), joining_(cluster_.joining()) {}

  Plan build() {
    name_machines();
    if (!cluster_.lead) return std::move(plan_);
    prepare(*cluster_.lead);
    for (const auto& m : cluster_.members)
      if (&m != cluster_.lead) prepare(m);
    found_or_offer();
    join_all();
    apply_to_cluster();
    make_ready();
    finish();
    if (masters_join()) plan_.secrets.emplace_back("certificate-key");
    if (!joining_.empty()) plan_.secrets.emplace_back("join-token");
    return std::move(plan_);
  }

  // Only what the machines themselves can do: nothing happens on a master.
  Plan build_by_itself() {
    name_machines();
    for (const auto& m : cluster_.members) {
      prepare(m);
      join_as_node(m, {prepared(m)});
      be_ready(m, {member_since(m)});
    }
    plan_.secrets.emplace_back("join-token");
    return std::move(plan_);
  }

 private:
  void name_machines() {
    for (const auto& m : cluster_.members) plan_.machines.push_back({m.id(), m.config->role, m.node, m.address, m.joined});
  }

  void add(StageId id, const Member& member, std::string title, std::vector<StageId> after, StepList steps) {
    plan_.stages.push_back({std::move(id), member.id(), std::move(title), std::move(after), steps.take()});
  }

  // The stage after which the machine has all that kubeadm needs.
  [[nodiscard]] static StageId prepared(const Member& m) { return stage_id(m.joined ? "prepare" : "images", m); }
  // The stage after which the machine is a member: its kubelet has joined.
  [[nodiscard]] StageId member_since(const Member& m) const {
    if (m.joined) return prepared(m);
    return &m == cluster_.lead ? stage_id("init", m) : stage_id("join", m);
  }

  void prepare(const Member& m) {
    StepList steps;
    add_machine_settings(m, steps);
    add_files(input_, m, steps);
    add_vouched(input_, steps);
    add_runtime(input_, m, steps);
    add_balancer(cluster_, steps);
    add_kubelet(m, steps);
    if (m.joined) {
      add_images(input_, m, steps);
      add_membership(input_, m, steps);
      add(stage_id("prepare", m), m, "settings, programs, runtime, images", {}, std::move(steps));
      return;
    }
    add(stage_id("prepare", m), m, "settings, programs, runtime", {}, std::move(steps));
    StepList images;
    add_images(input_, m, images);
    add(stage_id("images", m), m, "images", {stage_id("prepare", m)}, std::move(images));
  }

  [[nodiscard]] bool masters_join() const {
    return std::ranges::any_of(joining_, [&](const Member* m) { return m->master() && m != cluster_.lead; });
  }
  void add_offer(StepList& steps) const {
    steps.add("offer-join", "join token", "for the machines of this run only; taken back at its end",
              model::OfferJoin{offer_config(input_, *cluster_.lead, masters_join()), masters_join()});
  }

  void found_or_offer() {
    const auto& lead = *cluster_.lead;
    StepList steps;
    const bool others = std::ranges::any_of(joining_, [&](const Member* m) { return m != &lead; });
    if (!cluster_.exists) {
      steps.add("kubeadm-init", "a new cluster", "no master is in one yet",
                model::KubeadmInit{init_config(input_, cluster_, lead), lead.node, waivers(lead)});
      add_membership(input_, lead, steps);
    }
    if (others) add_offer(steps);
    if (!cluster_.exists) add(stage_id("init", lead), lead, "first master", {prepared(lead)}, std::move(steps));
    else if (others) add(stage_id("offer", lead), lead, "offer to join", {prepared(lead)}, std::move(steps));
  }

  void join_as_node(const Member& m, std::vector<StageId> after) {
    StepList steps;
    steps.add("kubeadm-join", "joins as a node",
              cluster_.by_itself ? "it has a join file and is not in the cluster" : "it is in the list and not in the cluster",
              model::KubeadmJoin{join_config(cluster_, m), discovery_config(), m.node, m.master(), waivers(m)});
    if (!m.master()) add_membership(input_, m, steps);
    add(stage_id("join", m), m, "join as a node", std::move(after), std::move(steps));
  }

  void join_all() {
    const auto open = cluster_.exists ? stage_id("offer", *cluster_.lead) : stage_id("init", *cluster_.lead);
    for (const auto* m : joining_) {
      if (m != cluster_.lead) join_as_node(*m, {prepared(*m), open});
    }
    std::optional<StageId> previous;
    for (const auto* m : joining_) {
      if (m == cluster_.lead || !m->master()) continue;
      StepList steps;
      steps.add("kubeadm-control-plane", "becomes a master", "it is listed as one",
                model::KubeadmControlPlane{control_plane_config(cluster_, *m), discovery_config(), m->node, waivers(*m)});
      add_membership(input_, *m, steps);
      std::vector<StageId> after{stage_id("join", *m)};
      if (previous) after.push_back(*previous);
      previous = stage_id("control-plane", *m);
      add(*previous, *m, "control plane", std::move(after), std::move(steps));
      control_planes_.push_back(*previous);
    }
  }

  [[nodiscard]] std::string network() const {
    for (const auto& component : input_.bundle.components)
      for (const auto& manifest : component.manifests) {
        const auto text = input_.manifests.find(manifest.content_digest);
        const auto stored = input_.manifests.find(manifest.digest);
        if (manifest.path != network_manifest) continue;
        if (text != input_.manifests.end()) return text->second;
        if (stored != input_.manifests.end()) return stored->second;
      }
    return {};
  }
  [[nodiscard]] std::string network_image() const {
    for (const auto* image : input_.bundle.images("node"))
      if (image->ref.contains("/flannel:")) return image->ref;
    return {};
  }

  // The wanted state, so that any machine with SSH access to one master can go on. No secret is in it, nor the names of
  // the operator's own files.
  [[nodiscard]] std::string wanted_state() const {
    auto config = input_.config;
    for (auto& machine : config.machines) machine.key.clear();
    const nlohmann::json space = {{"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", {{"name", "cloudos-system"}}}};
    const nlohmann::json map = {{"apiVersion", "v1"},
                                {"kind", "ConfigMap"},
                                {"metadata", {{"name", "cluster"}, {"namespace", "cloudos-system"}}},
                                {"data",
                                 {{"config.json", model::encode_config(config)},
                                  {"cluster_id", input_.cluster_id},
                                  {"bundle", input_.bundle_digest.hex()},
                                  {"version", input_.bundle.version}}}};
    return nlohmann::json{{"apiVersion", "v1"}, {"kind", "List"}, {"items", {space, map}}}.dump();
  }

  void apply_to_cluster() {
    const auto& lead = *cluster_.lead;
    const std::string balancer = paths::balancer_address;
    const auto colon = balancer.rfind(':');
    StepList steps;
    steps.add("manifest:flannel", "pod network", "pods of different nodes reach each other over VXLAN",
              model::ApplyManifest{"flannel", fill(network(), {{"pod_cidr", input_.config.pod_cidr},
                                                               {"nftables", nftables_everywhere(cluster_) ? "true" : "false"},
                                                               {"image", network_image()},
                                                               {"api_host", balancer.substr(0, colon)},
                                                               {"api_port", balancer.substr(colon + 1)}})});
    steps.add("manifest:cluster", "the wanted state", "any machine with SSH access to one master can go on from it",
              model::ApplyManifest{"cluster", wanted_state()});
    steps.add("manifest:join", "who may let machines join", "a join token may ask for a node's certificate, the masters decide",
              model::ApplyManifest{"join", join_rules(cluster_)});
    for (const auto& m : cluster_.members)
      if (m.joined) add_settings(m, steps);
    add(stage_id("cluster", lead), lead, "pod network, wanted state", {member_since(lead)}, std::move(steps));
  }

  static void add_settings(const Member& m, StepList& steps) {
    steps.add("settings:" + m.node, std::format("labels and taints of {}", m.node), "as wanted; only what cloudos set is ever removed",
              model::NodeSettings{m.node, m.config->labels, m.config->taints});
  }

  void be_ready(const Member& m, std::vector<StageId> after) {
    StepList steps;
    steps.add("pod-network", "the node's part of the pod network", "each node has a range of its own",
              model::PodNetwork{m.node, m.address, input_.config.pod_cidr});
    steps.add("node-ready", "the node is Ready", "it can run pods", model::NodeReady{m.node, 300});
    add_agent(steps);
    add(stage_id("ready", m), m, "pod network, Ready, agent", std::move(after), std::move(steps));
  }

  void make_ready() {
    const auto& lead = *cluster_.lead;
    for (const auto& m : cluster_.members) {
      be_ready(m, {&m == &lead ? stage_id("cluster", lead) : member_since(m)});
      if (m.joined || (m.config->labels.empty() && m.config->taints.empty())) continue;
      StepList settings;
      add_settings(m, settings);
      add(StageId{std::format("settings-of-{}@{}", m.id().value, lead.id().value)}, lead, std::format("labels and taints of {}", m.node),
          {member_since(m)}, std::move(settings));
    }
  }

  void finish() {
    const auto& lead = *cluster_.lead;
    std::vector<StageId> ready;
    ready.reserve(cluster_.members.size());
    for (const auto& m : cluster_.members) ready.push_back(stage_id("ready", m));
    std::vector<StageId> joins;
    for (const auto* m : joining_)
      if (m != &lead) joins.push_back(stage_id("join", *m));
    // kubeadm makes a token with a new cluster even if nobody else is to join.
    if (joins.empty() && !cluster_.exists) joins.push_back(stage_id("init", lead));
    joins.insert(joins.end(), control_planes_.begin(), control_planes_.end());
    ready.insert(ready.end(), control_planes_.begin(), control_planes_.end());
    if (!joins.empty()) {
      StepList steps;
      steps.add("withdraw-join", "join token taken back", "nobody joins with it any more", model::WithdrawJoin{});
      add(stage_id("withdraw", lead), lead, "offer taken back", joins, std::move(steps));
    }
    StepList steps;
    std::vector<std::string> names = {"deployment/coredns"};
    // A daemon set is never rolled out while one of its nodes does not answer.
    if (input_.unreachable.empty()) names.insert(names.begin(), {"daemonset/kube-proxy", "daemonset/flannel"});
    steps.add("workloads", "system workloads are rolled out", "services, pod network and DNS answer",
              model::WorkloadsReady{std::move(names), 300});
    add(stage_id("workloads", lead), lead, "system workloads", std::move(ready), std::move(steps));
  }

  const Input& input_;
  Cluster cluster_;
  std::vector<const Member*> joining_;
  std::vector<StageId> control_planes_;  // of the masters that join
  Plan plan_;
};

}  // namespace

model::Plan make_plan(const Input& input) { return Builder(input).build(); }

model::Plan join_plan(const Joiner& joiner) {
  const auto input = input_of(joiner);
  return Builder(input, resolve(joiner, input)).build_by_itself();
}

}  // namespace cloudos::plan
