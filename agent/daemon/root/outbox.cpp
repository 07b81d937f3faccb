#include "agent/daemon/root/outbox.hpp"

#include <algorithm>

namespace cloudos::daemon {

namespace {
constexpr std::size_t most = 256;
}

void Outbox::add(health::HealthEvent event) {
  auto& events = report_.events;
  if (events.size() >= most) {
    events.erase(events.begin());
    ++report_.lost;
  }
  events.push_back({.sequence = ++sequence_, .event = std::move(event)});
}

void Outbox::delivered(const halves::Delivered& upto) {
  if (upto.epoch != report_.epoch) return;
  std::erase_if(report_.events, [&](const auto& event) { return event.sequence <= upto.sequence; });
}

}  // namespace cloudos::daemon
