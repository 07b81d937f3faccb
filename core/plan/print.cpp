#include <format>

#include "core/plan/plan.hpp"

namespace cloudos::plan {
namespace {

std::string header(const model::PlanMachine& machine) {
  return std::format("{}: {} {} at {}{}\n", machine.id.value, machine.role == model::Role::master ? "master" : "node", machine.node,
                     machine.address, machine.joined ? ", joined" : "");
}

std::string print_stage(const model::Stage& stage) {
  std::string after;
  for (const auto& id : stage.after) after += (after.empty() ? ", after " : ", ") + id.value;
  std::string out = std::format("  {} ({}{})\n", stage.title, stage.id.value, after);
  for (const auto& step : stage.steps) out += std::format("    {:<70} {}\n", step.what, step.why);
  return out;
}

}  // namespace

std::string print(const model::Plan& plan) {
  std::string out;
  for (const auto& machine : plan.machines) {
    out += (out.empty() ? "" : "\n") + header(machine);
    for (const auto& stage : plan.stages)
      if (stage.machine == machine.id) out += print_stage(stage);
  }
  return out;
}

}  // namespace cloudos::plan
