// One machine that is a container: its disk, what makes it this machine (name, address, keys), its boot.
#pragma once

#include <filesystem>
#include <string>

#include "core/base/result.hpp"
#include "core/base/units.hpp"
#include "installer/sandbox/state.hpp"

namespace cloudos::sandbox {

// Makes the machine's disk, a sparse copy of `image` with its identity written in. A disk that is there is kept.
[[nodiscard]] Status make_disk(const Record& record, const MachineRecord& machine, const UpRequest& request,
                               const std::filesystem::path& image);

// Starts the machine in its control groups, on its network. Returns once systemd-nspawn runs.
[[nodiscard]] Status boot_container(const Record& record, const MachineRecord& machine);

// Waits until something accepts connections on the machine's port 22 and speaks first. Errors: timeout.
[[nodiscard]] Status await_sshd(const std::string& address, Deadline deadline);

// Waits until the kernel has let go of the machine's disk: it does so some moments after the last process is gone, and the
// disk must not be mounted a second time before. Errors: timeout.
[[nodiscard]] Status await_detached(const std::filesystem::path& disk, Deadline deadline);

}  // namespace cloudos::sandbox
