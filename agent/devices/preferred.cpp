#include "agent/devices/preferred.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <tuple>

namespace cloudos::devices {
namespace {

using Units = std::vector<const Unit*>;
// What the members of a group share; groups of one key are candidates for a whole allocation.
using Key = std::function<std::string(const Unit&)>;

std::string numa_of(const Unit& unit) { return unit.numa ? std::to_string(*unit.numa) : std::string(); }
// A GPU without links is an island of its own.
std::string island_of(const Unit& unit) { return unit.island.empty() ? "card " + unit.card : unit.island; }
std::string both_of(const Unit& unit) { return island_of(unit) + '\n' + numa_of(unit); }

std::map<std::string, Units> grouped(const Units& units, const Key& key) {
  std::map<std::string, Units> out;
  for (const auto* unit : units) out[key(*unit)].push_back(unit);
  return out;
}

// The smallest group that has enough; none when no group has.
const Units* smallest_that_fits(const std::map<std::string, Units>& groups, std::size_t size) {
  const Units* best = nullptr;
  for (const auto& [key, group] : groups)
    if (group.size() >= size && (best == nullptr || group.size() < best->size())) best = &group;
  return best;
}

// Takes one after the other: near those taken already, from GPUs that gave least and have most left, from groups with much.
class Taking {
 public:
  Taking(const std::vector<Unit>& units, std::size_t size) : size_(size) {
    for (std::size_t i = 0; i < units.size(); ++i) order_[&units[i]] = i;
  }

  [[nodiscard]] bool full() const { return taken_.size() >= size_; }
  [[nodiscard]] std::size_t missing() const { return size_ - std::min(size_, taken_.size()); }
  void take(const Unit* unit) {
    taken_.push_back(unit);
    ++from_card_[unit->card];
  }
  void fill_from(Units pool) {
    while (!full() && !pool.empty()) {
      const auto best = std::ranges::max_element(pool, {}, [&](const Unit* unit) { return worth(*unit, pool); });
      take(*best);
      pool.erase(best);
    }
  }
  [[nodiscard]] std::vector<std::string> ids() const {
    std::vector<std::string> out;
    for (const auto* unit : taken_) out.push_back(unit->id);
    return out;
  }

 private:
  using Worth = std::tuple<std::ptrdiff_t, std::ptrdiff_t, std::ptrdiff_t, std::ptrdiff_t, std::ptrdiff_t>;

  [[nodiscard]] Worth worth(const Unit& unit, const Units& pool) const {
    const auto given = from_card_.find(unit.card);
    const auto left = std::ranges::count(pool, unit.card, &Unit::card);
    const auto near = count(taken_, unit, island_of) + count(taken_, unit, numa_of);
    const auto company = count(pool, unit, both_of);
    return {-(given == from_card_.end() ? 0 : given->second), near, company, left, -static_cast<std::ptrdiff_t>(order_.at(&unit))};
  }
  static std::ptrdiff_t count(const Units& units, const Unit& like, const Key& key) {
    const auto wanted = key(like);
    return std::ranges::count_if(units, [&](const Unit* unit) { return key(*unit) == wanted; });
  }

  std::size_t size_;
  Units taken_;
  std::map<std::string, std::ptrdiff_t> from_card_;
  std::map<const Unit*, std::size_t> order_;
};

}  // namespace

std::vector<std::string> prefer(const std::vector<Unit>& units, std::span<const std::string> available, std::span<const std::string> must,
                                std::size_t size) {
  std::map<std::string_view, const Unit*> known;
  for (const auto& unit : units) known[unit.id] = &unit;
  Taking taking(units, size);
  std::set<std::string_view> used;
  for (const auto& id : must)
    if (const auto at = known.find(id); at != known.end() && used.insert(id).second) taking.take(at->second);
  Units pool;
  for (const auto& id : available)
    if (const auto at = known.find(id); at != known.end() && used.insert(id).second) pool.push_back(at->second);
  // With some given, the rest is taken near them. Otherwise a group is looked for, and the others are taken into account
  // only when none has enough.
  if (must.empty())
    for (const Key& key : {Key(both_of), Key(island_of), Key(numa_of)}) {
      const auto groups = grouped(pool, key);
      if (const auto* group = smallest_that_fits(groups, taking.missing())) {
        taking.fill_from(*group);
        break;
      }
    }
  else taking.fill_from(pool);
  if (!taking.full() && must.empty()) taking.fill_from(pool);
  return taking.ids();
}

}  // namespace cloudos::devices
