// agent/settings: /etc/cloudos/agent.toml: what an operator may set of the agent, each key with its default, and the commented file
// that is laid down. All faults of a file are told at once, each with its line and the nearest name. Pure but for reading the file.
// Not here: when it is read again (agent/daemon).
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "agent/devices/devices.hpp"
#include "agent/health/health.hpp"

namespace cloudos::settings {

struct Settings {
  struct Metrics {
    bool enabled = true;
    std::uint16_t port = 9633;   // on the node's address, TLS, callers authorised by the API server
    std::uint16_t loopback = 0;  // plain HTTP on 127.0.0.1, for anyone on the machine; 0: off
    bool operator==(const Metrics&) const = default;
  } metrics;
  struct Supply {
    bool enabled = true;
    std::uint16_t port = 9634;
    bool operator==(const Supply&) const = default;
  } supply;
  struct Labels {
    bool enabled = true;
    Milliseconds every{60'000};
    bool operator==(const Labels&) const = default;
  } labels;
  struct Health {
    bool enabled = true;
    Milliseconds every{10'000};
    Milliseconds measure_sync{600'000};  // between two measurements; 0: never
    bool restart = true;                 // a hung containerd or kubelet is restarted
    health::RestartPolicy::Limits restarts;
    health::Thresholds thresholds;
    bool operator==(const Health&) const = default;
  } health;
  struct Gpus {
    bool enabled = true;
    devices::MigStrategy mig = devices::MigStrategy::none;
    std::map<std::string, unsigned> replicas;
    bool rename_shared = false;
    Milliseconds probe{10'000}, recover{30'000};
    std::string nvml;  // the library's file; empty: where drivers have it
    bool operator==(const Gpus&) const = default;
  } gpus;
};

// The defaults for an empty text. All that is wrong with it, each as "file:line: key: what, what was expected"; never an exception.
// Errors: input, with all of them in the message, a line each.
[[nodiscard]] Result<Settings> parse(std::string_view text, std::string_view name);
// The defaults when the file is not there. Errors: input, as parse(); io.
[[nodiscard]] Result<Settings> read(const std::filesystem::path& file);
// What is offered to kubelet, and how.
[[nodiscard]] devices::Options offer_of(const Settings::Gpus& gpus);
// The settings as a file that says them all: what is in force.
[[nodiscard]] std::string print(const Settings& settings);
// The file as it is laid down: every key with a comment and its default, commented out ("#port = 9633", without a blank).
[[nodiscard]] std::string_view commented_defaults();

}  // namespace cloudos::settings
