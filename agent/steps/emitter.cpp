#include "agent/steps/emitter.hpp"
#include "core/base/clock.hpp"

namespace cloudos::steps {

void Emitter::emit(model::Event event) {
  const std::lock_guard lock(mutex_);
  if (!status_) return;
  event.sequence = ++sequence_;
  event.at_ms = wall_ms();
  event.stage = stage_;
  status_ = sink_(event);
}

void Emitter::progress(const StepId& step, std::uint64_t done, std::uint64_t total) {
  {
    const std::lock_guard lock(mutex_);
    const auto now = std::chrono::steady_clock::now();
    if (now - last_progress_ < std::chrono::milliseconds(100) && done < total) return;
    last_progress_ = now;
  }
  emit({.kind = model::Event::Kind::progress, .step = step, .done = done, .total = total});
}

}  // namespace cloudos::steps
