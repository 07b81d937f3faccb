// Inside agent/usage: what GPUs are doing.
#pragma once

#include <memory>

#include "agent/usage/usage.hpp"

namespace cloudos::usage {

// NVIDIA's driver is asked from a thread of its own, because a call into a broken one may never return.
class GpuReadings {
 public:
  // Begins to ask, where there is anybody to ask.
  GpuReadings(const model::HostFacts& facts, const Options& options);
  ~GpuReadings();
  GpuReadings(const GpuReadings&) = delete;
  GpuReadings& operator=(const GpuReadings&) = delete;

  // Every GPU of the facts with what its driver says of it; waits for that until the options' patience is over.
  void tell(model::Usage& usage);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace cloudos::usage
