#include "agent/daemon/network/core.hpp"

#include <algorithm>
#include <format>
#include <utility>

#include "core/model/json_path.hpp"

namespace cloudos::daemon {
namespace {

constexpr auto names_annotation = "cloudos.io/labels";
constexpr std::string_view prefix = "cloudos.io/";

using model::text_at;

const Json& part(const Json& object, const char* key) {
  static const Json none = Json::object();
  if (!object.is_object()) return none;
  const auto at = object.find(key);
  return at != object.end() ? *at : none;
}

const char* name_of(Request::Kind kind) {
  switch (kind) {
    case Request::Kind::read: return "read";
    case Request::Kind::metadata: return "metadata";
    case Request::Kind::status: return "status";
    case Request::Kind::event: return "event";
  }
  return "";
}

std::string node_path(const std::string& node) { return "/api/v1/nodes/" + node; }

}  // namespace

std::string timestamp(std::int64_t ms) {
  const std::chrono::sys_time<Milliseconds> at{Milliseconds(ms)};
  return std::format("{:%FT%TZ}", std::chrono::floor<std::chrono::seconds>(at));
}

void Core::report(halves::Report report) {
  if (report.epoch != epoch_) {
    epoch_ = report.epoch;
    taken_ = 0;
  }
  for (auto& event : report.events) {
    if (event.sequence <= taken_) continue;
    // Those between went before we heard of them. What another life of this half has taken is not missing.
    if (taken_ > 0) dropped_ += event.sequence - taken_ - 1;
    taken_ = event.sequence;
    events_.push_back({.epoch = epoch_, .sequence = event.sequence, .event = std::move(event.event)});
  }
  report.events.clear();
  constexpr std::size_t most = 256;
  drop_oldest(most);
  report_ = std::move(report);
  metadata_due_ = status_due_ = true;
}

void Core::add(const health::HealthEvent& event) { events_.push_back({.epoch = {}, .sequence = ++own_, .event = event}); }

std::optional<halves::Delivered> Core::take_delivered() { return std::exchange(delivered_, std::nullopt); }

void Core::see(const Json& node, Time now) {
  View view;
  const auto& meta = part(node, "metadata");
  for (const auto& [name, value] : part(meta, "labels").items())
    if (value.is_string()) view.labels[name] = value.get<std::string>();
  for (const auto& [name, value] : part(meta, "annotations").items())
    if (name.starts_with(prefix) && value.is_string()) view.annotations[name] = value.get<std::string>();
  for (const auto& condition : part(part(node, "status"), "conditions"))
    view.conditions[text_at(condition, {"type"})] = {.status = text_at(condition, {"status"}),
                                                     .reason = text_at(condition, {"reason"}),
                                                     .message = text_at(condition, {"message"}),
                                                     .since = text_at(condition, {"lastTransitionTime"})};
  if (const auto ours = view.annotations.find(names_annotation); ours != view.annotations.end())
    memory_.ours.merge(labels::read_names(ours->second));
  view_ = std::move(view);
  const auto jitter = options_.read_again / 10 * static_cast<int>(random_() % 100) / 100;
  read_again_at_ = now + options_.read_again + jitter;
}

std::optional<Request> Core::metadata(Time now) {
  metadata_due_ = false;
  labels::Found found{.labels = report_->labels, .unknown = report_->unknown};
  auto memory = memory_;
  const bool counts = !counted_at_ || now - *counted_at_ >= options_.look_apart;
  // The same look is not counted twice: what it did not find is then as good as not looked for.
  if (!counts) found.unknown.insert("");
  const auto change = labels::merge(found, view_->labels, memory);
  Json set = Json::object(), notes = Json::object();
  for (const auto& [name, value] : change.set) set[name] = value;
  for (const auto& name : change.remove) set[name] = nullptr;
  auto annotations = report_->annotations;
  if (const auto names = labels::write_names(memory.ours); !names.empty() || view_->annotations.contains(names_annotation))
    annotations[names_annotation] = names;
  for (const auto& [name, value] : annotations) {
    const auto has = view_->annotations.find(name);
    if (name.starts_with(prefix) && (has == view_->annotations.end() || has->second != value)) notes[name] = value;
  }
  memory_then_ = std::move(memory);
  counted_then_ = counts ? now : counted_at_;
  if (set.empty() && notes.empty()) {
    memory_ = *std::exchange(memory_then_, std::nullopt);
    counted_at_ = counted_then_;
    return std::nullopt;
  }
  // Both in one patch: a label is never there without its name being among ours.
  Json meta = Json::object();
  if (!set.empty()) meta["labels"] = std::move(set);
  if (!notes.empty()) meta["annotations"] = std::move(notes);
  return Request{.kind = Request::Kind::metadata, .path = node_path(options_.node), .body = {{"metadata", std::move(meta)}}};
}

std::optional<Request> Core::status() {
  status_due_ = false;
  auto changed = Json::array();
  for (const auto& condition : report_->conditions) {
    const auto* wanted = condition.status ? "True" : "False";
    const auto has = view_->conditions.find(condition.type);
    const bool there = has != view_->conditions.end();
    if (there && has->second.status == wanted && has->second.reason == condition.reason && has->second.message == condition.message)
      continue;
    // Another life of the root half may have begun to look later than the condition began.
    const auto since =
        there && has->second.status == wanted && !has->second.since.empty() ? has->second.since : timestamp(condition.since_ms);
    changed.push_back({{"type", condition.type},
                       {"status", wanted},
                       {"reason", condition.reason},
                       {"message", condition.message},
                       {"lastHeartbeatTime", since},
                       {"lastTransitionTime", since}});
  }
  if (changed.empty()) return std::nullopt;
  return Request{.kind = Request::Kind::status,
                 .path = node_path(options_.node) + "/status",
                 .body = {{"status", {{"conditions", std::move(changed)}}}}};
}

Core::Next Core::next(Time now) {
  constexpr auto forever = std::chrono::hours(24);
  if (now < not_before_) return {.request = std::nullopt, .until = not_before_};
  if (!report_) return {.request = std::nullopt, .until = now + forever};
  if (!view_ || now >= read_again_at_)
    return {.request = Request{.kind = Request::Kind::read, .path = node_path(options_.node)}, .until = now};
  if (metadata_due_)
    if (auto request = metadata(now)) return {.request = std::move(request), .until = now};
  if (status_due_)
    if (auto request = status()) return {.request = std::move(request), .until = now};
  if (auto request = event(now)) return {.request = std::move(request), .until = now};
  return {.request = std::nullopt,
          .until = dropped_ > dropped_told_ ? std::min(read_again_at_, window_ + std::chrono::minutes(1)) : read_again_at_};
}

void Core::reply(const Request& request, Reply reply, Time now) {
  const bool known = request.kind == Request::Kind::event && reply.outcome == Reply::Outcome::conflict;
  if (reply.outcome == Reply::Outcome::done && request.kind != Request::Kind::event &&
      text_at(reply.object, {"metadata", "name"}) != options_.node)
    reply = {.outcome = Reply::Outcome::away, .object = {}, .why = "the answer is not the node that was asked for"};
  if (reply.outcome != Reply::Outcome::done && !known) return failed(request, reply, now);
  if (auto line = away_.back("API", now)) log_.push_back(std::move(*line));
  ++counters_.requests[name_of(request.kind)];
  if (request.kind == Request::Kind::event) return event_done(request, true, now);
  if (request.kind == Request::Kind::metadata && memory_then_) {
    memory_ = *std::exchange(memory_then_, std::nullopt);
    counted_at_ = counted_then_;
  }
  see(reply.object, now);
  if (request.kind == Request::Kind::read) metadata_due_ = status_due_ = true;
}

void Core::failed(const Request& request, const Reply& reply, Time now) {
  ++counters_.failures;
  memory_then_.reset();
  if (request.kind == Request::Kind::event) event_failed(request, reply);
  // What became of a write is not known, or the node is another: look before the next one.
  if (request.kind != Request::Kind::event || reply.outcome == Reply::Outcome::away) view_.reset();
  if (reply.outcome == Reply::Outcome::auth) wants_credential_ = true;
  if (request.kind == Request::Kind::event && (reply.outcome == Reply::Outcome::refused || reply.outcome == Reply::Outcome::not_found))
    return;
  const auto why = reply.outcome == Reply::Outcome::not_found
                       ? std::format("there is no node {} in the cluster yet, or it was removed", options_.node)
                       : reply.why;
  if (auto line = away_.failed("API", why, now)) log_.push_back(std::move(*line));
  not_before_ = now + pause(away_.failures(), static_cast<double>(random_() % 1000) / 1000.0);
}

}  // namespace cloudos::daemon
