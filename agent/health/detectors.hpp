// Inside agent/health: the detectors. Each keeps what it must remember and says for each thing it watches whether it is bad,
// good, or between the two, where whatever was said stays.
#pragma once

#include <deque>
#include <memory>
#include <set>

#include "agent/health/health.hpp"

namespace cloudos::health {

enum class Verdict { good, between, bad };

struct Reading {
  std::string_view type;
  std::string subject;
  Verdict verdict = Verdict::good;
  std::string reason, message;  // of a bad one
};

struct Readings {
  std::vector<Reading> list;
  std::set<std::string_view> looked;  // types that could be judged: what they do not name is not there any more
  std::vector<HealthEvent> events;    // what is told at once, beside the conditions
  std::vector<Restart> restarts;
};

class Detector {
 public:
  Detector() = default;
  Detector(const Detector&) = delete;
  Detector& operator=(const Detector&) = delete;
  virtual ~Detector() = default;
  virtual void look(const Sample& sample, Readings& out) = 0;
};

// How many looks in a row make and end a problem of a type.
struct Patience {
  int bad = 1, good = 1;
};
[[nodiscard]] Patience patience_of(std::string_view kind);

// The references are kept: what stands there counts at each look.
[[nodiscard]] std::unique_ptr<Detector> clock_detector(const Thresholds& thresholds);
[[nodiscard]] std::unique_ptr<Detector> space_detector(const Thresholds& thresholds);   // space, inodes, read-only
[[nodiscard]] std::unique_ptr<Detector> limit_detector(const Thresholds& thresholds);   // PIDs, conntrack, durable writes
[[nodiscard]] std::unique_ptr<Detector> kernel_detector(const Thresholds& thresholds);  // oops, hung tasks, OOM
[[nodiscard]] std::unique_ptr<Detector> link_detector(const Thresholds& thresholds);
[[nodiscard]] std::unique_ptr<Detector> service_detector(const RestartLimits& limits);
[[nodiscard]] std::unique_ptr<Detector> certificate_detector(const Thresholds& thresholds);
[[nodiscard]] std::unique_ptr<Detector> hardware_detector(const Thresholds& thresholds);  // heat, memory errors
[[nodiscard]] std::unique_ptr<Detector> gpu_detector(const Thresholds& thresholds);

// A value that is bad from `bad` on and good again at `good`.
[[nodiscard]] inline Verdict rising(std::int64_t value, std::int64_t bad, std::int64_t good) {
  return value >= bad ? Verdict::bad : value <= good ? Verdict::good : Verdict::between;
}

// Adds `value` to what is counted over a span of time, and gives the sum over the span that ends now. Bounded: what happens
// within a sixtieth of the span is one entry.
class Recently {
 public:
  std::uint64_t add(std::int64_t now_ms, std::int64_t span_ms, std::uint64_t value);

 private:
  std::deque<std::pair<std::int64_t, std::uint64_t>> entries_;
};

// --- what lines of the kernel's log say (kernel_lines.cpp) ---

struct OomKill {
  std::string process, pod_uid;  // "" when it was in no pod
  int pid = 0;
};
[[nodiscard]] std::optional<OomKill> oom_kill_of(std::string_view line);
// The uid of the pod that a control group belongs to, by the names that the kubelet gives with either cgroup driver.
[[nodiscard]] std::string pod_of_cgroup(std::string_view path);
[[nodiscard]] bool is_oops(std::string_view line);
// The task in "INFO: task NAME:PID blocked for more than N seconds", or "".
[[nodiscard]] std::string hung_task_of(std::string_view line);
struct Xid {
  std::string address;  // "0000:1b:00.0"
  std::uint64_t number = 0;
  std::string text;
};
[[nodiscard]] std::optional<Xid> xid_of(std::string_view line);
// The device in "EXT4-fs (sda1): Remounting filesystem read-only", or "".
[[nodiscard]] std::string remounted_device_of(std::string_view line);

// "2026-11-25 14:00 UTC", of milliseconds since the epoch, to the hour.
[[nodiscard]] std::string date_text(std::int64_t wall_ms);

}  // namespace cloudos::health
