#include <algorithm>

#include "agent/labels/groups.hpp"

namespace cloudos::labels {

Found find(const model::HostFacts& facts, const Sharing& sharing) {
  Found found;
  add_machine(facts, found);
  add_pci(facts, found);
  add_nvidia(facts, sharing, found);
  add_amd(facts, found);
  add_intel(facts, found);
  return found;
}

Change merge(const Found& found, const Labels& on_node, Memory& memory) {
  Change change;
  for (const auto& [name, value] : found.labels) {
    const auto now = on_node.find(name);
    if (now == on_node.end() || now->second != value) change.set[name] = value;
    memory.ours.insert(name);
    memory.absent.erase(name);
  }
  for (const auto& name : std::set(memory.ours)) {
    if (found.labels.contains(name)) continue;
    if (std::ranges::any_of(found.unknown, [&](const auto& group) { return name.starts_with(group); })) continue;
    if (++memory.absent[name] < looks_until_gone) continue;
    if (on_node.contains(name)) change.remove.insert(name);
    memory.absent.erase(name);
    memory.ours.erase(name);
  }
  return change;
}

}  // namespace cloudos::labels
