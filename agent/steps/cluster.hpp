// What this machine may ask the API server, asked as seldom as can be: each kubectl costs a tenth of a second of a core.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "agent/steps/session.hpp"
#include "core/model/json_path.hpp"

namespace cloudos::steps {

struct KubeObjects {
  using Json = nlohmann::json;
  bool cluster_loaded = false;
  std::map<std::string, Json> nodes;      // by name
  std::map<std::string, Json> workloads;  // by "namespace/daemonset/name"
  bool manifests_loaded = false;
  std::map<std::string, std::string> marks;  // what mark_of() says, by what key_of() says
};

// The node object as it is now, or as it was when this run last asked; null when the cluster has none of that name.
[[nodiscard]] Result<const nlohmann::json*> node_object(Session& session, const std::string& name);
// "kube-system/daemonset/kube-proxy" of "daemonset/kube-proxy"; a name with its namespace before it stays.
[[nodiscard]] std::string workload_key(const std::string& name);
[[nodiscard]] Result<const nlohmann::json*> workload_object(Session& session, const std::string& key);

// Gives the CA certificate of this machine's cluster as the output "ca", PEM in base64 as a kubeconfig has it.
[[nodiscard]] Status tell_ca(Session& session);

// The objects of a kubectl answer: the items of a List, or the one object.
[[nodiscard]] Result<std::vector<nlohmann::json>> objects_of(std::string_view text);
// Which object: "apps/v1|DaemonSet|kube-system|kube-proxy".
[[nodiscard]] std::string key_of(const nlohmann::json& object);
// Which state of it that was written: its uid with the generation (which counts changes of the spec) or, where a kind has
// none, the resource version.
[[nodiscard]] std::string mark_of(const nlohmann::json& object);

using model::find_at;
using model::number_at;
using model::text_at;

// Whether the node's condition Ready is True, else why not, as the kubelet says it.
[[nodiscard]] std::optional<std::string> not_ready(const nlohmann::json& node);
// Whether a DaemonSet or Deployment is rolled out (as `kubectl rollout status` counts), else how far it is.
[[nodiscard]] std::optional<std::string> not_rolled_out(const nlohmann::json& workload);

}  // namespace cloudos::steps
