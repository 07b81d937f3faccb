// Inside agent/settings: each key of agent.toml once, with what it may be, for reading and for printing.
#pragma once

#include <concepts>

#include "agent/settings/settings.hpp"

namespace cloudos::settings {

using Microseconds = std::chrono::microseconds;
using namespace std::chrono_literals;

template <class T, class U>
concept is = std::same_as<std::remove_cv_t<T>, U>;

// `a` takes sections and, in them, keys; of a time kept as a count, `unit` is what is counted.
void health_keys(auto& a, is<Settings::Health> auto& health) {
  a.section("health", [&](auto& t) {
    t.flag("enabled", health.enabled);
    t.time("every", health.every, 1s, 1h);
    t.time_or_never("measure-sync", health.measure_sync, 10s, 7 * 24h);
    t.flag("restart", health.restart);
  });
  a.section("health.restarts", [&](auto& t) {
    auto& r = health.restarts;
    t.number("failures", r.failures, 1, 100);
    t.count("first-pause", r.first_pause_ms, 1ms, 1s, 1h);
    t.count("longest-pause", r.longest_pause_ms, 1ms, 1s, 24h);
    t.number("an-hour", r.an_hour, 1, 60);
    t.ordered("first-pause", r.first_pause_ms, "longest-pause", r.longest_pause_ms, true);
  });
  a.section("health.thresholds", [&](auto& t) {
    auto& h = health.thresholds;
    t.count("clock-bad", h.clock_bad_us, 1us, 1ms, 1h);
    t.count("clock-good", h.clock_good_us, 1us, 1ms, 1h);
    t.ordered("clock-good", h.clock_good_us, "clock-bad", h.clock_bad_us);
    t.number("full-bad", h.full_bad_percent, 1, 100);
    t.number("full-good", h.full_good_percent, 0, 99);
    t.ordered("full-good", h.full_good_percent, "full-bad", h.full_bad_percent);
    t.count("full-within", h.full_within_ms, 1ms, 1min, 30 * 24h);
    t.number("used-bad", h.used_bad_percent, 1, 100);
    t.number("used-good", h.used_good_percent, 0, 99);
    t.ordered("used-good", h.used_good_percent, "used-bad", h.used_bad_percent);
    t.count("sync-bad", h.sync_bad_us, 1us, 100us, 1min);
    t.count("sync-good", h.sync_good_us, 1us, 100us, 1min);
    t.ordered("sync-good", h.sync_good_us, "sync-bad", h.sync_bad_us);
    t.count("quiet", h.quiet_ms, 1ms, 1min, 24h);
    t.number("flaps", h.flaps, 2, 10'000);
    t.count("certificate-bad", h.certificate_bad_s, 1s, 1h, 3650 * 24h);
    t.count("certificate-good", h.certificate_good_s, 1s, 1h, 3650 * 24h);
    t.ordered("certificate-bad", h.certificate_bad_s, "certificate-good", h.certificate_good_s);
    t.number("corrected-an-hour", h.corrected_an_hour, 1, 1'000'000);
  });
}

void keys(auto& a, is<Settings> auto& s) {
  a.section("metrics", [&](auto& t) {
    t.flag("enabled", s.metrics.enabled);
    t.number("port", s.metrics.port, 1, 65535);
    t.number("loopback", s.metrics.loopback, 0, 65535);
  });
  a.section("supply", [&](auto& t) {
    t.flag("enabled", s.supply.enabled);
    t.number("port", s.supply.port, 1, 65535);
    t.differing("port", s.supply.port, "metrics.port", s.metrics.port);
  });
  a.section("labels", [&](auto& t) {
    t.flag("enabled", s.labels.enabled);
    t.time("every", s.labels.every, 1s, 24h);
  });
  health_keys(a, s.health);
  a.section("gpus", [&](auto& t) {
    t.flag("enabled", s.gpus.enabled);
    t.mig("mig-strategy", s.gpus.mig);
    t.shares("share", s.gpus.replicas);
    t.flag("rename-shared", s.gpus.rename_shared);
    t.time("probe", s.gpus.probe, 1s, 1h);
    t.time("recover", s.gpus.recover, 1s, 24h);
    t.file("nvml", s.gpus.nvml);
  });
}

}  // namespace cloudos::settings
