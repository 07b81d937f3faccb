#include <algorithm>
#include <format>
#include <nlohmann/json.hpp>

#include "core/base/text.hpp"
#include "installer/driver/driver.hpp"
#include "installer/driver/speech.hpp"

namespace cloudos::driver {

namespace {

// The agent that lies on the machine: the current one, or one that an interrupted run uploaded; "" when none does.
Result<std::string> find_agent(Machine& machine, const Setting& setting) {
  CLOUDOS_ASSIGN(const auto current, machine.run({"test", "-x", paths::agent}, {}, in(setting.timing.question)));
  if (current.ok()) return paths::agent;
  std::string listed;
  CLOUDOS_TRY(machine.run({"ls", "-1", paths::agents}, {.out = into(listed)}, in(setting.timing.question)));
  for (const auto& name : split(trim(listed), '\n'))
    if (!name.empty() && name != "current" && !name.ends_with(".part")) return std::format("{}/{}/bin/cloudos-agent", paths::agents, name);
  return std::string{};
}

Status remove_folders(Machine& machine, const Setting& setting) {
  CLOUDOS_TRY(machine.must({"rm", "-rf", paths::agents}));
  return machine.run({"rmdir", paths::state}, {}, in(setting.timing.question)).transform([](const auto&) {});
}

Status undo(Machine& machine, Undone& undone, bool whole_cluster, const Setting& setting) {
  CLOUDOS_ASSIGN(machine.agent, find_agent(machine, setting));
  if (machine.agent.empty()) {
    undone.nothing_here = true;
    return remove_folders(machine, setting);
  }
  if (const auto facts = machine.ask({"facts"})) {
    if (const auto decoded = model::decode_facts(trim(*facts))) undone.node = decoded->kubernetes.node_name;
  }
  const auto take = [&](std::string_view line) -> Status {
    auto event = model::decode_event(line);
    if (!event) return {};
    event->machine = machine.id();
    if (event->kind == model::Event::Kind::finding) undone.residue.push_back(event->text);
    if (event->kind == model::Event::Kind::step_failed) undone.residue.push_back(event->failure.message);
    setting.emit(*event);
    return {};
  };
  Argv argv{machine.agent, "undo"};
  if (whole_cluster) argv += "--whole-cluster";
  std::string err;
  CLOUDOS_ASSIGN(const auto ended, machine.run(argv, {.out = by_line(take), .err = into(err)}, in(setting.timing.stage)));
  if (ended.ok()) return remove_folders(machine, setting);
  // The agent stays, so that the residue can be looked at and the command run again.
  if (undone.residue.empty())
    return fail(ErrorKind::failed, std::format("the agent could not take everything back: {}", sanitise(trim(err))));
  return {};
}

}  // namespace

std::vector<Undone> undo_all(Survey& survey, bool whole_cluster, const Setting& setting) {
  std::vector<Undone> out(survey.machines.size());
  std::vector<std::size_t> nodes, masters;
  for (std::size_t i = 0; i < out.size(); ++i) (survey.machines[i]->config().role == model::Role::master ? masters : nodes).push_back(i);
  const auto one = [&](std::size_t i) {
    out[i].machine = survey.machines[i]->id();
    if (setting.stop.stop_requested()) {
      out[i].error = Error{.kind = ErrorKind::cancelled, .message = "stopped by the operator before it began"};
      return;
    }
    if (auto status = undo(*survey.machines[i], out[i], whole_cluster, setting); !status) out[i].error = std::move(status).error();
  };
  side_by_side(nodes.size(), [&](std::size_t i) { one(nodes[i]); });
  if (whole_cluster) side_by_side(masters.size(), [&](std::size_t i) { one(masters[i]); });
  else std::ranges::for_each(masters, one);
  return out;
}

Status forget_nodes(const std::vector<std::string>& nodes, const model::ClusterConfig& remaining, const Setting& setting) {
  auto wanted = remaining;
  for (auto& machine : wanted.machines) machine.key.clear();
  const nlohmann::json patch{{"data", {{"config.json", model::encode_config(wanted)}}}};
  // Its cache of the API's kinds would else be left in the home folder of whoever asked.
  const Argv kubectl{std::format("{}/kubectl", paths::bin),
                     "--cache-dir",
                     std::format("{}/kubectl", paths::state),
                     "--kubeconfig",
                     paths::admin_conf,
                     "--request-timeout=20s"};
  Error last{.kind = ErrorKind::network, .message = "no master is left to tell"};
  for (const auto* master : remaining.masters()) {
    Machine machine(*master, setting);
    const auto tell = [&]() -> Status {
      if (!nodes.empty()) {
        auto remove = kubectl;
        for (const auto* word : {"delete", "node", "--ignore-not-found", "--wait=false"}) remove += word;
        for (const auto& node : nodes) remove += node;
        CLOUDOS_TRY(machine.must(remove));
      }
      auto change = kubectl;
      for (const auto* word : {"-n", "cloudos-system", "patch", "configmap", "cluster", "--type=merge", "-p"}) change += word;
      change += patch.dump();
      CLOUDOS_TRY(machine.must(change));
      return {};
    };
    auto told = tell();
    if (told) return {};
    last = std::move(told).error();
  }
  return fail(std::move(last).with("telling the remaining masters"));
}

}  // namespace cloudos::driver
