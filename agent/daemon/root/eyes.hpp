// Inside agent/daemon: one look at the machine, as the root half's worker takes it. It may block; nothing else does for that.
#pragma once

#include <memory>

#include "agent/daemon/root/certificates.hpp"
#include "agent/facts/gpu_probe.hpp"
#include "agent/health/sample.hpp"
#include "agent/labels/labels.hpp"
#include "agent/settings/settings.hpp"
#include "core/base/log.hpp"

namespace cloudos::daemon {

// What files tell, the times, certificates, the kernel's new lines, and the pods by their log folders.
[[nodiscard]] health::Sample look_at_machine(health::KernelLog* kernel, CertificateDates& dates, Log& log);
// "uid -> namespace/name" of the folders NAMESPACE_NAME_UID (kubelet, /var/log/pods).
[[nodiscard]] std::map<std::string, std::string> pods_in(const std::filesystem::path& folder);
[[nodiscard]] Result<labels::Found> look_for_labels(const labels::Sharing& sharing, facts::GpuProbe& gpus);
// How the settings say that GPUs are offered, for their labels.
[[nodiscard]] labels::Sharing sharing_of(const settings::Settings::Gpus& gpus);

}  // namespace cloudos::daemon
