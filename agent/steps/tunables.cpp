#include "agent/steps/tunables.hpp"

#include <fcntl.h>

#include <algorithm>
#include <array>

#include "core/base/text.hpp"
#include "core/os/file/file.hpp"

namespace cloudos::steps {
namespace {

struct Tunable {
  std::string_view key;
  std::string_view given;  // by Kubernetes; "": depends on the machine
};

constexpr auto tunables = std::to_array<Tunable>({
    // The kubelet, unless it is told to refuse other values (pkg/kubelet/cm, setupKernelTunables).
    {"vm.overcommit_memory", "1"},
    {"vm.panic_on_oom", "0"},
    {"kernel.panic", "10"},
    {"kernel.panic_on_oops", "1"},
    {"kernel.keys.root_maxkeys", "1000000"},
    {"kernel.keys.root_maxbytes", "25000000"},
    // kube-proxy, unless its configuration says 0 (KubeProxyConntrackConfiguration); route_localnet where it uses iptables.
    {"net.netfilter.nf_conntrack_max", ""},
    {"net.netfilter.nf_conntrack_tcp_timeout_established", "86400"},
    {"net.netfilter.nf_conntrack_tcp_timeout_close_wait", "3600"},
    {"net.ipv4.conf.all.route_localnet", "1"},
});
constexpr std::string_view prefix = "sysctl:";

fs::path path_of(const Environment& env, std::string key) {
  std::ranges::replace(key, '.', '/');
  return env.at("/proc/sys/" + key);
}

}  // namespace

std::map<std::string, std::string> tunables_now(const Environment& env) {
  std::map<std::string, std::string> out;
  for (const auto& [key, given] : tunables)
    if (const auto value = os::read_if_any(path_of(env, std::string(key))); value && *value)
      out[std::string(prefix) + std::string(key)] = trim(**value);
  return out;
}

Status restore_tunables(Environment& env, const std::map<std::string, std::string>& undo) {
  Status first;
  for (const auto& [key, given] : tunables) {
    const auto before = undo.find(std::string(prefix) + std::string(key));
    if (before == undo.end()) continue;
    const auto path = path_of(env, std::string(key));
    const auto now = os::read_if_any(path);
    if (!now || !*now) continue;
    const auto value = trim(**now);
    if (value == before->second || (!given.empty() && value != given)) continue;
    auto set = os::open(path, O_WRONLY).and_then([&](const os::Fd& fd) {
      return os::write_all(fd.get(), std::as_bytes(std::span(before->second)));
    });
    if (!set && first) first = fail(std::move(set).error().with("setting " + std::string(key) + " back to " + before->second));
  }
  return first;
}

}  // namespace cloudos::steps
