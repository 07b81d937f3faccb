// Inside agent/facts, and for the rooms that count what a machine uses: where the kernel keeps a controller's figures of the
// control group that the machine is in, when it is a container, and of those above as far as they can be seen.
#pragma once

#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

#include "agent/facts/facts.hpp"

namespace cloudos::facts {

struct Hierarchy {
  int version = 2;
  // Folders: PID 1's group, then each above it up to the mount. Never empty.
  std::vector<std::filesystem::path> groups;
  // The machine's own group: systemd as PID 1 moves itself into init.scope below it (systemd.special(7)).
  [[nodiscard]] const std::filesystem::path& machine() const;
};

// The hierarchy of version 1 that `controller` is on, else that of version 2 when `controller` is to be had there.
[[nodiscard]] std::optional<Hierarchy> hierarchy_of(const Roots& roots, std::string_view controller);

// What the group `folder` of the memory controller's hierarchy has charged, as the kubelet counts it: what was read from
// files and not used since can be dropped and does not count. Nothing where the kernel keeps no figure, as for the root of
// version 2.
[[nodiscard]] std::optional<Bytes> working_set(const Hierarchy& hierarchy, const std::filesystem::path& folder);

}  // namespace cloudos::facts
