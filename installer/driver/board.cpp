#include "installer/driver/board.hpp"

#include <algorithm>
#include <format>

namespace cloudos::driver {

Board::Board(const model::Plan& plan, std::map<MachineId, std::set<Digest>> absent) : plan_(plan), absent_(std::move(absent)) {
  for (std::size_t i = 0; i < plan.stages.size(); ++i) {
    index_.emplace(plan.stages[i].id, i);
    ends_.push_back({.id = plan.stages[i].id, .machine = plan.stages[i].machine});
  }
}

bool Board::ready(std::size_t stage) const {
  const auto& wanted = plan_.stages[stage];
  const bool in_order = std::ranges::all_of(wanted.after, [&](const StageId& id) {
    const auto at = index_.find(id);
    return at == index_.end() || ends_[at->second].state == StageState::done;
  });
  if (!in_order) return false;
  const auto at = absent_.find(wanted.machine);
  if (at == absent_.end() || at->second.empty()) return true;
  return std::ranges::none_of(model::blobs_of(wanted), [&](const Digest& digest) { return at->second.contains(digest); });
}

bool Board::has_work(const MachineId& machine) const {
  return std::ranges::any_of(ends_, [&](const StageEnd& end) { return end.machine == machine && end.state == StageState::waiting; });
}

std::optional<std::size_t> Board::next(const MachineId& machine, const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  std::optional<std::size_t> found;
  changed_.wait(lock, stop, [&] {
    for (std::size_t i = 0; i < ends_.size() && !found; ++i)
      if (ends_[i].machine == machine && ends_[i].state == StageState::waiting && ready(i)) found = i;
    return found.has_value() || !has_work(machine);
  });
  if (!found || stop.stop_requested()) return std::nullopt;
  ends_[*found].state = StageState::running;
  return found;
}

void Board::finish(std::size_t stage, const StageResult& result) {
  const std::lock_guard lock(mutex_);
  outcome_.applied += result.applied;
  outcome_.satisfied += result.satisfied;
  if (result.ok) {
    ends_[stage].state = StageState::done;
    for (const auto& [key, value] : result.outputs) values_.insert_or_assign(key, value);
  } else {
    ends_[stage].state = StageState::failed;
    ends_[stage].reason = result.failure.failure.message;
    outcome_.failures.push_back(result.failure);
    if (result.lost) {
      const auto& machine = ends_[stage].machine;
      outcome_.lost.insert(machine);
      for (auto& end : ends_)
        if (end.machine == machine && end.state == StageState::waiting) {
          end.state = StageState::skipped;
          end.reason = std::format("{} cannot be reached any more", machine.value);
        }
    }
    skip_dependents();
  }
  changed_.notify_all();
}

void Board::skip_dependents() {
  // The plan's order respects `after`, so that one walk takes the chains too.
  for (std::size_t i = 0; i < ends_.size(); ++i) {
    if (ends_[i].state != StageState::waiting) continue;
    for (const auto& id : plan_.stages[i].after) {
      const auto at = index_.find(id);
      if (at == index_.end()) continue;
      const auto state = ends_[at->second].state;
      if (state != StageState::failed && state != StageState::skipped) continue;
      ends_[i].state = StageState::skipped;
      ends_[i].reason = std::format("it needs {}", id.value);
      break;
    }
  }
}

void Board::blob_stored(const MachineId& machine, const Digest& digest) {
  const std::lock_guard lock(mutex_);
  absent_[machine].erase(digest);
  changed_.notify_all();
}

void Board::transfer_failed(const MachineId& machine, const Error& error) {
  const std::lock_guard lock(mutex_);
  const auto& absent = absent_[machine];
  bool told = false;
  for (std::size_t i = 0; i < ends_.size(); ++i) {
    if (ends_[i].machine != machine || ends_[i].state != StageState::waiting) continue;
    const auto blobs = model::blobs_of(plan_.stages[i]);
    if (std::ranges::none_of(blobs, [&](const Digest& digest) { return absent.contains(digest); })) continue;
    ends_[i].state = StageState::failed;
    ends_[i].reason = error.message;
    if (std::exchange(told, true)) continue;  // one cause, one failure
    model::Event failure{.kind = model::Event::Kind::step_failed, .machine = machine, .stage = ends_[i].id, .step = {"transfer"}};
    failure.failure = {.message = Error{.message = error.message, .context = error.context}.text(), .hint = error.hint};
    outcome_.failures.push_back(std::move(failure));
  }
  if (told && (error.kind == ErrorKind::network || error.kind == ErrorKind::timeout)) outcome_.lost.insert(machine);
  skip_dependents();
  changed_.notify_all();
}

std::map<std::string, std::string> Board::values() const {
  const std::lock_guard lock(mutex_);
  return values_;
}

Outcome Board::outcome() const {
  const std::lock_guard lock(mutex_);
  auto out = outcome_;
  out.stages = ends_;
  out.stopped =
      std::ranges::any_of(ends_, [](const StageEnd& end) { return end.state == StageState::waiting || end.state == StageState::running; });
  return out;
}

}  // namespace cloudos::driver
