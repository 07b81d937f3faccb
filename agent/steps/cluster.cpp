#include "agent/steps/cluster.hpp"

#include <algorithm>
#include <cctype>
#include <format>

#include "core/os/crypto/crypto.hpp"
#include "core/os/file/file.hpp"

namespace cloudos::steps {
namespace {

using nlohmann::json;

bool wants_all(const model::ApplyRequest& request) {
  return std::ranges::any_of(request.steps, [](const model::Step& step) {
    return std::holds_alternative<model::WorkloadsReady>(step.action) || std::holds_alternative<model::NodeSettings>(step.action);
  });
}

KubeObjects& cache(Session& session) {
  if (!session.objects) session.objects = std::make_unique<KubeObjects>();
  return *session.objects;
}

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

Status keep(KubeObjects& objects, std::string_view answer) {
  CLOUDOS_ASSIGN(auto list, objects_of(answer));
  for (auto& object : list) {
    const auto kind = lower(text_at(object, {"kind"}));
    const auto name = text_at(object, {"metadata", "name"});
    // Named before the move: the right side of an assignment is evaluated first.
    const auto workload = text_at(object, {"metadata", "namespace"}) + "/" + kind + "/" + name;
    if (kind == "node") objects.nodes[name] = std::move(object);
    else objects.workloads[workload] = std::move(object);
  }
  return {};
}

// On a master that needs more than one thing: nodes and workloads together, in one call.
Status load_all(Session& session) {
  auto& objects = cache(session);
  if (objects.cluster_loaded) return {};
  CLOUDOS_ASSIGN(
      auto answer,
      session.kube(session.kubectl({"--request-timeout=20s", "get", "nodes,daemonsets.apps,deployments.apps", "-A", "-o", "json"})));
  objects.cluster_loaded = true;
  return keep(objects, answer);
}

}  // namespace

Result<const json*> node_object(Session& session, const std::string& name) {
  auto& objects = cache(session);
  if (wants_all(session.request)) {
    CLOUDOS_TRY(load_all(session));
  } else if (!objects.nodes.contains(name)) {
    CLOUDOS_ASSIGN(auto answer,
                   session.kube(session.kubectl({"--request-timeout=20s", "get", "node", name, "--ignore-not-found", "-o", "json"})));
    if (!answer.empty()) CLOUDOS_TRY(keep(objects, answer));
  }
  const auto found = objects.nodes.find(name);
  return found == objects.nodes.end() ? nullptr : &found->second;
}

std::string workload_key(const std::string& name) { return std::ranges::count(name, '/') >= 2 ? name : "kube-system/" + name; }

Result<const json*> workload_object(Session& session, const std::string& key) {
  CLOUDOS_TRY(load_all(session));
  const auto& workloads = cache(session).workloads;
  const auto found = workloads.find(key);
  return found == workloads.end() ? nullptr : &found->second;
}

Status tell_ca(Session& session) {
  CLOUDOS_ASSIGN(auto pem, os::read(session.at("/etc/kubernetes/pki/ca.crt")));
  session.output("ca", os::base64(pem));
  return {};
}

Result<std::vector<json>> objects_of(std::string_view text) {
  if (text.find_first_not_of(" \n\t") == std::string_view::npos) return std::vector<json>{};
  auto j = json::parse(text, nullptr, false);
  if (!j.is_object()) return fail(ErrorKind::failed, "kubectl's answer is not JSON");
  const auto items = j.find("items");
  if (items == j.end() || !items->is_array()) return std::vector<json>{std::move(j)};
  return std::vector<json>(items->begin(), items->end());
}

std::string key_of(const json& object) {
  return text_at(object, {"apiVersion"}) + "|" + text_at(object, {"kind"}) + "|" + text_at(object, {"metadata", "namespace"}) + "|" +
         text_at(object, {"metadata", "name"});
}
std::string mark_of(const json& object) {
  const auto generation = number_at(object, {"metadata", "generation"});
  return text_at(object, {"metadata", "uid"}) + ":" +
         (generation > 0 ? "g" + std::to_string(generation) : "v" + text_at(object, {"metadata", "resourceVersion"}));
}

std::optional<std::string> not_ready(const json& node) {
  const auto* conditions = find_at(node, {"status", "conditions"});
  if (conditions == nullptr || !conditions->is_array()) return "the kubelet has not reported yet";
  for (const auto& each : *conditions) {
    if (text_at(each, {"type"}) != "Ready") continue;
    if (text_at(each, {"status"}) == "True") return std::nullopt;
    return text_at(each, {"reason"}) + ": " + text_at(each, {"message"});
  }
  return "the kubelet has not reported yet";
}

std::optional<std::string> not_rolled_out(const json& w) {
  if (number_at(w, {"status", "observedGeneration"}) < number_at(w, {"metadata", "generation"}))
    return "its controller has not seen it yet";
  const bool daemonset = text_at(w, {"kind"}) == "DaemonSet";
  const auto wanted = daemonset ? number_at(w, {"status", "desiredNumberScheduled"}) : number_at(w, {"spec", "replicas"});
  const auto updated = number_at(w, {"status", daemonset ? "updatedNumberScheduled" : "updatedReplicas"});
  const auto available = number_at(w, {"status", daemonset ? "numberAvailable" : "availableReplicas"});
  if (updated < wanted) return std::format("{} of {} pods are of the wanted kind", updated, wanted);
  if (available < wanted) return std::format("{} of {} pods are available", available, wanted);
  return std::nullopt;
}

}  // namespace cloudos::steps
