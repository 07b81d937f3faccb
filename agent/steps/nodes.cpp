// NodeSettings, NodeReady, WorkloadsReady.

#include <algorithm>
#include <format>
#include <set>

#include "agent/steps/actions.hpp"
#include "agent/steps/cluster.hpp"
#include "core/base/text.hpp"

namespace cloudos::steps {
namespace {

using nlohmann::json;

// What cloudos set on a node, kept on the node itself, so that any operator's run knows what it may remove.
constexpr auto settings_annotation = "cloudos.io/settings";

std::string taint_key(const json& taint) { return text_at(taint, {"key"}) + ":" + text_at(taint, {"effect"}); }

struct Ours {
  std::set<std::string> labels, taints;  // label keys; "key:effect"
};
Ours ours_of(const json& node) {
  Ours ours;
  const auto j = json::parse(text_at(node, {"metadata", "annotations", settings_annotation}), nullptr, false);
  for (const auto* name : {"labels", "taints"})
    if (const auto* list = find_at(j, {name}); list != nullptr && list->is_array())
      for (const auto& each : *list)
        if (each.is_string()) (name == std::string_view("labels") ? ours.labels : ours.taints).insert(each.get<std::string>());
  return ours;
}

// The merge patch (RFC 7396) that makes the node as wanted; null when it is.
json patch_for(const model::NodeSettings& a, const json& node) {
  const auto ours = ours_of(node);
  auto labels = json::object();
  for (const auto& [key, value] : a.labels)
    if (const auto* present = find_at(node, {"metadata", "labels", key.c_str()}); present == nullptr || *present != value)
      labels[key] = value;
  for (const auto& key : ours.labels)
    if (!a.labels.contains(key) && find_at(node, {"metadata", "labels", key.c_str()}) != nullptr) labels[key] = nullptr;

  const auto* present = find_at(node, {"spec", "taints"});
  const auto now = present != nullptr && present->is_array() ? *present : json::array();
  auto wanted = json::array();
  std::set<std::string> keys;
  for (const auto& taint : a.taints) {
    json t{{"key", taint.key}, {"effect", taint.effect}};
    if (!taint.value.empty()) t["value"] = taint.value;
    keys.insert(taint_key(t));
    wanted.push_back(std::move(t));
  }
  auto taints = json::array();
  for (const auto& taint : now)
    if (!keys.contains(taint_key(taint)) && !ours.taints.contains(taint_key(taint))) taints.push_back(taint);
  for (auto& taint : wanted) {
    const auto same = std::ranges::find_if(
        now, [&](const json& t) { return taint_key(t) == taint_key(taint) && text_at(t, {"value"}) == text_at(taint, {"value"}); });
    taints.push_back(same != now.end() ? *same : taint);
  }
  const bool taints_differ =
      taints.size() != now.size() || !std::ranges::all_of(taints, [&](const json& t) { return std::ranges::find(now, t) != now.end(); });

  std::vector<std::string> label_keys;
  for (const auto& [key, value] : a.labels) label_keys.push_back(key);
  const auto record = json{{"labels", label_keys}, {"taints", std::vector<std::string>(keys.begin(), keys.end())}}.dump();
  const bool anything = !a.labels.empty() || !a.taints.empty() || !ours.labels.empty() || !ours.taints.empty();
  auto patch = json::object();
  if (!labels.empty()) patch["metadata"]["labels"] = std::move(labels);
  if (taints_differ) patch["spec"]["taints"] = std::move(taints);
  if (anything && text_at(node, {"metadata", "annotations", settings_annotation}) != record)
    patch["metadata"]["annotations"][settings_annotation] = record;
  return patch.empty() ? json() : patch;
}

Status wait_for(Session& session, Argv argv, int seconds) {
  argv += std::format("--timeout={}s", seconds);
  CLOUDOS_TRY(session.kube(argv, Milliseconds{(std::int64_t{seconds} + 15) * 1000}));
  return {};
}

}  // namespace

Result<Check> check(const model::NodeSettings& a, Session& session) {
  CLOUDOS_ASSIGN(const auto* node, node_object(session, a.node));
  if (node == nullptr) return Check::conflict("the cluster has no node " + a.node);
  const auto patch = patch_for(a, *node);
  return patch.is_null() ? Check::satisfied() : Check::needed("changes " + patch.dump());
}
Result<Undo> before(const model::NodeSettings&, Session&) { return Undo{}; }
Status apply(const model::NodeSettings& a, Session& session) {
  CLOUDOS_ASSIGN(const auto* node, node_object(session, a.node));
  const auto patch = patch_for(a, *node).dump();
  session.forget();
  CLOUDOS_TRY(session.command(
      session.kubectl({"--request-timeout=20s", "patch", "node", a.node, "--type=merge", "--field-manager=cloudos", "-p", patch})));
  return {};
}

Result<Check> check(const model::NodeReady& a, Session& session) {
  CLOUDOS_ASSIGN(const auto* node, node_object(session, a.node));
  if (node == nullptr) return Check::needed("the cluster has no node " + a.node + " yet");
  const auto reason = not_ready(*node);
  return reason ? Check::needed(sanitise(*reason)) : Check::satisfied();
}
Result<Undo> before(const model::NodeReady&, Session&) { return Undo{}; }
Status apply(const model::NodeReady& a, Session& session) {
  session.forget();
  auto waited = wait_for(session, session.kubectl({"wait", "--for=condition=Ready", "node/" + a.node}), a.timeout_s);
  if (waited) return {};
  const auto found = node_object(session, a.node);
  const auto reason = found && *found != nullptr ? not_ready(**found) : std::nullopt;
  if (!reason) return fail(std::move(waited).error());
  return fail(ErrorKind::timeout, std::format("node {} is not Ready after {} s: {}", a.node, a.timeout_s, sanitise(*reason)));
}

Result<Check> check(const model::WorkloadsReady& a, Session& session) {
  for (const auto& name : a.names) {
    CLOUDOS_ASSIGN(const auto* workload, workload_object(session, workload_key(name)));
    if (workload == nullptr) return Check::needed(name + " is not there yet");
    if (const auto reason = not_rolled_out(*workload)) return Check::needed(name + ": " + *reason);
  }
  return Check::satisfied();
}
Result<Undo> before(const model::WorkloadsReady&, Session&) { return Undo{}; }
Status apply(const model::WorkloadsReady& a, Session& session) {
  const auto until = in(Milliseconds{std::int64_t{a.timeout_s} * 1000});
  // On a machine with much to do a pod that was ready may not be so when it is looked at again.
  do {
    for (const auto& name : a.names) {
      const auto key = workload_key(name);
      const auto slash = key.find('/');
      const auto left = std::chrono::duration_cast<std::chrono::seconds>(until - std::chrono::steady_clock::now()).count();
      session.forget();
      auto waited = wait_for(session, session.kubectl({"-n", key.substr(0, slash), "rollout", "status", key.substr(slash + 1)}),
                             static_cast<int>(std::max<std::int64_t>(left, 1)));
      if (!waited) return fail(std::move(waited).error().with("waiting for " + name));
    }
    session.forget();
    CLOUDOS_ASSIGN(const auto now, check(a, session));
    if (now.state == Check::State::satisfied) return {};
  } while (std::chrono::steady_clock::now() < until);
  return {};
}

}  // namespace cloudos::steps
