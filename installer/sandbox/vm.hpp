// Machines that are virtual: qemu with a Debian kernel of their own, for what a container cannot show (cgroup v2, modules,
// real capabilities). Their disks are made as the containers' are.
#pragma once

#include <filesystem>
#include <string>

#include "core/base/argv.hpp"
#include "core/base/result.hpp"
#include "installer/sandbox/state.hpp"

namespace cloudos::sandbox {

// What qemu itself takes beyond the machine's memory.
constexpr Bytes qemu_overhead = 768_MiB;

// Copies the kernel and initrd out of `root` into the sandbox's folder, and finds out whether this computer's KVM boots it
// ("kvm") or its CPU must be emulated ("tcg"): /dev/kvm may be there and boot nothing, inside a VM for one.
[[nodiscard]] Result<std::string> prepare_vms(const std::string& name, const std::filesystem::path& root, const Note& note);

// Runs in the foreground with the console on its standard output; to be started in the bridge's network namespace.
[[nodiscard]] Argv qemu_command(const Record& record, const MachineRecord& machine);

}  // namespace cloudos::sandbox
