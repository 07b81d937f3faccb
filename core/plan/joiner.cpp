// A machine that joins by itself, seen as a cluster of which nobody else answers.
#include <algorithm>
#include <array>
#include <format>

#include "core/base/text.hpp"
#include "core/plan/checks.hpp"

namespace cloudos::plan {
namespace {

bool in_namespace(std::string_view space, std::string_view wanted) {
  return space == wanted || (space.ends_with(wanted) && space[space.size() - wanted.size() - 1] == '.');
}

// Why a kubelet may not give its node this label, "" when it may:
// https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/, NodeRestriction. The kubelet itself does not even start
// with one that it may not set.
std::string why_not_own(const std::string& key) {
  static constexpr std::array<std::string_view, 10> known = {"kubernetes.io/hostname",
                                                             "kubernetes.io/os",
                                                             "kubernetes.io/arch",
                                                             "topology.kubernetes.io/zone",
                                                             "topology.kubernetes.io/region",
                                                             "node.kubernetes.io/instance-type",
                                                             "beta.kubernetes.io/instance-type",
                                                             "failure-domain.beta.kubernetes.io/zone",
                                                             "beta.kubernetes.io/os",
                                                             "failure-domain.beta.kubernetes.io/region"};
  const auto slash = key.find('/');
  const auto space = std::string_view(key).substr(0, slash == std::string::npos ? 0 : slash);
  if (in_namespace(space, "node-restriction.kubernetes.io")) return "that prefix is kept from nodes on purpose";
  const bool kubernetes = in_namespace(space, "kubernetes.io") || in_namespace(space, "k8s.io");
  const bool allowed =
      in_namespace(space, "kubelet.kubernetes.io") || in_namespace(space, "node.kubernetes.io") || std::ranges::contains(known, key);
  return kubernetes && !allowed ? "of Kubernetes' own labels a node may set only few" : "";
}

void check_labels(const Member& member, Report& report) {
  for (const auto& [key, value] : member.config->labels)
    if (const auto why = why_not_own(key); !why.empty())
      report.error(member.id(), "label-refused", std::format("the node may not give itself the label {}: {}", sanitise(key), why),
                   "make a join file without it, and set it with kubectl once the node is there");
}

void check_membership(const Joiner& joiner, const Member& member, Report& report) {
  const auto& other = member.facts->kubernetes.cluster_id;
  if (!other.empty() && other != joiner.cluster_id)
    report.error(member.id(), "other-cluster", std::format("it belongs to another cluster ({})", sanitise(other)),
                 "take it out of that one first (`cloudos reset --nodes` it), or remove the join file");
}

}  // namespace

Input input_of(const Joiner& joiner) {
  const MachineId id{joiner.address};
  Input input{.config = joiner.config,
              .bundle = joiner.bundle,
              .bundle_digest = joiner.bundle_digest,
              .vouched = joiner.vouched,
              .cluster_id = joiner.cluster_id};
  input.config.machines = {
      {.id = id, .host = joiner.address, .role = model::Role::node, .address = joiner.address, .labels = joiner.labels}};
  input.machines[id] = joiner.seen;
  input.missing[id] = joiner.missing;
  return input;
}

Cluster resolve(const Joiner& joiner, const Input& input) {
  auto cluster = resolve(input);
  cluster.exists = true;
  cluster.by_itself = true;
  cluster.api = joiner.masters;
  return cluster;
}

std::vector<model::Finding> join_preflight(const Joiner& joiner) {
  Report report;
  const auto input = input_of(joiner);
  const auto cluster = resolve(joiner, input);
  for (const auto& member : cluster.members) {
    check_membership(joiner, member, report);
    check_labels(member, report);
    check_alone(input, member, report);
  }
  check_endpoint(input, cluster, report);
  return report.take();
}

}  // namespace cloudos::plan
