// What a sandbox owns on this computer, all of it derived from its name, so that nothing needs to be remembered to find it
// again.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "core/base/result.hpp"

namespace cloudos::sandbox {

namespace fs = std::filesystem;

// A sandbox's name becomes part of a link's name, of which the kernel takes 15 characters (IFNAMSIZ). Errors: usage.
[[nodiscard]] Status check_name(std::string_view name);

[[nodiscard]] inline fs::path state_root() { return "/var/lib/cloudos-sandbox"; }
[[nodiscard]] inline fs::path folder(const std::string& name) { return state_root() / name; }
[[nodiscard]] inline fs::path machine_folder(const std::string& name, const std::string& machine) {
  return folder(name) / "machines" / machine;
}
[[nodiscard]] inline fs::path disk_of(const fs::path& machine_folder) { return machine_folder / "disk.ext4"; }
// The network namespace with the bridge, as ip-netns(8) names it.
[[nodiscard]] inline std::string switch_namespace(const std::string& name) { return "cloudos." + name; }
// This computer's end of the cable into that namespace; the bridge inside has the same name.
[[nodiscard]] inline std::string link_name(const std::string& name) { return "cos-" + name; }
// A machine's port on the bridge: what systemd-nspawn calls the link of a machine (--network-bridge).
[[nodiscard]] inline std::string port_name(const std::string& machine) { return "vb-" + machine; }
// The control group of a machine, in every hierarchy; `machine` empty: the prefix of all of the sandbox's.
[[nodiscard]] inline std::string group_name(const std::string& name, const std::string& machine) {
  return "cloudos-sandbox." + name + "." + machine;
}

}  // namespace cloudos::sandbox
