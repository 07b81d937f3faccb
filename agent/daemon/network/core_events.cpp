// Which events are written, and as what.
#include <algorithm>
#include <format>

#include "agent/daemon/network/core.hpp"
#include "core/base/text.hpp"
#include "core/os/crypto/crypto.hpp"

namespace cloudos::daemon {
namespace {

constexpr auto component = "cloudos-agent";
constexpr std::size_t most_said = 512;
constexpr std::size_t longest_message = 1000;  // events.k8s.io/v1: a note has at most 1 KiB
constexpr int most_refusals = 3;

std::string key_of(const health::HealthEvent& event) { return event.pod + "\n" + event.reason + "\n" + event.message; }

std::string clipped(std::string_view text) {
  auto out = sanitise(text);
  if (out.size() <= longest_message) return out;
  auto end = longest_message;
  while (end > 0 && (static_cast<unsigned char>(out[end]) & 0xC0U) == 0x80U) --end;  // not within a character
  out.resize(end);
  return out;
}

}  // namespace

Request event_request(const std::string& node, const health::HealthEvent& event, const std::string& key) {
  const auto slash = event.pod.find('/');
  const bool of_pod = slash != std::string::npos;
  const auto space = of_pod ? event.pod.substr(0, slash) : std::string("default");
  const auto object = of_pod ? event.pod.substr(slash + 1) : node;
  Json about = {{"apiVersion", "v1"}, {"kind", of_pod ? "Pod" : "Node"}, {"name", object}};
  if (of_pod) about["namespace"] = space;
  else about["uid"] = node;  // as kubelet does it: `kubectl describe node` looks for events by it
  const auto at = timestamp(event.at_ms);
  Json body = {{"apiVersion", "v1"},
               {"kind", "Event"},
               {"metadata", {{"name", object.substr(0, 200) + "." + os::sha256(key).hex().substr(0, 16)}, {"namespace", space}}},
               {"involvedObject", std::move(about)},
               {"reason", event.reason},
               {"message", clipped(event.message)},
               {"type", event.warning ? "Warning" : "Normal"},
               {"count", 1},
               {"firstTimestamp", at},
               {"lastTimestamp", at},
               {"source", {{"component", component}, {"host", node}}},
               {"reportingComponent", component},
               {"reportingInstance", node}};
  return {.kind = Request::Kind::event, .path = std::format("/api/v1/namespaces/{}/events", space), .body = std::move(body)};
}

bool Core::suppressed(const health::HealthEvent& event, Time now) {
  const auto said = said_.find(key_of(event));
  return said != said_.end() && now - said->second < options_.same_event;
}

void Core::drop_oldest(std::size_t keep) {
  while (events_.size() > keep) {
    const auto& oldest = events_.front();
    ++dropped_;
    ++counters_.events_dropped;
    dropped_at_ms_ = oldest.event.at_ms;
    if (!oldest.epoch.empty()) delivered_ = halves::Delivered{.epoch = oldest.epoch, .sequence = oldest.sequence};
    events_.pop_front();
  }
}

std::optional<Request> Core::dropped_event() {
  const health::HealthEvent event{.reason = "EventsDropped",
                                  .message = std::format("{} events of this node were not written: there were more than {} a minute",
                                                         dropped_ - dropped_told_, options_.events_a_minute),
                                  .pod = {},
                                  .at_ms = dropped_at_ms_};
  return event_request(options_.node, event, std::format("{} {} dropped {} {}", options_.node, epoch_, dropped_, dropped_at_ms_));
}

std::optional<Request> Core::event(Time now) {
  if (now - window_ >= std::chrono::minutes(1)) {
    window_ = now;
    in_window_ = 0;
    if (dropped_ > dropped_told_) return dropped_event();
  }
  while (!events_.empty() && suppressed(events_.front().event, now)) {
    ++counters_.events_suppressed;
    const auto& front = events_.front();
    if (!front.epoch.empty()) delivered_ = halves::Delivered{.epoch = front.epoch, .sequence = front.sequence};
    events_.pop_front();
  }
  drop_oldest(options_.events_a_minute - std::min(in_window_, options_.events_a_minute));
  if (events_.empty()) return std::nullopt;
  const auto& front = events_.front();
  return event_request(options_.node, front.event,
                       std::format("{} {} {} {}", options_.node, front.epoch, front.sequence, front.event.at_ms));
}

void Core::event_done(const Request& request, bool written, Time now) {
  if (request.body.at("reason") == "EventsDropped") {
    dropped_told_ = dropped_;
    return;
  }
  if (events_.empty()) return;
  const auto& front = events_.front();
  if (written) {
    ++in_window_;
    std::erase_if(said_, [&](const auto& said) { return now - said.second >= options_.same_event; });
    if (said_.size() >= most_said) said_.erase(std::ranges::min_element(said_, {}, [](const auto& said) { return said.second; }));
    said_[key_of(front.event)] = now;
  }
  if (!front.epoch.empty()) delivered_ = halves::Delivered{.epoch = front.epoch, .sequence = front.sequence};
  events_.pop_front();
}

void Core::event_failed(const Request& request, const Reply& reply) {
  if (reply.outcome == Reply::Outcome::away) return;
  // A namespace that is gone (404) or going (403), or an event that the API does not want, must not hold up the others.
  const bool final = reply.outcome != Reply::Outcome::auth || events_.empty() || ++events_.front().refusals >= most_refusals;
  if (final) event_done(request, false, Time{});
}

}  // namespace cloudos::daemon
