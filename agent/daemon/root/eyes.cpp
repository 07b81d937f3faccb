#include "agent/daemon/root/eyes.hpp"

#include "agent/facts/facts.hpp"
#include "core/base/clock.hpp"
#include "core/base/text.hpp"
#include "core/model/paths.hpp"

namespace cloudos::daemon {
namespace {

constexpr auto pod_logs = "/var/log/pods";
constexpr std::size_t most_pods = 2000;

}  // namespace

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

health::Sample look_at_machine(health::KernelLog* kernel, CertificateDates& dates, Log& log) {
  auto sample = health::look({.roots = {}, .space = os::space_of});
  if (auto certificates = dates.look()) sample.certificates = std::move(*certificates);
  else log.warning("until when certificates hold is not known: {}", certificates.error().text());
  sample.wall_ms = wall_ms();
  sample.monotonic_ms = boot_ms();
  sample.pods = pods_in(pod_logs);
  if (kernel != nullptr)
    if (auto lines = kernel->read()) sample.kernel_lines = std::move(*lines);
  return sample;
}

Result<labels::Found> look_for_labels(const labels::Sharing& sharing, facts::GpuProbe& gpus) {
  // Another name of /proc: of roots that are not the machine's own only files are read (facts::Roots). Nothing is tried, which would
  // be forbidden here.
  auto* const probe = &gpus;
  CLOUDOS_ASSIGN(const auto facts, facts::gather_hardware({.procfs = "/proc/."}, std::span(&probe, 1)));
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
