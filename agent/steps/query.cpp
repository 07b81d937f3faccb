// What a master knows of the pool.

#include "agent/steps/cluster.hpp"
#include "agent/steps/steps.hpp"
#include "core/os/file/file.hpp"

namespace cloudos::steps {
namespace {

Result<std::string> ask(Environment& env, std::initializer_list<std::string> words) {
  const model::ApplyRequest nothing{};
  CLOUDOS_ASSIGN(auto journal, Journal::read(env.at(paths::journal)));
  // Who looks wants to know soon that there is no answer.
  Environment impatient = env;
  impatient.api_patience = Milliseconds{0};
  Session session(impatient, nothing, journal);
  return session.kube(session.kubectl(words), Milliseconds{40'000});
}

Status must_be_master(const Environment& env) {
  if (fs::exists(env.at(paths::admin_conf))) return {};
  return fail(ErrorKind::refused, "this machine is not a master of a cluster", "ask one of the cluster's masters");
}

}  // namespace

Result<std::string> query(std::string_view subject, Environment& env) {
  CLOUDOS_TRY(must_be_master(env));
  if (subject == "kubeconfig") return os::read(env.at(paths::admin_conf));
  if (subject == "wanted")
    return ask(env,
               {"--request-timeout=20s", "-n", "cloudos-system", "get", "configmap", "cluster", "-o", R"(jsonpath={.data.config\.json})"});
  if (subject == "nodes" || subject == "pool") {
    CLOUDOS_ASSIGN(auto answer, ask(env, {"--request-timeout=20s", "get", subject == "pool" ? "nodes,pods" : "nodes", "-A", "-o", "json"}));
    return pool_of(answer);
  }
  return fail(ErrorKind::usage, "there is nothing to ask about \"" + std::string(subject) + "\"",
              "ask for pool, nodes, node NAME, wanted or kubeconfig");
}

Result<std::string> query_node(const std::string& name, Environment& env) {
  CLOUDOS_TRY(must_be_master(env));
  CLOUDOS_ASSIGN(const auto nodes, ask(env, {"--request-timeout=20s", "get", "nodes", "-o", "json"}));
  CLOUDOS_ASSIGN(const auto known, name_of_node(nodes, name));
  if (known.empty()) return node_of(nodes, name, "", "");
  CLOUDOS_ASSIGN(const auto pods,
                 ask(env, {"--request-timeout=20s", "get", "pods", "-A", "--field-selector", "spec.nodeName=" + known, "-o", "json"}));
  CLOUDOS_ASSIGN(const auto events, ask(env, {"--request-timeout=20s", "get", "events", "-A", "--field-selector",
                                              "involvedObject.kind=Node,involvedObject.name=" + known, "-o", "json"}));
  return node_of(nodes, known, pods, events);
}

}  // namespace cloudos::steps
