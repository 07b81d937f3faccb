// Inside agent/devices: specs of the Container Device Interface (github.com/cncf-tags/container-device-interface, SPEC.md,
// version 0.6.0), which containerd reads from /etc/cdi and /var/run/cdi whenever they change.
#pragma once

#include <filesystem>

#include "agent/devices/model.hpp"
#include "core/base/result.hpp"

namespace cloudos::devices {

// The spec's JSON. Nodes are those below `devfs`; in the container they are below /dev.
[[nodiscard]] std::string encode(const Spec& spec, const std::filesystem::path& devfs);
// Writes the spec as `folder`/cloudos-`vendor`.json if that says something else; removes the file when it has no devices
// (a spec without any is not valid). Errors: io.
[[nodiscard]] Status write_spec(const Spec& spec, const std::string& vendor, const std::filesystem::path& folder,
                                const std::filesystem::path& devfs);

}  // namespace cloudos::devices
