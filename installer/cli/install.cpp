#include <algorithm>
#include <format>
#include <iostream>
#include <nlohmann/json.hpp>

#include "core/base/text.hpp"
#include "core/os/crypto/crypto.hpp"
#include "installer/cli/bundle_choice.hpp"
#include "installer/cli/saved_cluster.hpp"
#include "installer/cli/session.hpp"

namespace cloudos::cli {

namespace {

struct InstallOptions {
  InventoryFlags inventory;
  ConnectionFlags connection;
  BundleFlags bundle;
  std::string log_file;
  bool dry_run = false, print_config = false;
  bool add = false;
};

constexpr int exit_refused = 3;
constexpr int exit_bad_input = 2;

using Json = nlohmann::json;

void print_record(const Json& record) { std::cout << record.dump(-1, ' ', false, Json::error_handler_t::replace) << std::endl; }

Result<std::string> manifest_text(const images::Bundle& bundle, const model::BundleFile& manifest) {
  CLOUDOS_ASSIGN(auto stored, bundle.read(manifest.digest));
  if (manifest.stored != "zstd") return stored;
  std::string plain;
  CLOUDOS_TRY(os::zstd_expand(bytes_of(std::move(stored)), into(plain), 64_MiB));
  return plain;
}

Result<plan::Input> input_of(const model::ClusterConfig& config, const driver::Survey& survey, const images::Bundle& bundle) {
  plan::Input input{.config = config,
                    .machines = survey.seen,
                    .unreachable = survey.unreachable,
                    .reach = survey.reach,
                    .bundle = bundle.index(),
                    .bundle_digest = bundle.digest()};
  if (const auto& signer = bundle.signer())
    input.vouched = {.json = bundle.json(), .minisig = bundle.minisig(), .keys = {{signer->id_hex(), os::format(*signer)}}};
  for (const auto& component : bundle.index().components)
    for (const auto& manifest : component.manifests) { CLOUDOS_ASSIGN(input.manifests[manifest.digest], manifest_text(bundle, manifest)); }
  for (const auto& [machine, blobs] : survey.missing)
    for (const auto& blob : blobs) input.missing[machine] += Bytes{blob.size - blob.offset};
  for (const auto& [machine, seen] : survey.seen)
    if (!seen.facts.kubernetes.cluster_id.empty()) input.cluster_id = seen.facts.kubernetes.cluster_id;
  if (input.cluster_id.empty()) input.cluster_id = os::random_hex(8);
  return input;
}

// Members of the cluster that the operator's list leaves out: the others would be set up as if they did not exist.
std::vector<model::Finding> forgotten(const model::ClusterConfig& config, const driver::Survey& survey) {
  std::vector<model::Finding> findings;
  if (!survey.wanted) return findings;
  for (const auto& machine : survey.wanted->machines) {
    if (std::ranges::find(config.machines, machine.id, &model::MachineConfig::id) != config.machines.end()) continue;
    findings.push_back({.code = "not-in-the-list",
                        .where = machine.id.value,
                        .message = "it belongs to this cluster and is not in the list",
                        .remedy = "name it too, use `cloudos add` for new machines, or take it out first with `cloudos reset --nodes`"});
  }
  return findings;
}

// What is left of a plan's outcome to be said: failures in full, what was skipped, the sum.
int conclude(const model::Plan& plan, const driver::Outcome& outcome, const driver::Survey& survey, Session& session) {
  session.rest();
  const auto& context = session.context();
  const bool ok = outcome.ok() && survey.unreachable.empty();
  if (context.json) {
    Json skipped = Json::array(), failed = Json::array(), away = Json::array();
    for (const auto& end : outcome.stages)
      if (end.state == driver::StageState::skipped) skipped.push_back(end.id.value);
    for (const auto& failure : outcome.failures) failed.push_back(failure.machine.value + " " + failure.stage.value);
    for (const auto& [machine, error] : survey.unreachable) away.push_back(machine.value);
    print_record({{"result",
                   {{"ok", ok},
                    {"machines", plan.machines.size()},
                    {"applied", outcome.applied},
                    {"satisfied", outcome.satisfied},
                    {"failed", failed},
                    {"skipped", skipped},
                    {"unreachable", away},
                    {"milliseconds", session.elapsed().count()},
                    {"log", session.log().path().string()}}}});
    return ok ? 0 : 1;
  }
  for (const auto& failure : outcome.failures) std::cerr << '\n' << report::failure_text(failure);
  for (const auto& end : outcome.stages)
    if (end.state == driver::StageState::skipped) std::cerr << sanitise(std::format("{}: not done: {}", end.id.value, end.reason)) << '\n';
  for (const auto& [machine, error] : survey.unreachable)
    std::cerr << sanitise(std::format("{}: left out: {}", machine.value, error.message)) << '\n';
  const auto took = human(session.elapsed());
  if (!ok) {
    std::cerr << std::format("\nnot everything is done ({} steps applied, {} were right already, {})\n", outcome.applied, outcome.satisfied,
                             took)
              << "run the same command again: it goes on from where it is\n"
              << "log: " << session.log().path().string() << '\n';
    return 1;
  }
  if (outcome.applied == 0)
    std::cout << std::format("nothing to do: {} steps checked on {} machines, {}\n", outcome.satisfied, plan.machines.size(), took);
  else if (!context.quiet)
    std::cout << std::format("done in {}: {} steps applied on {} machines, {} were right already\n", took, outcome.applied,
                             plan.machines.size(), outcome.satisfied)
              << "next: `cloudos status`, `cloudos kubeconfig -o FILE`\n";
  return 0;
}

Result<int> carry_out(const model::Plan& plan, driver::Survey& survey, const images::Bundle& bundle, const config::Loaded& loaded,
                      const driver::Setting& setting, Session& session) {
  std::vector<MachineId> shown;
  for (const auto& machine : plan.machines) shown.push_back(machine.id);
  report::StepNames steps;
  for (const auto& stage : plan.stages)
    for (const auto& step : stage.steps) steps.emplace(step.id, step.what);
  session.show_live(std::move(shown), std::move(steps));
  const StopSignals signals(session.stop(), [&session] {
    session.rest();
    std::cerr << "\nstopped. The machines finish the step that they are at; nothing is half done.\n"
              << "run the same command again: it goes on from where it is\n"
              << "log: " << session.log().path().string() << '\n';
    session.log().flush();
  });
  if (auto saved = save_cluster(loaded); !saved)
    session.log().warning("cannot save the cluster's name for later: {}", saved.error().text());
  const auto outcome = driver::execute(plan, survey, bundle, setting);
  return conclude(plan, outcome, survey, session);
}

Result<int> run_plan(const InstallOptions& options, const config::Loaded& loaded, const driver::Setting& setting, Session& session) {
  const auto& context = session.context();
  CLOUDOS_ASSIGN(const auto bundle, open_bundle(options.bundle));
  auto survey = driver::survey(loaded.config, bundle, setting);
  const auto back_out = [&] {
    driver::remove_uploaded(survey, setting);
    session.rest();
  };
  auto input = input_of(loaded.config, survey, bundle);
  if (!input) {
    back_out();
    return fail(std::move(input).error());
  }
  auto findings = loaded.warnings;
  std::ranges::copy(survey.findings, std::back_inserter(findings));
  std::ranges::move(forgotten(loaded.config, survey), std::back_inserter(findings));
  // What the plan would say about machines that never answered properly is only an echo of what is known already.
  if (survey.findings.empty()) std::ranges::move(plan::preflight(*input), std::back_inserter(findings));
  if (show(findings, context)) {
    back_out();
    if (!context.json) std::cerr << "nothing was changed on any machine\nlog: " << session.log().path().string() << '\n';
    return exit_refused;
  }
  const auto plan = plan::make_plan(*input);
  if (options.dry_run) {
    back_out();
    std::cout << (context.json ? model::encode_plan(plan) + '\n' : plan::print(plan));
    return 0;
  }
  const bool ask = !context.assume_yes && !context.json && Terminal::present();
  if (ask) {
    std::cout << plan::print(plan) << std::flush;
    if (!session.terminal().confirm(std::format("Go on with these {} machines?", plan.machines.size()))) {
      back_out();
      std::cerr << "nothing was changed on any machine\n";
      return exit_refused;
    }
  }
  return carry_out(plan, survey, bundle, loaded, setting, session);
}

// The config that the cluster itself holds. It names no keys: those are this computer's, and come from what is known here.
Result<model::ClusterConfig> wanted_state(const model::ClusterConfig& known, const driver::Setting& setting) {
  CLOUDOS_ASSIGN(const auto answer, driver::ask_masters(known, {"query", "wanted"}, setting));
  CLOUDOS_ASSIGN(auto wanted, model::decode_config(trim(answer.text)));
  for (auto& machine : wanted.machines) {
    const auto same = std::ranges::find(known.machines, machine.id, &model::MachineConfig::id);
    if (same == known.machines.end()) continue;
    machine.key = same->key;
    machine.user = same->user;
  }
  return wanted;
}

// `add` starts from the state that the cluster itself holds, and puts the new machines to it.
Result<config::Loaded> with_existing(const InstallOptions& options, config::Loaded existing, Session& session) {
  CLOUDOS_ASSIGN(auto connect, connector(options.connection, existing, session.terminal(), session.log()));
  const auto setting = session.setting(std::move(connect));
  CLOUDOS_ASSIGN(auto wanted, wanted_state(with_flags(existing.config, options.connection), setting));
  auto flags = merge(options.inventory, options.connection);
  for (const auto* master : wanted.masters()) flags.masters.insert(flags.masters.begin(), master->id.value);
  auto loaded = config::load(flags);
  if (!loaded) {
    show(loaded.error(), session.context());
    return fail(ErrorKind::input, "the new machines cannot be added as they were given");
  }
  for (const auto& machine : loaded->config.machines) {
    const auto known = std::ranges::find(wanted.machines, machine.id, &model::MachineConfig::id);
    if (known != wanted.machines.end()) continue;
    auto added = machine;
    // One login usually fits all: what is not said of a new machine is as with those that are known.
    if (added.user.empty()) added.user = existing.config.machines.front().user;
    if (added.key.empty()) added.key = existing.config.machines.front().key;
    wanted.machines.push_back(std::move(added));
  }
  std::ranges::stable_partition(wanted.machines, [](const auto& machine) { return machine.role == model::Role::master; });
  loaded->config = with_flags(std::move(wanted), options.connection);
  return std::move(*loaded);
}

Result<int> install(const InstallOptions& options, const Context& context) {
  CLOUDOS_ASSIGN(const auto session, Session::open(context, options.add ? "add" : "install", options.log_file));
  auto inventory = options.inventory;
  if (options.add) inventory.masters.clear(), inventory.nodes.clear();
  auto loaded = options.add ? load_cluster(inventory, options.connection) : config::load(merge(inventory, options.connection));
  if (!loaded) {
    show(loaded.error(), context);
    return exit_bad_input;
  }
  if (options.add) { CLOUDOS_ASSIGN(*loaded, with_existing(options, std::move(*loaded), *session)); }
  if (options.print_config) {
    std::cout << config::print(*loaded);
    return 0;
  }
  loaded->config = with_flags(std::move(loaded->config), options.connection);
  CLOUDOS_ASSIGN(auto connect, connector(options.connection, *loaded, session->terminal(), session->log()));
  return run_plan(options, *loaded, session->setting(std::move(connect)), *session);
}

void add_command(CLI::App& app, Context& context, bool add) {
  auto options = std::make_shared<InstallOptions>();
  options->add = add;
  auto* command = add ? app.add_subcommand("add", "Takes more machines into a cluster that runs")
                      : app.add_subcommand("install", "Turns machines into a cluster, or back into what was wanted");
  options->inventory.add_to(*command);
  options->connection.add_to(*command);
  options->bundle.add_to(*command);
  command->add_flag("--dry-run", options->dry_run, "Check everything, print the plan, change nothing");
  command->add_flag("--print-config", options->print_config, "Print the merged configuration and where each value came from");
  command->add_option("--log-file", options->log_file, "Where the full log goes; else ~/.local/state/cloudos/logs");
  command->footer(add ? "Examples:\n"
                        "  cloudos add --nodes 10.0.0.6                      to the cluster that this computer knows\n"
                        "  cloudos add --nodes 10.0.0.6 --name prod          to one of several\n"
                      : "Examples:\n"
                        "  cloudos install --masters 10.0.0.1-10.0.0.3 --nodes 10.0.0.4,10.0.0.5 --user ops --key ~/.ssh/id_ed25519\n"
                        "  cloudos install --config cluster.toml --dry-run\n"
                        "Run it again whenever something differs from what you want: it changes only that.");
  command->callback([options, &context] { context.work = [options, &context] { return install(*options, context); }; });
}

}  // namespace

void add_install(CLI::App& app, Context& context) {
  add_command(app, context, false);
  add_command(app, context, true);
}

}  // namespace cloudos::cli
