#include "agent/daemon/eyes.hpp"

#include <time.h>

#include <chrono>

#include "agent/facts/facts.hpp"
#include "core/base/text.hpp"
#include "core/model/paths.hpp"

namespace cloudos::daemon {
namespace {

constexpr auto pod_logs = "/var/log/pods";
constexpr std::size_t most_pods = 2000;

std::int64_t now_ms(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

}  // namespace

std::vector<std::string> watched_certificates() {
  std::vector<std::string> out;
  const std::string kubelet = std::string(paths::kubelet_state) + "/pki/", kubernetes = std::string(paths::kubernetes) + "/pki/";
  for (const auto* name : {"kubelet-client-current.pem", "kubelet-server-current.pem"}) out.push_back(kubelet + name);
  for (const auto* name : {"ca.crt", "apiserver.crt", "apiserver-kubelet-client.crt", "apiserver-etcd-client.crt", "front-proxy-ca.crt",
                           "front-proxy-client.crt", "etcd/ca.crt", "etcd/server.crt", "etcd/peer.crt", "etcd/healthcheck-client.crt"})
    out.push_back(kubernetes + name);
  return out;
}

std::map<std::string, std::string> pods_in(const std::filesystem::path& folder) {
  std::map<std::string, std::string> out;
  std::error_code error;
  for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end && out.size() < most_pods; it.increment(error)) {
    // None of the three holds a '_'.
    const auto parts = split(it->path().filename().string(), '_');
    if (parts.size() == 3) out[parts[2]] = parts[0] + "/" + parts[1];
  }
  return out;
}

health::Sample look_at_machine(health::KernelLog* kernel) {
  auto sample = health::look({.roots = {}, .space = os::space_of, .certificates = watched_certificates()});
  sample.wall_ms = now_ms(CLOCK_REALTIME);
  sample.monotonic_ms = now_ms(CLOCK_BOOTTIME);
  sample.pods = pods_in(pod_logs);
  if (kernel != nullptr)
    if (auto lines = kernel->read()) sample.kernel_lines = std::move(*lines);
  return sample;
}

Result<labels::Found> look_for_labels(const labels::Sharing& sharing, facts::GpuProbe& gpus) {
  // Another name of /proc: of roots that are not the machine's own only files are read (facts::Roots). Nothing is tried and no socket
  // asked, which would cost too much once a minute, and is forbidden here.
  auto* const probe = &gpus;
  CLOUDOS_ASSIGN(const auto facts, facts::gather({.procfs = "/proc/."}, std::span(&probe, 1)));
  return labels::find(facts, sharing);
}

labels::Sharing sharing_of(const settings::Settings::Gpus& gpus) {
  labels::Sharing out;
  switch (gpus.mig) {
    case devices::MigStrategy::none: out.mig = labels::MigStrategy::none; break;
    case devices::MigStrategy::single: out.mig = labels::MigStrategy::single; break;
    case devices::MigStrategy::mixed: out.mig = labels::MigStrategy::mixed; break;
  }
  if (const auto at = gpus.replicas.find("nvidia.com/gpu"); at != gpus.replicas.end()) out.replicas = static_cast<int>(at->second);
  return out;
}

}  // namespace cloudos::daemon
