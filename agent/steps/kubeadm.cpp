// KubeadmInit, KubeadmJoin, KubeadmControlPlane. kubeadm reads its configuration from standard input (--config /dev/stdin: it opens and
// reads the file once), so that tokens and keys never touch a disk. It writes kubelet.conf late: together with the journal's "done" that
// tells a finished one from a half. A master joins in two steps, first as a node; when the second is cut off, the first cleans up and both
// are done again.

#include <unistd.h>

#include <algorithm>
#include <thread>

#include "agent/steps/actions.hpp"
#include "agent/steps/cluster.hpp"
#include "agent/steps/half.hpp"
#include "agent/steps/sweep.hpp"
#include "agent/steps/tunables.hpp"
#include "core/base/text.hpp"
#include "core/os/file/file.hpp"

namespace cloudos::steps {
namespace {

constexpr Milliseconds kubeadm_limit{900'000};
constexpr Milliseconds start_limit{60'000};
constexpr auto kubelet = "kubelet.service";
constexpr auto ca_path = "/etc/kubernetes/pki/ca.crt";
constexpr auto manifests = "/etc/kubernetes/manifests";

// The files that a finished kubeadm leaves; the first that is missing, or "".
std::string missing_marker(const Session& session, bool control_plane) {
  std::vector<std::string> markers{paths::kubelet_conf, ca_path, "/var/lib/kubelet/config.yaml"};
  if (control_plane)
    for (const auto* path : {paths::admin_conf, "/etc/kubernetes/manifests/etcd.yaml", "/etc/kubernetes/manifests/kube-apiserver.yaml",
                             "/etc/kubernetes/manifests/kube-controller-manager.yaml", "/etc/kubernetes/manifests/kube-scheduler.yaml"})
      markers.emplace_back(path);
  const auto found = std::ranges::find_if(markers, [&](const auto& path) { return !fs::exists(session.at(path)); });
  return found == markers.end() ? "" : *found;
}

const model::JournalRecord* last_kubeadm(const Session& session) {
  const auto* a = session.journal.last_of(model::KubeadmInit::kind);
  const auto* b = session.journal.last_of(model::KubeadmJoin::kind);
  if (a == nullptr || b == nullptr) return a == nullptr ? b : a;
  return a->sequence > b->sequence ? a : b;
}

// Whether kubeadm has been through here. While the step is being verified its own record is still an intent.
bool finished(const Session& session, bool control_plane) {
  const auto* last = last_kubeadm(session);
  return last != nullptr && (last->state == "done" || session.verifying) && missing_marker(session, control_plane).empty();
}

bool anything_there(const Session& session) {
  return fs::exists(session.at(paths::kubelet_conf)) || fs::exists(session.at(paths::admin_conf)) ||
         fs::exists(session.at("/etc/kubernetes/manifests/kube-apiserver.yaml"));
}

bool newer(const model::JournalRecord* a, const model::JournalRecord* b) {
  return a != nullptr && (b == nullptr || a->sequence > b->sequence);
}

// What KubeadmControlPlane wrote since the machine last joined as a node, or nullptr.
const model::JournalRecord* last_control_plane(const Session& session) {
  const auto* last = session.journal.last_of(model::KubeadmControlPlane::kind);
  return newer(last, last_kubeadm(session)) ? last : nullptr;
}

Result<Check> check_kubeadm(Session& session, bool control_plane) {
  const auto* last = last_kubeadm(session);
  if (last == nullptr && anything_there(session))
    return Check::conflict("Kubernetes is on this machine, and cloudos did not put it here; take it away first (`kubeadm reset`)");
  if (last == nullptr) return Check::needed("this machine is in no cluster");
  const auto* half = last_control_plane(session);
  if (half != nullptr && half->state != "done")
    return Check::needed("an earlier try to become a master was cut off or failed; it is cleaned up and done again");
  if (!finished(session, control_plane)) {
    if (last->state == "intent") return Check::needed("an earlier try was cut off half way; it is cleaned up and done again");
    if (last->state == "failed") return Check::needed("an earlier try failed; it is cleaned up and done again");
    return Check::needed(missing_marker(session, control_plane) + " is missing; Kubernetes is set up anew on this machine");
  }
  CLOUDOS_ASSIGN(auto unit, session.env.services.state(kubelet));
  if (unit.active != "active" && unit.active != "activating") return Check::needed("the kubelet is not running");
  return Check::satisfied();
}

Result<std::string> run_kubeadm(Session& session, Argv argv, const std::string& config, const std::vector<std::string>& ignore) {
  CLOUDOS_ASSIGN(auto text, session.resolve(config));
  argv += "--config";
  argv += "/dev/stdin";
  if (!ignore.empty()) argv += "--ignore-preflight-errors=" + join(ignore, ",");
  return session.command(argv, {.input = bytes_of(std::move(text)), .limit = kubeadm_limit});
}

// With the cluster's address and CA at hand for as long as it runs.
Result<std::string> run_join(Session& session, Argv argv, const auto& a, const std::vector<std::string>& ignore) {
  CLOUDOS_ASSIGN(auto discovery, session.resolve(a.discovery));
  const auto path = session.at(paths::discovery);
  CLOUDOS_TRY(os::make_folders(path.parent_path(), 0755));
  CLOUDOS_TRY(os::write_atomic(path, discovery, 0600));
  auto joined = run_kubeadm(session, std::move(argv), a.config, ignore);
  ::unlink(path.c_str());
  return joined;
}

// kubeadm is content when the kubelet has its certificate; what comes next needs the Node that it then makes.
Status await_node(Session& session, const std::string& node) {
  CLOUDOS_TRY(session.kube(session.kubectl({"wait", "--for=create", "node/" + node, "--timeout=120s"}), Milliseconds{135'000}));
  return {};
}

// A finished one only lacks a running kubelet; anything else that was begun is cleaned up first.
Result<bool> only_start(Session& session, bool control_plane) {
  if (finished(session, control_plane)) {
    CLOUDOS_TRY(session.env.services.start(kubelet, in(start_limit)));
    return true;
  }
  if (anything_there(session) || fs::exists(session.at("/var/lib/kubelet/config.yaml")) || fs::exists(session.at("/var/lib/etcd/member"))) {
    session.note("cleaning up what an earlier try of kubeadm left");
    CLOUDOS_TRY(clean_half(session));
  }
  return false;
}

// What was here before Kubernetes is not touched when it goes.
Undo before_kubeadm(const Session& session, const std::string& node, const char* role) {
  std::vector<std::string> tables;
  if (session.env.root == "/")
    if (const auto present = nft_tables())
      for (const auto& table : *present) tables.push_back(table.text());
  Undo undo = tunables_now(session.env);
  undo.insert({{"node", node},
               {"role", role},
               {"nft-tables", join(tables, ",")},
               {"nft-chains", join(builtin_chains(session.env), ",")},
               {"absent", absent_now(session.env)}});
  return undo;
}

}  // namespace

Result<Check> check(const model::KubeadmInit&, Session& session) {
  CLOUDOS_ASSIGN(auto found, check_kubeadm(session, true));
  if (found.state == Check::State::satisfied) CLOUDOS_TRY(tell_ca(session));
  return found;
}
Result<Undo> before(const model::KubeadmInit& a, Session& session) { return before_kubeadm(session, a.node, "master"); }
Status apply(const model::KubeadmInit& a, Session& session) {
  CLOUDOS_ASSIGN(auto started, only_start(session, true));
  if (started) return {};
  auto argv = session.kubeadm({"init", "--skip-token-print", "--skip-certificate-key-print"});
  // The plan gives a key when masters are to join: what OfferJoin would do, in the one process that has it all at hand.
  if (a.config.contains("certificateKey")) argv += "--upload-certs";
  CLOUDOS_TRY(run_kubeadm(session, std::move(argv), a.config, a.ignore_preflight));
  session.forget();
  return {};
}

Result<Check> check(const model::KubeadmJoin&, Session& session) { return check_kubeadm(session, false); }
Result<Undo> before(const model::KubeadmJoin& a, Session& session) {
  auto undo = before_kubeadm(session, a.node, a.control_plane ? "master" : "node");
  if (a.control_plane) undo["control-plane"] = "follows";
  return undo;
}
Status apply(const model::KubeadmJoin& a, Session& session) {
  CLOUDOS_ASSIGN(auto started, only_start(session, false));
  if (started) return await_node(session, a.node);
  // A kubelet that does not find the folder looks for it again seldom.
  if (a.control_plane) CLOUDOS_TRY(os::make_folders(session.at(manifests), 0700));
  // A node of this name that was reset a moment ago counts as Ready until its lease runs out (40 s, the controller
  // manager's --node-monitor-grace-period); kubeadm refuses to join until then.
  const auto patience = in(Milliseconds{90'000});
  for (;;) {
    auto joined = run_join(session, session.kubeadm({"join"}), a, a.ignore_preflight);
    if (joined) break;
    const bool still_ready =
        joined.error().message.contains("already exists in the cluster") ||
        (session.failed_command && join(session.failed_command->lines, "\n").contains("already exists in the cluster"));
    if (!still_ready || std::chrono::steady_clock::now() > patience) return fail(std::move(joined).error());
    session.note("the cluster still counts an earlier " + a.node + " as Ready; waiting for its lease to run out");
    std::this_thread::sleep_for(std::chrono::seconds(5));
  }
  session.forget();
  return await_node(session, a.node);
}

Result<Check> check(const model::KubeadmControlPlane&, Session& session) {
  const auto* last = last_control_plane(session);
  if (last == nullptr) return Check::needed("it is a node so far");
  if (last->state != "done" && !session.verifying) return Check::needed("an earlier try was cut off or failed");
  if (const auto missing = missing_marker(session, true); !missing.empty()) return Check::needed(missing + " is missing");
  return Check::satisfied();
}
Result<Undo> before(const model::KubeadmControlPlane& a, Session&) { return Undo{{"node", a.node}, {"role", "master"}}; }
Status apply(const model::KubeadmControlPlane& a, Session& session) {
  auto ignore = a.ignore_preflight;
  // Of the node that it is.
  ignore.insert(ignore.end(), {"FileAvailable--etc-kubernetes-kubelet.conf", "Port-10250"});
  CLOUDOS_TRY(run_join(session, session.kubeadm({"join", "--skip-phases=kubelet-start,kubelet-wait-bootstrap"}), a, ignore));
  session.forget();
  return {};
}

}  // namespace cloudos::steps
