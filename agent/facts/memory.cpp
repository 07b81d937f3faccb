#include <algorithm>

#include "agent/facts/hierarchy.hpp"
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

// A machine that is a container has MemTotal of its host; what it may use is what PID 1's group and those above it allow, as
// far up as can be seen. A machine of its own has no limit there. The agent's own group does not matter: it is not the machine.
void apply_limit(const Roots& roots, model::HostFacts& facts) {
  const auto hierarchy = hierarchy_of(roots, "memory");
  if (!hierarchy) return;
  auto& memory = facts.memory;
  for (const auto& folder : hierarchy->groups) {
    const auto limit = parse_memory_limit(text_of(folder / (hierarchy->version == 1 ? "memory.limit_in_bytes" : "memory.max")));
    if (limit.count == 0 || limit >= memory.total) continue;
    memory.limit = memory.total = limit;
    const auto used = working_set(*hierarchy, folder).value_or(Bytes{});
    memory.available = std::min(memory.available, Bytes{limit.count - std::min(limit.count, used.count)});
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
