// Control groups of machines: one in every hierarchy of cgroup v1 (Documentation/admin-guide/cgroup-v1), one in all of v2
// (cgroup-v2.rst). They hold the limits, and they are how every process of a machine is found, however it was started.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/result.hpp"
#include "installer/sandbox/sandbox.hpp"

namespace cloudos::sandbox {

struct Hierarchy {
  std::vector<std::string> controllers;  // as in /proc/self/cgroup; "name=systemd" without controllers; empty: v2
  std::filesystem::path mount;           // where it is mounted
  std::filesystem::path parent;          // the group that machines' groups are made in
  bool operator==(const Hierarchy&) const = default;
};

struct Cgroups {
  bool unified = false;  // cgroup v2 alone; otherwise v1 hierarchies, and the v2 one without controllers beside them
  std::vector<Hierarchy> hierarchies;
};

// From the texts of /proc/self/cgroup and /proc/self/mountinfo (proc(5)). Errors: refused (no usable hierarchy).
[[nodiscard]] Result<Cgroups> parse_cgroups(std::string_view self_cgroup, std::string_view mountinfo);
[[nodiscard]] Result<Cgroups> cgroups_here();

// Makes a machine's groups with its limits in force. Existing ones get the limits. Errors: io, refused (no memory controller).
[[nodiscard]] Status make_groups(const Cgroups& cgroups, const std::string& group, const MachineSize& limits);
// In a child: moves this process into them.
[[nodiscard]] Status enter_groups(const Cgroups& cgroups, const std::string& group);

// Where groups are, searched in all hierarchies: named `group`, or `group`.scope (made by systemd-run), or, when `group`
// ends in a dot, anything that starts with it.
[[nodiscard]] std::vector<std::filesystem::path> find_groups(const Cgroups& cgroups, const std::string& group);
// Whether a process lives in any of them or below.
[[nodiscard]] bool populated(const std::vector<std::filesystem::path>& groups);
// Kills everything in the groups and removes them. Errors: timeout (a process that does not die in ten seconds).
[[nodiscard]] Status destroy_groups(const Cgroups& cgroups, const std::string& group);

}  // namespace cloudos::sandbox
