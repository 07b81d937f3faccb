#include <algorithm>
#include <format>

#include "agent/health/detectors.hpp"

namespace cloudos::health {

Patience patience_of(std::string_view kind) {
  // What is measured anew each time may be an outlier; what the kernel said, a counter, or whoever judges GPUs, is so the first time.
  if (kind == type::clock || kind == type::sync) return {.bad = 3, .good = 3};
  if (kind == type::runtime || kind == type::kubelet) return {.bad = 3, .good = 2};
  if (kind == type::pids || kind == type::conntrack || kind == type::duplex) return {.bad = 2, .good = 2};
  if (kind == type::read_only || kind == type::filling || kind == type::inodes) return {.bad = 1, .good = 2};
  return {};
}

namespace {

// A message that stands changes with its numbers; each change is a write for every node, so it waits.
constexpr std::int64_t message_age_ms = 30LL * 60 * 1000;
constexpr std::size_t most_subjects = 1024;

struct Subject {
  bool standing = false;
  int bad = 0, good = 0;  // looks in a row
  std::string reason, message;
};

using Key = std::pair<std::string_view, std::string>;  // types are constants

}  // namespace

struct Monitor::State {
  Thresholds thresholds;  // the detectors look these two up
  RestartLimits limits;
  std::vector<std::unique_ptr<Detector>> detectors;
  std::map<Key, Subject> subjects;
  std::map<std::string_view, Condition> conditions;
  std::map<std::string_view, std::int64_t> written;  // when a condition last changed, monotonic

  void take(const Readings& readings, const Sample& sample, Outcome& out);
  void settle(const Key& key, Subject& subject, const Reading& reading, const Sample& sample, Outcome& out) const;
  void conclude(std::string_view kind, const Sample& sample, Outcome& out);
};

Monitor::Monitor(Thresholds thresholds, RestartLimits restarts) : state_(std::make_unique<State>()) {
  set(thresholds, restarts);
  const auto& t = state_->thresholds;
  auto& detectors = state_->detectors;
  detectors.push_back(clock_detector(t));
  detectors.push_back(space_detector(t));
  detectors.push_back(limit_detector(t));
  detectors.push_back(kernel_detector(t));
  detectors.push_back(link_detector(t));
  detectors.push_back(service_detector(state_->limits));
  detectors.push_back(certificate_detector(t));
  detectors.push_back(hardware_detector(t));
  detectors.push_back(gpu_detector(t));
}
Monitor::~Monitor() = default;
Monitor::Monitor(Monitor&&) noexcept = default;
Monitor& Monitor::operator=(Monitor&&) noexcept = default;

void Monitor::set(const Thresholds& thresholds, const RestartLimits& restarts) {
  state_->thresholds = thresholds;
  state_->limits = restarts;
}

void Monitor::State::settle(const Key& key, Subject& subject, const Reading& reading, const Sample& sample, Outcome& out) const {
  const auto patience = patience_of(key.first);
  if (reading.verdict == Verdict::between) {
    subject.bad = subject.good = 0;
    return;
  }
  if (reading.verdict == Verdict::bad) {
    subject.good = 0;
    subject.reason = reading.reason;
    subject.message = reading.message;
    if (subject.standing || ++subject.bad < patience.bad) return;
    subject.standing = true;
    out.events.push_back({.reason = subject.reason, .message = subject.message, .pod = {}, .at_ms = sample.wall_ms});
    return;
  }
  subject.bad = 0;
  if (!subject.standing || ++subject.good < patience.good) return;
  subject.standing = false;
  out.events.push_back({.warning = false,
                        .reason = std::string(key.first) + "Cleared",
                        .message = std::format("no longer so: {}", subject.message),
                        .pod = {},
                        .at_ms = sample.wall_ms});
}

void Monitor::State::take(const Readings& readings, const Sample& sample, Outcome& out) {
  std::set<Key> told;
  for (const auto& reading : readings.list) {
    Key key{reading.type, reading.subject};
    if (!subjects.contains(key) && subjects.size() >= most_subjects) continue;
    settle(key, subjects[key], reading, sample, out);
    told.insert(std::move(key));
  }
  // What its detector no longer names is gone, and its trouble with it: a link taken out, a file system unmounted.
  for (auto& [key, subject] : subjects) {
    if (!readings.looked.contains(key.first) || told.contains(key)) continue;
    settle(key, subject, {.type = key.first, .subject = key.second}, sample, out);
  }
  std::erase_if(subjects,
                [&](const auto& s) { return readings.looked.contains(s.first.first) && !told.contains(s.first) && !s.second.standing; });
}

void Monitor::State::conclude(std::string_view kind, const Sample& sample, Outcome& out) {
  Condition now{.type = std::string(kind), .status = false, .reason = "No" + std::string(kind), .message = "nothing of the kind was seen"};
  std::size_t more = 0;
  for (const auto& [key, subject] : subjects) {
    if (key.first != kind || !subject.standing) continue;
    if (!now.status) {
      now.status = true;
      now.reason = subject.reason;
      now.message = subject.message;
    } else {
      ++more;
    }
  }
  if (more > 0) now.message += std::format(" (and {} more)", more);
  const auto before = conditions.find(kind);
  const bool fresh = before == conditions.end();
  const bool turned = fresh || before->second.status != now.status;
  now.since_ms = turned ? sample.wall_ms : before->second.since_ms;
  if (!turned && before->second == now) return;
  const bool other_reason = !fresh && before->second.reason != now.reason;
  if (!turned && !other_reason && sample.monotonic_ms - written[kind] < message_age_ms) return;
  written[kind] = sample.monotonic_ms;
  out.changed.push_back(conditions[kind] = std::move(now));
}

Outcome Monitor::look(const Sample& sample) {
  Readings readings;
  for (const auto& detector : state_->detectors) detector->look(sample, readings);
  Outcome out{.changed = {}, .events = std::move(readings.events), .restarts = std::move(readings.restarts)};
  state_->take(readings, sample, out);
  for (const auto kind : readings.looked) state_->conclude(kind, sample, out);
  for (const auto& restart : out.restarts)
    out.events.push_back({.reason = "ServiceRestarted",
                          .message = std::format("{} did not answer and is restarted (time {} within an hour): {}", restart.service,
                                                 restart.attempt, restart.reason),
                          .pod = {},
                          .at_ms = sample.wall_ms});
  return out;
}

std::vector<Condition> Monitor::conditions() const {
  std::vector<Condition> out;
  for (const auto& [kind, condition] : state_->conditions) out.push_back(condition);
  return out;
}

std::vector<Problem> Monitor::problems() const {
  std::vector<Problem> out;
  for (const auto& [key, subject] : state_->subjects) {
    if (subject.standing) out.push_back({.type = std::string(key.first), .subject = key.second, .reason = subject.reason});
  }
  return out;
}

}  // namespace cloudos::health
