#include "agent/facts/hierarchy.hpp"

#include <algorithm>

#include "agent/facts/look.hpp"
#include "agent/facts/parse_devices.hpp"
#include "core/base/text.hpp"

namespace cloudos::facts {

namespace fs = std::filesystem;

namespace {

// Mounts are named as the machine sees them; below /sys that is where the sysfs root is.
fs::path seen_at(const Roots& roots, std::string_view path) {
  constexpr std::string_view sys = "/sys/";
  return path.starts_with(sys) ? roots.sysfs / path.substr(sys.size()) : roots.at(path);
}

Hierarchy below(const fs::path& mount, std::string_view subtree, std::string group, int version) {
  if (subtree != "/" && group.starts_with(subtree)) group.erase(0, subtree.size());
  if (group.starts_with("/..")) group = "/";  // above what this namespace shows
  Hierarchy hierarchy{.version = version, .groups = {}};
  for (auto at = fs::path(group.empty() ? "/" : group).lexically_normal();; at = at.parent_path()) {
    const auto relative = at.relative_path();
    hierarchy.groups.push_back(relative.empty() ? mount : mount / relative);
    if (at == at.root_path() || at.empty()) return hierarchy;
  }
}

}  // namespace

const fs::path& Hierarchy::machine() const {
  const bool inside = groups.size() > 1 && groups.front().filename() == "init.scope";
  return inside ? groups[1] : groups.front();
}

std::optional<Hierarchy> hierarchy_of(const Roots& roots, std::string_view controller) {
  const auto mounts = parse_mountinfo(text_of(roots.procfs / "self/mountinfo"));
  const auto groups = text_of(roots.procfs / "1/cgroup");
  for (const auto& mount : mounts) {
    const bool first = mount.type == "cgroup" && std::ranges::contains(split(mount.super_options, ','), controller);
    if (!first && mount.type != "cgroup2") continue;
    const auto path = seen_at(roots, mount.path);
    // CPU time is counted for every group of version 2, without a controller (cgroup-v2.rst, cpu.stat).
    const bool there = first || (controller == "cpuacct" ? text_of(path / "cgroup.controllers").contains("cpu")
                                                         : text_of(path / "cgroup.controllers").contains(controller));
    if (!there) continue;
    return below(path, mount.subtree, cgroup_path(groups, first ? controller : "").value_or("/"), first ? 1 : 2);
  }
  return std::nullopt;
}

std::optional<Bytes> working_set(const Hierarchy& hierarchy, const fs::path& folder) {
  const bool first = hierarchy.version == 1;
  const auto used = parse_number(text_of(folder / (first ? "memory.usage_in_bytes" : "memory.current")), 0, ~0ULL);
  if (!used) return std::nullopt;
  const auto cache = parse_properties(text_of(folder / "memory.stat"))[first ? "total_inactive_file" : "inactive_file"];
  return Bytes{*used - std::min<std::uint64_t>(*used, cache)};
}

}  // namespace cloudos::facts
