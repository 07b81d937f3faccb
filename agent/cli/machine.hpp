// Inside agent/cli: this machine, as the steps work on it.
#pragma once

#include <memory>

#include "agent/steps/environment.hpp"

namespace cloudos::agent {

struct Machine {
  std::unique_ptr<steps::Services> services = steps::system_services();
  std::unique_ptr<steps::Commands> commands = steps::system_commands();
  steps::Environment environment{.root = "/", .services = *services, .commands = *commands};
};

}  // namespace cloudos::agent
