// What pods, kubelet and containerd leave on a machine without any step having written it: processes, mounts, cgroups,
// links, firewall tables, folders. Found by its own marks only (our socket, our folders, the names that these programs
// give), so that another container runtime beside ours is not touched.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "agent/steps/environment.hpp"
#include "agent/steps/netlink.hpp"

namespace cloudos::steps {

// Kills what still runs in kubepods cgroups and the shims of our containerd. Gives how many processes were told.
[[nodiscard]] int kill_pods(Environment& env);
// Mounts at or below the folders that hold only ours, deepest first.
[[nodiscard]] std::vector<std::string> our_mounts(const Environment& env);
[[nodiscard]] Status unmount_ours(Environment& env);
[[nodiscard]] std::vector<std::string> our_cgroups(const Environment& env);
[[nodiscard]] Status remove_cgroups(Environment& env);
// cni0, flannel.1 and the pods' ends that hang on cni0.
[[nodiscard]] std::vector<std::string> our_links(const Environment& env);
[[nodiscard]] Status delete_links(Environment& env);
// Tables that kube-proxy, flannel and the CNI plugins made; of iptables' own tables only those that were not there before
// and hold nothing but chains of these.
[[nodiscard]] std::vector<NftTable> our_tables(const Environment& env, const std::set<std::string>& before);
[[nodiscard]] Status delete_tables(Environment& env, const std::set<std::string>& before);
// The built-in chains ("ip nat OUTPUT") of iptables' tables: iptables makes each with the first rule that goes into it.
[[nodiscard]] std::vector<std::string> builtin_chains(const Environment& env);
// Deletes those that are empty and were not there before.
[[nodiscard]] Status delete_builtin_chains(const Environment& env, const std::set<std::string>& before);
// Whether another containerd works on this machine, with which we share /run/containerd and /run/netns.
[[nodiscard]] bool other_containerd(const Environment& env);
// The folders and files that Kubernetes and containerd fill, and that hold nothing else.
[[nodiscard]] std::vector<std::string> our_folders(const Environment& env);
// What Kubernetes makes beside these and may also be there without it: which of it is absent now, as a list with commas,
// and removing what was absent before and is empty.
[[nodiscard]] std::string absent_now(const Environment& env);
void remove_side_effects(const Environment& env, const std::set<std::string>& absent_before);

}  // namespace cloudos::steps
