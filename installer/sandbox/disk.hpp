// A machine's disk: a sparse copy of its release's image, with what makes it this machine (name, address, keys) written in.
#pragma once

#include <filesystem>

#include "core/base/result.hpp"
#include "core/base/units.hpp"
#include "installer/sandbox/state.hpp"

namespace cloudos::sandbox {

// Makes the machine's disk from `image`. A disk that is there is kept.
[[nodiscard]] Status make_disk(const Record& record, const MachineRecord& machine, const UpRequest& request,
                               const std::filesystem::path& image);

// In a child with private_mounts(): the disk's file system at `at`. It is visible there only, and gone with the last process
// that sees it: a machine that is killed in any way leaves neither a mount nor a loop device behind.
[[nodiscard]] Status mount_disk(const std::filesystem::path& disk, const std::filesystem::path& at);

// Waits until the kernel has let go of the machine's disk: it does so some moments after the last process is gone, and the
// disk must not be mounted a second time before. Errors: timeout.
[[nodiscard]] Status await_detached(const std::filesystem::path& disk, Deadline deadline);

}  // namespace cloudos::sandbox
