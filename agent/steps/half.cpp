#include "agent/steps/half.hpp"

#include "core/os/file/file.hpp"

namespace cloudos::steps {
namespace {

constexpr Milliseconds leave_limit{30'000};
constexpr Milliseconds reset_limit{120'000};
constexpr Milliseconds stop_limit{60'000};

}  // namespace

Status clean_half(Session& session) {
  // A member that was added and never came up would count against the quorum.
  if (fs::exists(session.at(paths::admin_conf)) && fs::exists(session.at("/etc/kubernetes/manifests/etcd.yaml")))
    static_cast<void>(
        session.ask(session.kubeadm({"reset", "phase", "remove-etcd-member", "--kubeconfig", paths::admin_conf}), {.limit = leave_limit}));
  static_cast<void>(session.env.services.stop("kubelet.service", in(stop_limit)));
  // Without a kubeconfig that loads, reset does not ask the API for anything.
  CLOUDOS_TRY(session.command(session.kubeadm({"reset", "--force", "--skip-phases=remove-etcd-member", "--kubeconfig=/nonexistent",
                                               std::string("--cri-socket=unix://") + paths::containerd_socket}),
                              {.limit = reset_limit}));
  for (const auto* path : {"/etc/kubernetes/manifests", "/etc/kubernetes/pki"}) CLOUDOS_TRY(os::remove_tree(session.at(path)));
  // The kubelet counts a pod's restarts on from the logs that it finds.
  for (const auto* path : {paths::etcd_state, "/etc/kubernetes/tmp", "/var/log/pods", "/var/log/containers"})
    CLOUDOS_TRY(os::remove_tree(session.at(path)));
  return {};
}

}  // namespace cloudos::steps
