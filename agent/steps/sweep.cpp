#include "agent/steps/sweep.hpp"

#include <signal.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <thread>

#include "core/base/text.hpp"
#include "core/model/paths.hpp"
#include "core/os/file/file.hpp"

namespace cloudos::steps {
namespace {

bool starts_with_any(std::string_view text, std::initializer_list<std::string_view> prefixes) {
  return std::ranges::any_of(prefixes, [&](auto prefix) { return text.starts_with(prefix); });
}

// Only the machine's own kernel may be asked about what a moved root cannot hold.
bool real(const Environment& env) { return env.root == "/"; }

std::vector<int> numbers(std::string_view text) {
  std::vector<int> out;
  for (const auto& word : split(text, '\n')) {
    int number = 0;
    if (std::from_chars(word.data(), word.data() + word.size(), number).ec == std::errc{} && number > 1) out.push_back(number);
  }
  return out;
}

// A shim of our containerd: its command line names our socket (containerd's runtime v2, "-address").
bool is_our_shim(const fs::path& process) {
  const auto line = os::read_if_any(process / "cmdline");
  return line && *line && (*line)->contains("containerd-shim") && (*line)->contains(paths::containerd_socket);
}

std::vector<int> pod_processes(const Environment& env) {
  std::vector<int> pids;
  for (const auto& group : our_cgroups(env))
    if (auto text = os::read_if_any(env.at(group) / "cgroup.procs"); text && *text)
      std::ranges::copy(numbers(**text), std::back_inserter(pids));
  std::error_code error;
  for (const auto& process : fs::directory_iterator(env.at("/proc"), error))
    if (const auto pid = numbers(process.path().filename().string()); !pid.empty() && is_our_shim(process.path()))
      pids.push_back(pid.front());
  std::ranges::sort(pids);
  const auto same = std::ranges::unique(pids);
  pids.erase(same.begin(), same.end());
  return pids;
}

// proc(5): space, tab, newline and backslash stand as \040 and so on in mountinfo.
std::string unescape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      out += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

void add_groups(const Environment& env, const fs::path& folder, std::vector<std::string>& out) {
  std::error_code error;
  for (const auto& each : fs::directory_iterator(folder, error)) {
    if (!each.is_directory(error) || each.is_symlink(error)) continue;
    add_groups(env, each.path(), out);  // children first: rmdir(2) wants them gone
    const auto path = "/" + each.path().lexically_relative(env.root).string();
    if (path.contains("/kubepods")) out.push_back(path);
  }
}

bool is_kube_chain(std::string_view name) { return starts_with_any(name, {"KUBE-", "CNI-", "FLANNEL-"}); }
bool is_builtin_chain(std::string_view name) {
  return name == "PREROUTING" || name == "INPUT" || name == "FORWARD" || name == "OUTPUT" || name == "POSTROUTING";
}

bool is_iptables_table(const NftTable& table) {
  return (table.family == 2 || table.family == 10) &&
         (table.name == "nat" || table.name == "filter" || table.name == "mangle" || table.name == "raw" || table.name == "security");
}

void each_builtin_chain(const Environment& env, const std::function<void(const NftTable&, const std::string&)>& visit) {
  if (!real(env)) return;
  const auto tables = nft_tables();
  if (!tables) return;
  for (const auto& table : *tables) {
    if (!is_iptables_table(table)) continue;
    const auto chains = nft_chains(table);
    if (!chains) continue;
    for (const auto& chain : *chains)
      if (is_builtin_chain(chain)) visit(table, chain);
  }
}

}  // namespace

int kill_pods(Environment& env) {
  if (!real(env)) return 0;
  int told = 0;
  // A process may fork between the look and the signal.
  for (int round = 0; round < 20; ++round) {
    const auto pids = pod_processes(env);
    if (pids.empty()) break;
    for (const auto pid : pids) told += ::kill(pid, SIGKILL) == 0 ? 1 : 0;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return told;
}

std::vector<std::string> our_mounts(const Environment& env) {
  std::vector<std::string> out;
  const auto text = os::read_if_any(env.at("/proc/self/mountinfo"));
  if (!text || !*text) return out;
  const bool alone = !other_containerd(env);
  for (const auto& line : split(**text, '\n')) {
    const auto words = split(line, ' ');
    if (words.size() < 5) continue;
    const auto path = unescape(words[4]);
    const bool pod_namespace = alone && (path.starts_with("/run/netns/cni-") || path.starts_with("/var/run/netns/cni-"));
    if (pod_namespace || starts_with_any(path, {"/var/lib/kubelet/", "/run/cloudos/containerd/", "/var/lib/cloudos/containerd/"}))
      out.push_back(path);
  }
  std::ranges::reverse(out);  // mountinfo lists them in the order of mounting
  return out;
}

Status unmount_ours(Environment& env) {
  for (int round = 0; round < 3; ++round)
    for (const auto& path : our_mounts(env))
      if (::umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0 && errno != EINVAL && errno != ENOENT && round == 2)
        return fail_errno("unmount " + path, errno);
  if (other_containerd(env)) return {};
  std::error_code error;
  for (const auto& each : fs::directory_iterator(env.at("/run/netns"), error))
    if (each.path().filename().string().starts_with("cni-")) ::unlink(each.path().c_str());
  return {};
}

std::vector<std::string> our_cgroups(const Environment& env) {
  std::vector<std::string> out;
  add_groups(env, env.at("/sys/fs/cgroup"), out);
  return out;
}

Status remove_cgroups(Environment& env) {
  for (int round = 0; round < 20; ++round) {
    const auto groups = our_cgroups(env);
    if (groups.empty()) return {};
    for (const auto& group : groups) ::rmdir(env.at(group).c_str());
    std::this_thread::sleep_for(std::chrono::milliseconds(round < 3 ? 10 : 100));
  }
  return {};  // what is left is told as residue
}

std::vector<std::string> our_links(const Environment& env) {
  std::vector<std::string> out;
  std::error_code error;
  for (const auto& each : fs::directory_iterator(env.at("/sys/class/net"), error)) {
    const auto name = each.path().filename().string();
    std::error_code inner;
    const auto master = fs::read_symlink(each.path() / "master", inner).filename().string();
    if (master == "cni0") out.insert(out.begin(), name);
    if (name == "cni0" || name == "flannel.1") out.push_back(name);
  }
  return out;
}

Status delete_links(Environment& env) {
  if (!real(env)) return {};
  for (const auto& name : our_links(env)) CLOUDOS_TRY(delete_link(name));
  return {};
}

std::vector<NftTable> our_tables(const Environment& env, const std::set<std::string>& before) {
  std::vector<NftTable> out;
  if (!real(env)) return out;
  auto tables = nft_tables();
  if (!tables) return out;
  for (const auto& table : *tables) {
    if (table.name == "kube-proxy" || table.name.starts_with("flannel-") || table.name == "cni_hostport") out.push_back(table);
    if (!is_iptables_table(table) || before.contains(table.text())) continue;
    const auto chains = nft_chains(table);
    const auto known = [](const std::string& chain) { return is_kube_chain(chain) || is_builtin_chain(chain); };
    if (chains && std::ranges::all_of(*chains, known) && std::ranges::any_of(*chains, is_kube_chain)) out.push_back(table);
  }
  return out;
}

Status delete_tables(Environment& env, const std::set<std::string>& before) {
  for (const auto& table : our_tables(env, before)) CLOUDOS_TRY(delete_nft_table(table));
  return {};
}

std::vector<std::string> builtin_chains(const Environment& env) {
  std::vector<std::string> out;
  each_builtin_chain(env, [&](const NftTable& table, const std::string& chain) { out.push_back(table.text() + " " + chain); });
  return out;
}

Status delete_builtin_chains(const Environment& env, const std::set<std::string>& before) {
  Status first;
  each_builtin_chain(env, [&](const NftTable& table, const std::string& chain) {
    if (before.contains(table.text() + " " + chain)) return;
    if (auto gone = delete_empty_chain(table, chain); !gone && first) first = std::move(gone);
  });
  return first;
}

bool other_containerd(const Environment& env) {
  std::error_code error;
  if (fs::exists(env.at("/run/containerd/containerd.sock"), error)) return true;
  return fs::exists(env.at("/var/lib/containerd"), error) || fs::exists(env.at("/run/crio"), error);
}

std::vector<std::string> our_folders(const Environment& env) {
  std::vector<std::string> out{"/etc/kubernetes",     "/var/lib/kubelet",    "/var/lib/etcd", "/var/log/pods",
                               "/var/log/containers", "/var/log/kubernetes", "/run/flannel",  "/var/lib/cni/networks/cloudos"};
  if (!other_containerd(env)) {
    out.emplace_back("/var/lib/cni");
    out.emplace_back("/run/containerd");
  }
  return out;
}

std::vector<std::string> side_effects() {
  // Deepest first. Made by kubelet, containerd and the CNI plugins on their way to what they keep; by the host paths of
  // kube-proxy and flannel (/lib/modules, the iptables lock); by kubeadm's control plane (the flexvolume folder, certificates); by the
  // agent (CDI specs).
  return {"/usr/libexec/kubernetes/kubelet-plugins/volume/exec",
          "/usr/libexec/kubernetes/kubelet-plugins/volume",
          "/usr/libexec/kubernetes/kubelet-plugins",
          "/usr/libexec/kubernetes",
          "/run/netns",
          "/run/containerd/runc/k8s.io",
          "/run/containerd/runc",
          "/run/containerd/s",
          "/run/containerd",
          "/run/xtables.lock",
          "/run/cdi",
          "/opt/cni/bin",
          "/opt/cni",
          "/var/lib/cni/networks",
          "/var/lib/cni/results",
          "/var/lib/cni",
          "/lib/modules",
          "/etc/ssl/certs",
          "/etc/ssl"};
}

std::string absent_now(const Environment& env) {
  std::vector<std::string> out;
  for (const auto& path : side_effects())
    if (std::error_code error; !fs::exists(env.at(path), error)) out.push_back(path);
  return join(out, ",");
}

void remove_side_effects(const Environment& env, const std::set<std::string>& absent_before) {
  // The agent's specs of GPUs; others may have theirs beside them.
  std::error_code none;
  for (const auto& spec : fs::directory_iterator(env.at("/run/cdi"), none))
    if (spec.path().filename().string().starts_with("cloudos-")) ::unlink(spec.path().c_str());
  for (const auto& path : side_effects()) {
    if (!absent_before.contains(path)) continue;
    std::error_code error;
    if (fs::is_regular_file(env.at(path), error) && fs::file_size(env.at(path), error) == 0) ::unlink(env.at(path).c_str());
    ::rmdir(env.at(path).c_str());
  }
}

}  // namespace cloudos::steps
