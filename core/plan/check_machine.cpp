#include <algorithm>
#include <array>
#include <format>

#include "core/base/dns.hpp"
#include "core/base/text.hpp"
#include "core/plan/checks.hpp"

namespace cloudos::plan {
namespace {

using model::HostFacts;

// What the kubelet refuses to run with less of, or kubeadm does; sizes as kubeadm's preflight has them.
constexpr Bytes master_memory{1700ULL << 20};
constexpr Bytes node_memory = 700_MiB;
// The oldest systemd whose transient units take what the agent gives them; RHEL 8 has it.
constexpr int oldest_systemd = 239;

struct Needed {
  std::string_view feature, what;
};
constexpr std::array<Needed, 10> needed = {{{"overlayfs", "containerd stacks image layers with it"},
                                            {"netns", "each pod has a network of its own"},
                                            {"bridge", "pods of a node are connected by it"},
                                            {"veth", "pods are connected by it"},
                                            {"vxlan", "pods of different nodes reach each other over it"},
                                            {"conntrack", "kube-proxy's address translation needs it"},
                                            {"cgroup-cpu", "the kubelet divides the processors with it"},
                                            {"cgroup-cpuset", "the kubelet divides the processors with it"},
                                            {"cgroup-memory", "memory limits are made of it"},
                                            {"cgroup-pids", "the kubelet limits processes with it"}}};
constexpr std::array<Needed, 3> wished = {{{"seccomp", "containers run without their system call filter"},
                                           {"cgroup-devices", "containers see more devices than they should"},
                                           {"cgroup-freezer", "containers cannot be paused"}}};

std::string reason(const HostFacts& facts, std::string_view feature) {
  const auto found = facts.features.find(std::string(feature));
  return found == facts.features.end() ? "" : sanitise(found->second.reason);
}

void check_identity(const Input& input, const Member& m, Report& report) {
  const auto& facts = *m.facts;
  if (!facts.root)
    report.error(m.id(), "not-root", "the agent does not run as root there", "log in as root, or as a user whom sudo lets run everything");
  if (const auto wanted = input.bundle.platform.substr(input.bundle.platform.find('/') + 1); facts.arch != wanted)
    report.error(m.id(), "wrong-platform",
                 std::format("the machine is linux/{}, the bundle is for {}", sanitise(facts.arch), input.bundle.platform),
                 std::format("build a bundle for linux/{}", sanitise(facts.arch)));
  if (const auto why = why_not_dns_name(m.node); !why.empty())
    report.error(m.id(), "bad-hostname", std::format("the host name '{}' {}, so it cannot name a node", sanitise(m.node), why),
                 "set hostname for this machine in cluster.toml, or change it there with hostnamectl");
  if (m.node == "localhost")
    report.error(m.id(), "bad-hostname", "the host name is 'localhost'",
                 "set hostname for this machine in cluster.toml, or change it there with hostnamectl");
  if (m.joined && !m.config->hostname.empty() && m.config->hostname != m.node)
    report.error(m.id(), "hostname-changed", std::format("it joined as '{}', cluster.toml now says '{}'", m.node, m.config->hostname),
                 "a node keeps its name: take the key back, or reset the machine and join it anew");
  if (m.joined && !facts.kubernetes.role.empty() && (facts.kubernetes.role == "master") != m.master())
    report.error(m.id(), "role-changed",
                 std::format("it joined as a {}, the list now says {}", facts.kubernetes.role, m.master() ? "master" : "node"),
                 "correct the list, or `cloudos reset --nodes` it and install it again");
}

void check_system(const Member& m, Report& report) {
  const auto& init = m.facts->init;
  if (init.name != "systemd")
    report.error(m.id(), "no-systemd", std::format("PID 1 is '{}', not systemd", sanitise(init.name)),
                 "use a distribution that systemd boots");
  else if (init.systemd_version > 0 && init.systemd_version < oldest_systemd)
    report.error(m.id(), "old-systemd", std::format("systemd {} is older than {}", init.systemd_version, oldest_systemd),
                 "update the distribution");
  if (init.state == "starting" || init.state == "initializing" || init.state == "stopping" || init.state == "maintenance")
    report.warning(m.id(), "not-booted", std::format("systemd says '{}'", init.state),
                   "wait until it has booted, and see `systemctl list-jobs`");
  if (!m.facts->running_apply.empty())
    report.warning(m.id(), "apply-running", std::format("run {} is still at work there", sanitise(m.facts->running_apply)),
                   "this run waits for it");
}

void check_features(const Member& m, Report& report) {
  const auto& facts = *m.facts;
  for (const auto& [feature, what] : needed)
    if (lacks(facts, feature))
      report.error(m.id(), "no-" + std::string(feature), std::format("{} does not work: {}; {}", feature, reason(facts, feature), what),
                   "install the kernel's modules package, or boot a kernel that has it");
  for (const auto& [feature, what] : wished)
    if (lacks(facts, feature))
      report.warning(m.id(), "no-" + std::string(feature), std::format("{} does not work: {}; {}", feature, reason(facts, feature), what),
                     "boot a kernel that has it");
  if (lacks(facts, "nft") && lacks(facts, "iptables"))
    report.error(m.id(), "no-nft", std::format("neither nftables nor iptables works: {}", reason(facts, "nft")),
                 "install the kernel's modules package, or boot a kernel that has one of them");
  if (lacks(facts, "inotify-instances"))
    report.warning(m.id(), "inotify-limit", reason(facts, "inotify-instances"),
                   container(facts) ? "raise fs.inotify.max_user_instances to 8192 on the host of this container"
                                    : "it is raised to 8192 by the install");
  if (const auto forward = facts.sysctls.find("net.ipv4.ip_forward");
      lacks(facts, "sysctl-write") && forward != facts.sysctls.end() && forward->second != "1")
    report.error(m.id(), "no-ip-forward",
                 std::format("net.ipv4.ip_forward is {} and cannot be set: {}", sanitise(forward->second), reason(facts, "sysctl-write")),
                 "set it to 1 from outside, or make /proc/sys writable");
  if (container(facts) && !facts.sysctls.contains("net.bridge.bridge-nf-call-iptables"))
    report.warning(m.id(), "no-br-netfilter",
                   "the kernel module br_netfilter is not loaded, and a container cannot load it: pods will not reach services that run on "
                   "the same node",
                   "load it on the host of this container (modprobe br_netfilter)");
  if (const auto unknown = facts.unknown.find("features"); unknown != facts.unknown.end())
    report.warning(m.id(), "features-unknown", std::format("what its kernel can do was not found out: {}", sanitise(unknown->second)),
                   "run `cloudos install` again when the machine is less busy");
}

void check_size(const Member& m, Report& report) {
  const auto& facts = *m.facts;
  const auto wanted = m.master() ? master_memory : node_memory;
  if (facts.memory.total.count > 0 && facts.memory.total < wanted)
    report.warning(m.id(), "little-memory",
                   std::format("{} of memory, a {} wants {}", human(facts.memory.total), m.master() ? "master" : "node", human(wanted)),
                   "give it more, or expect processes to be killed");
  if (m.master() && facts.cpu.threads == 1)
    report.warning(m.id(), "few-cpus", "1 processor, a master wants 2", "give it more, or expect a slow control plane");
  if (facts.memory.swap_total.count == 0) return;
  if (keeps_swap(facts))
    report.warning(m.id(), "swap",
                   std::format("{} of swap that belongs to the host of this container stays on", human(facts.memory.swap_total)),
                   "pods do not use it; turn it off on the host to be sure");
  else
    report.warning(m.id(), "swap", std::format("{} of swap will be turned off, for the next boots too", human(facts.memory.swap_total)),
                   "`cloudos reset` turns it on again");
}

void check_neighbours(const Member& m, Report& report) {
  const auto& facts = *m.facts;
  if (facts.kubernetes.foreign)
    report.error(m.id(), "foreign-kubernetes", "Kubernetes is on this machine, and cloudos did not put it there",
                 "take it away first (kubeadm reset, or its own uninstaller), or leave the machine out");
  if (begun(facts)) return;
  for (const auto& runtime : facts.runtimes)
    if (runtime.running)
      report.warning(m.id(), "other-runtime", std::format("{} {} is running", sanitise(runtime.name), sanitise(runtime.version)),
                     "it is left as it is; cloudos brings a containerd of its own");
  const std::string_view ports = m.master() ? "tcp 6443, 2379, 2380, 10250 and udp 8472" : "tcp 10250 and udp 8472";
  for (const auto& firewall : facts.firewalls)
    report.warning(m.id(), "firewall", std::format("a firewall is active: {}", sanitise(firewall)),
                   std::format("let the other machines reach {}, and let packets of the pod network be forwarded", ports));
}

}  // namespace

void check_machine(const Input& input, const Member& member, Report& report) {
  check_identity(input, member, report);
  check_system(member, report);
  check_features(member, report);
  check_size(member, report);
  check_neighbours(member, report);
}

}  // namespace cloudos::plan
