// Inside agent/join: the plan carried out on this machine, stage by stage, with agent/steps and its journal.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "agent/join/join.hpp"
#include "core/base/secret.hpp"
#include "core/model/plan.hpp"

namespace cloudos::joining {

struct Work {
  const model::Plan& plan;
  std::map<std::string, std::string> values;
  std::map<std::string, Secret> secrets;
  // Called before each stage: waits for what the stage needs.
  std::function<Status(const model::Stage&)> before;
  // What the cluster has refused meanwhile, "" as long as nothing: asked each second while kubeadm runs, which would itself wait for
  // minutes. May be empty.
  std::function<std::string()> refused;
  std::stop_token stop;
};
// Errors: refused (what `refused` said), `before`'s, cancelled, failed (a step; its message is of one line).
[[nodiscard]] Status carry_out(const Work& work, steps::Environment& environment, const Voice& voice);

}  // namespace cloudos::joining
