// agent/health: what is wrong with a machine, from samples of it. Pure detectors with hysteresis that turn samples into node
// conditions and events; and whether a hung service is to be restarted. Nothing here speaks to an API server, restarts
// anything or reads a clock: the daemon takes samples, carries out what is decided and patches what has changed.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/health/sample.hpp"

namespace cloudos::health {

// The types of conditions. "True" is always the bad news, as with the kubelet's own pressures.
namespace type {
constexpr std::string_view clock = "ClockSkewed";
constexpr std::string_view read_only = "ReadonlyFilesystem";
constexpr std::string_view filling = "DiskFilling";
constexpr std::string_view inodes = "InodesExhausted";
constexpr std::string_view pids = "PIDsExhausted";
constexpr std::string_view sync = "StorageSlow";
constexpr std::string_view oops = "KernelOops";
constexpr std::string_view hung = "TasksHung";
constexpr std::string_view oom = "OOMKilling";
constexpr std::string_view conntrack = "ConntrackFull";
constexpr std::string_view flapping = "LinkFlapping";
constexpr std::string_view duplex = "LinkHalfDuplex";
constexpr std::string_view runtime = "ContainerRuntimeHung";
constexpr std::string_view kubelet = "KubeletHung";
constexpr std::string_view certificate = "CertificateExpiring";
constexpr std::string_view gpu = "GPUUnhealthy";
constexpr std::string_view thermal = "ThermalThrottling";
constexpr std::string_view memory = "MemoryErrors";
}  // namespace type

// As in a Node's status.conditions.
struct Condition {
  std::string type;
  bool status = false;
  std::string reason;  // CamelCase
  std::string message;
  std::int64_t since_ms = 0;  // wall clock, of the last change of `status`
  bool operator==(const Condition&) const = default;
};

struct HealthEvent {
  bool warning = true;  // or "Normal": something is well again
  std::string reason, message;
  std::string pod;  // "namespace/name" or the pod's uid when it is about a pod; else it is about the node
  std::int64_t at_ms = 0;
  bool operator==(const HealthEvent&) const = default;
};

// One thing that is standing: what a metric shows ("cloudos_health_problem{type,subject}").
struct Problem {
  std::string type, subject, reason;
  auto operator<=>(const Problem&) const = default;
};

struct Thresholds {
  std::int64_t clock_bad_us = 500'000, clock_good_us = 100'000;
  int full_bad_percent = 95, full_good_percent = 92;        // of space and of inodes
  std::int64_t full_within_ms = 24LL * 3600 * 1000;         // a disk that will be full by then is told
  int used_bad_percent = 90, used_good_percent = 75;        // of PIDs and of connection tracking
  std::int64_t sync_bad_us = 10'000, sync_good_us = 7'000;  // etcd: "99th percentile under 10 ms"
  std::int64_t quiet_ms = 10LL * 60 * 1000;                 // how long nothing must happen for it to be over
  int flaps = 6;                                            // changes of carrier within quiet_ms
  std::int64_t certificate_bad_s = 14LL * 86400, certificate_good_s = 21LL * 86400;
  std::uint64_t corrected_an_hour = 100;  // memory errors that were corrected
  bool operator==(const Thresholds&) const = default;
};

// What to do about a service that does not answer.
struct Restart {
  std::string service;
  std::string reason;
  int attempt = 0;  // 1 for the first within the hour
};

// How often a service is restarted.
struct RestartLimits {
  int failures = 3;
  std::int64_t first_pause_ms = 30'000, longest_pause_ms = 600'000;
  int an_hour = 3;  // 0: never
  bool operator==(const RestartLimits&) const = default;
};

struct Outcome {
  std::vector<Condition> changed;  // to be patched
  std::vector<HealthEvent> events;
  std::vector<Restart> restarts;  // to be carried out now
};

class Monitor {
 public:
  explicit Monitor(Thresholds thresholds = {}, RestartLimits restarts = {});
  ~Monitor();
  Monitor(Monitor&&) noexcept;
  Monitor& operator=(Monitor&&) noexcept;

  // Judges by these from the next sample on. What stands and what is remembered stays.
  void set(const Thresholds& thresholds, const RestartLimits& restarts);
  // Takes in a sample; samples come in the order of their monotonic time. Memory is bounded whatever they hold.
  [[nodiscard]] Outcome look(const Sample& sample);
  // All conditions that could be judged so far, by type.
  [[nodiscard]] std::vector<Condition> conditions() const;
  [[nodiscard]] std::vector<Problem> problems() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// When to restart a service: not before it failed to answer three times, then with a pause that doubles, at most a few times
// an hour; after that it is left alone, and said, until it answers or the hour has passed.
class RestartPolicy {
 public:
  using Limits = RestartLimits;
  enum class Verdict { fine, waiting, restart, left_alone };
  [[nodiscard]] Verdict look(std::int64_t now_ms, bool answered, const Limits& limits = {});
  // Restarts in the last hour.
  [[nodiscard]] int attempts() const { return static_cast<int>(restarts_.size()); }

 private:
  int failures_ = 0;
  std::vector<std::int64_t> restarts_;  // within the last hour
};

}  // namespace cloudos::health
