#include <algorithm>
#include <format>

#include "agent/facts/look.hpp"
#include "agent/facts/parse_devices.hpp"
#include "core/base/text.hpp"

namespace cloudos::facts {

namespace fs = std::filesystem;

namespace {

std::vector<model::HostFacts::HugePages> hugepages(const fs::path& folder) {
  std::vector<model::HostFacts::HugePages> out;
  for (const auto& name : names_in(folder)) {
    const auto size = parse_hugepage_folder(name);
    if (!size) continue;
    const auto count = [&](const char* file) { return parse_number(text_of(folder / name / file), 0, 1ULL << 50U).value_or(0); };
    out.push_back({.size = *size, .total = count("nr_hugepages"), .free = count("free_hugepages")});
  }
  std::ranges::sort(out, {}, &model::HostFacts::HugePages::size);
  return out;
}

// Documentation/ABI/stable/sysfs-devices-node.
void look_at_nodes(const Roots& roots, model::HostFacts& facts) {
  const auto folder = roots.sysfs / "devices/system/node";
  for (const auto& name : names_in(folder)) {
    if (!name.starts_with("node")) continue;
    const auto id = parse_number(std::string_view(name).substr(4), 0, 1U << 16U);
    if (!id) continue;
    model::HostFacts::NumaNode node{.id = static_cast<int>(*id),
                                    .cpus = text_of(folder / name / "cpulist"),
                                    .memory = parse_node_memory(text_of(folder / name / "meminfo")),
                                    .distances = {},
                                    .hugepages = hugepages(folder / name / "hugepages")};
    for (const auto& distance : split(text_of(folder / name / "distance"), ' ')) {
      if (const auto value = parse_number(distance, 0, 255)) node.distances.push_back(static_cast<int>(*value));
    }
    facts.numa.push_back(std::move(node));
  }
  std::ranges::sort(facts.numa, {}, &model::HostFacts::NumaNode::id);
}

// Where the memory controller's hierarchy is seen, and the files that it has there.
struct Hierarchy {
  fs::path mount;
  std::string subtree, group;  // the part that is mounted, and PID 1's place
  const char *limit, *usage, *cache;
};

std::optional<Hierarchy> memory_hierarchy(const Roots& roots) {
  const auto mounts = parse_mountinfo(text_of(roots.procfs / "self/mountinfo"));
  const auto groups = text_of(roots.procfs / "1/cgroup");
  for (const auto& mount : mounts) {
    const bool first = mount.type == "cgroup" && std::ranges::contains(split(mount.super_options, ','), "memory");
    if (!first && mount.type != "cgroup2") continue;
    // Mounts are named as the machine sees them; below /sys that is where the sysfs root is.
    constexpr std::string_view sys = "/sys";
    const auto path =
        std::string_view(mount.path).starts_with("/sys/") ? roots.sysfs / mount.path.substr(sys.size() + 1) : roots.at(mount.path);
    const auto group = cgroup_path(groups, first ? "memory" : "").value_or("/");
    if (first) return Hierarchy{path, mount.subtree, group, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"};
    if (fs::exists(path / "cgroup.controllers") && text_of(path / "cgroup.controllers").contains("memory"))
      return Hierarchy{path, mount.subtree, group, "memory.max", "memory.current", "inactive_file"};
  }
  return std::nullopt;
}

// A machine that is a container has MemTotal of its host; what it may use is what PID 1's group and those above it allow, as
// far up as can be seen. A machine of its own has no limit there. The agent's own group does not matter: it is not the machine.
void apply_limit(const Roots& roots, model::HostFacts& facts) {
  const auto hierarchy = memory_hierarchy(roots);
  if (!hierarchy) return;
  auto group = hierarchy->group;
  if (hierarchy->subtree != "/" && group.starts_with(hierarchy->subtree)) group.erase(0, hierarchy->subtree.size());
  if (group.starts_with("/..")) group = "/";  // above what this namespace shows
  auto& memory = facts.memory;
  for (auto at = fs::path(group.empty() ? "/" : group).lexically_normal();; at = at.parent_path()) {
    const auto folder = hierarchy->mount / at.relative_path();
    const auto limit = parse_memory_limit(text_of(folder / hierarchy->limit));
    if (limit.count > 0 && limit < memory.total) {
      memory.limit = memory.total = limit;
      const auto used = parse_number(text_of(folder / hierarchy->usage), 0, ~0ULL).value_or(0);
      const auto cache = parse_properties(text_of(folder / "memory.stat"))[hierarchy->cache];
      // As the kubelet counts: what was read from files and not used since can be dropped.
      const auto kept = used - std::min(used, cache);
      memory.available = std::min(memory.available, Bytes{limit.count - std::min(limit.count, kept)});
    }
    if (at == at.root_path() || at.empty()) break;
  }
}

}  // namespace

void look_at_memory(const Roots& roots, model::HostFacts& facts) {
  facts.memory = parse_meminfo(text_of(roots.procfs / "meminfo"));
  facts.memory.physical = facts.memory.total;
  apply_limit(roots, facts);
  facts.hugepages = hugepages(roots.sysfs / "kernel/mm/hugepages");
  look_at_nodes(roots, facts);
  facts.swaps = parse_swaps(text_of(roots.procfs / "swaps"));
}

}  // namespace cloudos::facts
