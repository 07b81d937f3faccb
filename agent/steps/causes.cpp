#include "agent/steps/causes.hpp"

#include <array>
#include <initializer_list>

namespace cloudos::steps {
namespace {

struct Rule {
  std::array<std::string_view, 3> signs;  // any of them; "" matches nothing
  std::string_view cause, hint;
  bool symptom = false;
};

// Root causes before their consequences: a full disk also makes etcd and the API server fail.
constexpr auto rules = std::to_array<Rule>({
    {{"no space left on device", "No space left on device", "DiskPressure"},
     "a disk of this machine is full",
     "free space below /var/lib (see `df -h` and `df -i`), then run the same command again"},
    {{"Read-only file system", "read-only file system", ""},
     "a file system of this machine is read-only",
     "look at `dmesg` for disk errors, mount it writable, then run the same command again"},
    {{"too many open files", "inotify_init: too many", "no more inotify"},
     "this machine has run out of inotify instances or open files",
     "raise fs.inotify.max_user_instances (8192) and fs.file-max, then run the same command again"},
    {{"x509: certificate has expired or is not yet valid", "certificate is not yet valid", "clock difference between"},
     "the clocks of the machines differ, or a certificate has run out",
     "set the clock (chrony or systemd-timesyncd on every machine), then run the same command again"},
    {{"running with swap on is not supported", "failed to run Kubelet: running with swap on", "[ERROR Swap]"},
     "swap is on",
     "turn swap off with `swapoff -a` and take it out of /etc/fstab, then run the same command again"},
    {{"different from docker cgroup driver", "is different from the runtime's cgroup driver", "expected cgroupsPath to be of format"},
     "kubelet and containerd use different cgroup drivers",
     "run the same command again: both are written from this machine's facts; if it stays, run it with -vv and send the log"},
    {{"cgroup v1 support", "missing required cgroups", "kubelet is configured to not run on a host using cgroup v1"},
     "this machine's cgroups are not what the kubelet needs",
     "boot with cgroup v2 (systemd.unified_cgroup_hierarchy=1), or enable the missing controllers"},
    {{"/proc/self/oom_score_adj: permission denied", "/proc/self/oom_score_adj: Permission denied",
      "failed to update /proc/self/oom_score_adj"},
     "this machine may not lower its out-of-memory score (no CAP_SYS_RESOURCE)",
     "run the same command again: containerd's configuration is written from facts that show it"},
    {{"ErrImagePull", "ImagePullBackOff", "failed to pull image"},
     "an image is not in this machine's containerd, and there is no registry to pull it from",
     "run the same command again: what is missing is sent and loaded first"},
    {{"address already in use", "[ERROR Port-", "bind: address in use"},
     "a port that Kubernetes needs is taken",
     "find who listens with `ss -ltnp`, stop it, then run the same command again"},
    {{"token id", "could not find a JWS signature", "invalid bearer token"},
     "the join token is not valid any more",
     "run the same command again: it makes a new token"},
    {{"error downloading certs", "Secret \"kubeadm-certs\" was not found", "cipher: message authentication failed"},
     "the control plane's keys are not offered any more",
     "run the same command again: they are offered anew"},
    {{"cluster CA found in cluster-info ConfigMap is invalid", "none of the public keys", "x509: certificate signed by unknown authority"},
     "the API server that answered is not of this cluster",
     "check that the masters' addresses are right and that no old Kubernetes answers there"},
    {{"etcdserver: request timed out", "etcdserver: leader changed", "apply request took too long"},
     "etcd is too slow: its disk or the network between the masters",
     "check disk latency and the network between the masters, then run the same command again"},
    {{"etcdserver: unhealthy cluster", "etcd cluster is not healthy", "can only promote a learner member which is in sync"},
     "etcd has members that do not answer",
     "bring the other masters up, or take the dead one out, then run the same command again"},
    {{"executable file not found in $PATH", "exec format error", "no such file or directory: unknown"},
     "a container's program is not in its image, or is not for this processor",
     "the bundle is not whole or is for another platform: verify it with `cloudos bundle verify`"},
    {{"cni plugin not initialized", "NetworkPluginNotReady", "no networks found in"},
     "the pod network is not up on this machine",
     "look at the flannel pod of this node: `kubectl -n kube-flannel get pods -o wide`"},
    {{"OOMKilled", "Out of memory: Killed process", "oom-kill"},
     "a process was killed for lack of memory",
     "give the machine more memory, or take other work off it"},
    {{"no such host", "Temporary failure in name resolution", "server misbehaving"},
     "a name cannot be resolved on this machine",
     "check /etc/resolv.conf and /etc/hosts"},
    {{"no route to host", "network is unreachable", "No route to host"},
     "this machine has no way to another one",
     "check routes and firewalls between the machines"},
    {{"i/o timeout", "context deadline exceeded", "timed out waiting for the condition"},
     "something did not answer in time: an overloaded machine, or a firewall that drops packets",
     "see the logs above; check that the machines reach each other on 6443, 2379, 2380 and 10250",
     true},
    {{"connection refused", "Unable to connect to the server", "did you specify the right host or port"},
     "the API server does not answer",
     "look at its log on a master: `tail /var/log/pods/kube-system_kube-apiserver-*/*/*.log`",
     true},
});

}  // namespace

Diagnosis likely_cause(std::string_view text) {
  for (const auto& rule : rules)
    for (const auto sign : rule.signs)
      if (!sign.empty() && text.contains(sign))
        return {.cause = std::string(rule.cause), .hint = std::string(rule.hint), .symptom = rule.symptom};
  return {};
}

}  // namespace cloudos::steps
