#include <algorithm>
#include <format>
#include <iostream>
#include <nlohmann/json.hpp>

#include "core/base/text.hpp"
#include "installer/cli/day2.hpp"

namespace cloudos::cli {

namespace {

using Json = nlohmann::json;
constexpr int exit_bad_input = 2;
constexpr int exit_refused = 3;

struct ResetOptions {
  DayTwoFlags flags;
  std::vector<std::string> only;
  bool dry_run = false;
};

// What the cluster itself says it is made of, where it can say so; else what this computer knows.
model::ClusterConfig members(const DayTwo& two) {
  auto known = two.loaded.config;
  const auto answer = driver::ask_masters(known, {"query", "wanted"}, two.setting);
  if (!answer) return known;
  auto wanted = model::decode_config(trim(answer->text));
  if (!wanted) return known;
  for (auto& machine : wanted->machines) {
    const auto same = std::ranges::find(known.machines, machine.id, &model::MachineConfig::id);
    const auto& like = same != known.machines.end() ? *same : known.machines.front();
    machine.key = like.key;
    if (machine.user.empty()) machine.user = like.user;
  }
  // A machine that the operator names and the cluster does not know may hold the remains of a broken run.
  for (const auto& machine : known.machines)
    if (std::ranges::find(wanted->machines, machine.id, &model::MachineConfig::id) == wanted->machines.end())
      wanted->machines.push_back(machine);
  return std::move(*wanted);
}

Result<std::vector<model::MachineConfig>> chosen(const model::ClusterConfig& config, const std::vector<std::string>& only) {
  if (only.empty()) return config.machines;
  std::vector<std::string_view> names;
  for (const auto& machine : config.machines) names.push_back(machine.id.value);
  std::vector<model::MachineConfig> out;
  for (const auto& list : only)
    for (const auto& name : split(list, ',')) {
      const auto at = std::ranges::find_if(config.machines, [&](const auto& machine) {
        return machine.id.value == name || machine.host == name || machine.hostname == name;
      });
      if (at == config.machines.end()) {
        const auto meant = nearest(name, names);
        return fail(ErrorKind::input, std::format("--nodes: {} is no machine of the cluster {}", name, config.name),
                    meant.empty() ? "`cloudos status` lists its machines" : std::format("did you mean {}?", meant));
      }
      out.push_back(*at);
    }
  return out;
}

bool agreed(const std::vector<model::MachineConfig>& machines, bool whole, Session& session) {
  if (session.context().assume_yes) return true;
  std::string question =
      whole ? "Take the whole cluster away? Its data is lost:" : "Take these machines out of the cluster and clean them:";
  for (const auto& machine : machines) question += " " + machine.id.value;
  return session.terminal().confirm(question + "?");
}

int conclude(const std::vector<driver::Undone>& undone, const driver::Survey& survey, const Context& context, const std::string& log) {
  bool ok = survey.unreachable.empty();
  auto list = Json::array();
  for (const auto& one : undone) {
    ok = ok && one.clean();
    list.push_back(
        {{"machine", one.machine.value}, {"clean", one.clean()}, {"residue", one.residue}, {"error", one.error ? one.error->message : ""}});
    if (context.json) continue;
    if (one.error) std::cerr << sanitise(std::format("{}: {}", one.machine.value, one.error->text())) << '\n';
    // What they are was told when it was found.
    if (!one.residue.empty()) std::cerr << std::format("{}: {} things are left behind, see above\n", one.machine.value, one.residue.size());
    if (one.clean() && !context.quiet)
      std::cout << std::format("{}: {}\n", one.machine.value, one.nothing_here ? "nothing of cloudos was here" : "clean");
  }
  auto away = Json::array();
  for (const auto& [machine, error] : survey.unreachable) {
    away.push_back(machine.value);
    if (!context.json) std::cerr << sanitise(std::format("{}: not reset: {}", machine.value, error.message)) << '\n';
  }
  if (context.json)
    std::cout << Json{{"result", {{"ok", ok}, {"machines", list}, {"unreachable", away}, {"log", log}}}}.dump() << std::endl;
  else if (!ok) std::cerr << "run the same command again once this is put right\nlog: " << log << '\n';
  return ok ? 0 : 1;
}

void settle(const std::vector<driver::Undone>& undone, const model::ClusterConfig& config, bool whole, DayTwo& two) {
  config::Loaded rest;
  rest.config = config;
  std::vector<std::string> names;
  for (const auto& one : undone) {
    if (one.error) continue;
    std::erase_if(rest.config.machines, [&](const auto& machine) { return machine.id == one.machine; });
    if (!one.node.empty()) names.push_back(one.node);
  }
  if (whole) {
    if (rest.config.machines.empty()) forget_cluster(config.name);
    return;
  }
  if (auto told = driver::forget_nodes(names, rest.config, two.setting); !told)
    two.setting.emit(
        {.kind = model::Event::Kind::finding, .text = std::format("the cluster still lists what was reset: {}", told.error().text())});
  if (auto saved = save_cluster(rest); !saved) two.session->log().warning("{}", saved.error().text());
}

Result<int> reset(const ResetOptions& options, const Context& context) {
  CLOUDOS_ASSIGN(auto begun, begin(options.flags, context, "reset"));
  if (!begun) return exit_bad_input;
  auto& session = *begun->session;
  const auto config = members(*begun);
  CLOUDOS_ASSIGN(const auto machines, chosen(config, options.only));
  const bool whole = machines.size() == config.machines.size();
  if (options.dry_run) {
    for (const auto& machine : machines) std::cout << std::format("{}: undo everything that cloudos did\n", machine.id.value);
    return 0;
  }
  if (!context.assume_yes && !Terminal::present())
    return fail(ErrorKind::usage, "reset takes machines apart and there is no terminal to ask on", "say --yes if that is meant");
  if (!agreed(machines, whole, session)) {
    std::cerr << "nothing was changed on any machine\n";
    return exit_refused;
  }
  auto survey = driver::connect_all(machines, begun->setting);
  if (show(survey.findings, context)) return exit_refused;
  std::vector<MachineId> shown;
  for (const auto& machine : machines) shown.push_back(machine.id);
  session.show_live(std::move(shown));
  const StopSignals signals(session.stop(), [&session] {
    session.rest();
    std::cerr << "\nstopped; run the same command again to take the rest back\nlog: " << session.log().path().string() << '\n';
    session.log().flush();
  });
  const auto undone = driver::undo_all(survey, whole, begun->setting);
  settle(undone, config, whole, *begun);
  session.rest();
  return conclude(undone, survey, context, session.log().path().string());
}

}  // namespace

void add_reset(CLI::App& app, Context& context) {
  auto options = std::make_shared<ResetOptions>();
  auto* command = app.add_subcommand("reset", "Takes everything back, and tells what is left");
  options->flags.add_to(*command);
  command->add_option("--nodes", options->only, "Only these machines; else the whole cluster");
  command->add_flag("--dry-run", options->dry_run, "Only tell which machines");
  command->footer(
      "Examples:\n"
      "  cloudos reset --nodes 10.0.0.5          one machine leaves the cluster\n"
      "  cloudos reset --yes                     the whole cluster goes, without a question\n"
      "Exit status 1: something is left on a machine (it is listed), or a machine could not be reached.");
  command->callback([options, &context] { context.work = [options, &context] { return reset(*options, context); }; });
}

}  // namespace cloudos::cli
