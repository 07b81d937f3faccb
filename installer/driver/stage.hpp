#pragma once

#include "installer/driver/driver.hpp"

namespace cloudos::driver {

// How one stage on one machine ended.
struct StageResult {
  bool ok = false;
  bool lost = false;                           // the connection went and did not come back in time
  model::Event failure;                        // a step_failed event; set unless ok
  std::map<std::string, std::string> outputs;  // of its steps
  std::uint64_t applied = 0, satisfied = 0;
};

// Sends the stage to the machine's agent and follows it to its end. The work goes on there when the connection is lost;
// it is taken up again from the last event that was seen. Every event is passed on, with machine and stage filled in.
[[nodiscard]] StageResult run_stage(Machine& machine, const model::Stage& stage, const std::map<std::string, std::string>& values,
                                    const std::map<std::string, Secret>& secrets, const Setting& setting);

}  // namespace cloudos::driver
