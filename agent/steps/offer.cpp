// OfferJoin and WithdrawJoin: a token and the control plane's keys, for as long as machines join.

#include "agent/steps/actions.hpp"
#include "agent/steps/cluster.hpp"
#include "core/base/text.hpp"
#include "core/os/file/file.hpp"

namespace cloudos::steps {
namespace {

constexpr auto uploaded = "kubeadm-certs";

// "bootstrap-token-abcdef" of the join token abcdef.0123456789abcdef, or "" where the request has none.
std::string token_object(const Session& session) {
  const auto* token = session.secret("join-token");
  if (token == nullptr) return "";
  return "bootstrap-token-" + std::string(token->reveal().substr(0, token->reveal().find('.')));
}

// Of the secrets of kube-system that make an offer, those that are there.
Result<std::vector<nlohmann::json>> offered(Session& session, bool certificates) {
  auto argv = session.kubectl({"--request-timeout=20s", "-n", "kube-system", "get", "secret", "--ignore-not-found", "-o", "json"});
  const auto token = token_object(session);
  if (token.empty() && !certificates) return std::vector<nlohmann::json>{};
  if (!token.empty()) argv += token;
  if (certificates) argv += uploaded;
  CLOUDOS_ASSIGN(auto answer, session.kube(argv));
  return objects_of(answer);
}

// Without a version kubeadm asks the internet for the newest one; ours is the one that is installed.
Result<std::string> with_version(const Session& session, std::string config) {
  if (config.contains("\"kubernetesVersion\"") || config.contains("kubernetesVersion:")) return config;
  std::error_code error;
  const auto target = fs::read_symlink(session.at(paths::current), error);
  if (error) return fail(ErrorKind::io, std::string(paths::current) + " does not name the installed version");
  auto version = target.filename().string();
  if (!version.starts_with('v')) version.insert(0, "v");
  return config + "\n---\n" +
         nlohmann::json{{"apiVersion", "kubeadm.k8s.io/v1beta4"}, {"kind", "ClusterConfiguration"}, {"kubernetesVersion", version}}.dump() +
         "\n";
}

}  // namespace

// The token is of this run alone, and it is made after the keys are uploaded, by kubeadm init as by apply() below: where it
// is, the keys that are there are this run's too. What an earlier run left says nothing.
Result<Check> check(const model::OfferJoin& a, Session& session) {
  CLOUDOS_ASSIGN(auto present, offered(session, a.certificates));
  const std::size_t wanted = (token_object(session).empty() ? 0U : 1U) + (a.certificates ? 1U : 0U);
  if (token_object(session).empty() || present.size() < wanted)
    return Check::needed(a.certificates ? "a join token and the control plane's keys" : "a join token");
  CLOUDOS_TRY(tell_ca(session));
  return Check::satisfied();
}
Result<Undo> before(const model::OfferJoin&, Session&) { return Undo{}; }
Status apply(const model::OfferJoin& a, Session& session) {
  CLOUDOS_ASSIGN(auto text, session.resolve(a.config));
  CLOUDOS_ASSIGN(auto config, with_version(session, std::move(text)));
  if (a.certificates)
    CLOUDOS_TRY(session.command(session.kubeadm({"init", "phase", "upload-certs", "--upload-certs", "--config", "/dev/stdin",
                                                 "--kubeconfig", paths::admin_conf, "--skip-certificate-key-print"}),
                                {.input = bytes_of(config)}));
  CLOUDOS_TRY(session.command(session.kubeadm({"init", "phase", "bootstrap-token", "--config", "/dev/stdin", "--kubeconfig",
                                               paths::admin_conf, "--skip-token-print"}),
                              {.input = bytes_of(config)}));
  return tell_ca(session);
}

Result<Check> check(const model::WithdrawJoin&, Session& session) {
  CLOUDOS_ASSIGN(auto present, offered(session, true));
  if (present.empty()) return Check::satisfied();
  return Check::needed(text_at(present.front(), {"metadata", "name"}) + " is still in the cluster");
}
Result<Undo> before(const model::WithdrawJoin&, Session&) { return Undo{}; }
Status apply(const model::WithdrawJoin&, Session& session) {
  CLOUDOS_ASSIGN(auto present, offered(session, true));
  auto argv = session.kubectl({"--request-timeout=20s", "-n", "kube-system", "delete", "secret", "--ignore-not-found"});
  for (const auto& object : present) {
    argv += text_at(object, {"metadata", "name"});
    // kubeadm hangs the uploaded keys on a token of their own, which lives on for two hours.
    if (const auto* owners = find_at(object, {"metadata", "ownerReferences"}); owners != nullptr && owners->is_array())
      for (const auto& owner : *owners)
        if (const auto name = text_at(owner, {"name"}); name.starts_with("bootstrap-token-")) argv += name;
  }
  CLOUDOS_TRY(session.kube(argv));
  return {};
}

}  // namespace cloudos::steps
