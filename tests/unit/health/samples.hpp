// Samples for the tests of agent/health: a machine that is well, and a monitor that is fed minute by minute.
#pragma once

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <string>

#include "agent/health/health.hpp"

namespace cloudos::health::test {

constexpr std::int64_t minute = 60'000;

inline Sample well() {
  Sample sample;
  sample.clock = Sample::Clock{.offset_us = 200, .synchronised = true};
  sample.file_systems = {{.path = "/",
                          .device = "/dev/sda2",
                          .type = "ext4",
                          .total = 100_GiB,
                          .free = 60_GiB,
                          .inodes_total = 1'000'000,
                          .inodes_free = 900'000}};
  sample.sync_p99_us = {{"/var/lib/etcd", 2000}};
  sample.pids = Sample::Use{.used = 500, .limit = 32768};
  sample.conntrack = Sample::Use{.used = 1000, .limit = 262144};
  sample.links = {{.name = "eth0", .carrier = true, .duplex = "full", .carrier_changes = 2}};
  sample.services = {{.name = "containerd", .answered = true, .reason = {}}, {.name = "kubelet", .answered = true, .reason = {}}};
  sample.certificates = {{.path = "/etc/kubernetes/pki/apiserver.crt", .expires_s = 1'800'000'000 + 300LL * 86400}};
  sample.cpu_throttles = {{"package 0", 40}};
  sample.memory_errors = {{"mc0", {.corrected = 5, .uncorrected = 0}}};
  return sample;
}

// A machine whose clock goes on by a minute (or so) with each look.
struct Machine {
  Monitor monitor;
  Sample sample = well();
  std::vector<HealthEvent> events;  // all so far
  std::vector<Condition> changed;   // all so far
  std::int64_t now_ms = 0;

  Outcome look(std::int64_t later_ms = minute) {
    now_ms += later_ms;
    sample.monotonic_ms = now_ms;
    sample.wall_ms = 1'800'000'000'000 + now_ms;
    auto out = monitor.look(sample);
    sample.kernel_lines.clear();
    events.insert(events.end(), out.events.begin(), out.events.end());
    changed.insert(changed.end(), out.changed.begin(), out.changed.end());
    return out;
  }
  void looks(int count, std::int64_t later_ms = minute) {
    for (int i = 0; i < count; ++i) static_cast<void>(look(later_ms));
  }
  void says(const std::string& text) { sample.kernel_lines.push_back({.priority = 3, .text = text}); }

  [[nodiscard]] Condition condition(std::string_view type) const {
    const auto all = monitor.conditions();
    const auto found = std::ranges::find(all, type, &Condition::type);
    return found == all.end() ? Condition{} : *found;
  }
  [[nodiscard]] bool bad(std::string_view type) const { return condition(type).status; }
  // Events with this reason so far.
  [[nodiscard]] std::size_t told(std::string_view reason) const {
    return static_cast<std::size_t>(std::ranges::count(events, reason, &HealthEvent::reason));
  }
  [[nodiscard]] bool is_problem(std::string_view type, std::string_view subject) const {
    return std::ranges::any_of(monitor.problems(), [&](const auto& p) { return p.type == type && p.subject == subject; });
  }
};

}  // namespace cloudos::health::test
