// agent/usage: what a machine uses right now, by its kernel's and its drivers' own counters. Two readings with a pause between
// them, nothing that stays. Where the machine is a container, /proc tells of its host: then its control group is asked.
// Not here: what a machine is (agent/facts), whether it is well (agent/health).
#pragma once

#include <filesystem>
#include <functional>

#include "agent/facts/facts.hpp"
#include "core/model/usage.hpp"

namespace cloudos::usage {

struct Options {
  facts::Roots roots;
  Milliseconds span{1000};                    // over which CPU time is counted
  Milliseconds driver_patience{3000};         // for a GPU driver's first answer, from the beginning of the span
  std::filesystem::path nvml;                 // NVIDIA's library, empty: where drivers have it
  std::function<void(Milliseconds)> pause{};  // between the two readings; empty: sleeps
};

// `facts` are those of the same machine: its file systems and GPUs. Takes `span`, and longer only for a driver that does not
// answer. Single figures that cannot be read are no error; see Usage::unknown. Errors: io (no /proc/stat at all).
[[nodiscard]] Result<model::Usage> take(const model::HostFacts& facts, const Options& options);

}  // namespace cloudos::usage
