// Starting machines, and knowing when they are up.
#pragma once

#include <string>

#include "core/base/result.hpp"
#include "core/base/units.hpp"
#include "installer/sandbox/state.hpp"

namespace cloudos::sandbox {

// Starts the machine from its disk, in its control groups and on its network. Returns once systemd-nspawn or qemu runs.
[[nodiscard]] Status boot(const Record& record, const MachineRecord& machine);

// Waits until an SSH server greets on the machine's port 22. Errors: timeout.
[[nodiscard]] Status await_sshd(const std::string& address, Deadline deadline);

// How long a machine may take to its sshd: an emulated CPU is some fifty times slower.
[[nodiscard]] Milliseconds boot_time(const Record& record);

}  // namespace cloudos::sandbox
