#include "agent/cli/cli.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "agent/cli/answer.hpp"
#include "agent/cli/certificates.hpp"
#include "agent/cli/devices.hpp"
#include "agent/cli/join.hpp"
#include "agent/cli/machine.hpp"
#include "agent/cli/metrics.hpp"
#include "agent/cli/sample.hpp"
#include "agent/cli/settings.hpp"
#include "agent/cli/token.hpp"
#include "agent/facts/facts.hpp"
#include "agent/gpu_facts/gpu_facts.hpp"
#include "agent/labels/labels.hpp"
#include "agent/steps/runs.hpp"
#include "agent/steps/steps.hpp"
#include "agent/store/store.hpp"
#include "core/os/file/file.hpp"
#include "core/os/process/process.hpp"

namespace cloudos::agent {
namespace {

constexpr std::size_t input_limit = 64U << 20;
constexpr int unknown_run = 4;

Status write_out(std::span<const std::byte> bytes) { return os::write_all(STDOUT_FILENO, bytes); }
Status write_line(std::string line) {
  line += '\n';
  return write_out(std::as_bytes(std::span(line)));
}

Result<std::string> all_of_stdin() {
  const auto in = store::source_of(STDIN_FILENO);
  std::string text;
  std::vector<std::byte> buffer(64U << 10);
  for (;;) {
    CLOUDOS_ASSIGN(const auto got, in(buffer));
    if (got == 0) return text;
    text.append(reinterpret_cast<const char*>(buffer.data()), got);
    if (text.size() > input_limit) return fail(ErrorKind::input, "standard input is longer than 64 MiB");
  }
}

// With what NVIDIA's library says, unless somebody else's machine is looked at: its library is not here.
Result<model::HostFacts> gather(const facts::Roots& roots, const std::string& nvml) {
  if (nvml.empty() && !roots.real()) return facts::gather(roots);
  gpu_facts::Asking library(nvml);
  facts::GpuProbe* const probes[] = {&library};
  return facts::gather(roots, probes);
}

Status facts(const facts::Roots& roots, const std::string& nvml, const std::vector<std::string>& sync_folders) {
  CLOUDOS_ASSIGN(auto facts, gather(roots, nvml));
  for (const auto& folder : sync_folders) { CLOUDOS_ASSIGN(facts.sync_latency[folder], facts::measure_sync(folder)); }
  return write_line(model::encode_facts(facts));
}

// "name=value" lines, or one line of JSON.
Status labels(const facts::Roots& roots, const std::string& nvml, const labels::Sharing& sharing, bool as_json) {
  CLOUDOS_ASSIGN(const auto facts, gather(roots, nvml));
  const auto found = labels::find(facts, sharing);
  if (as_json) return write_line(nlohmann::json{{"labels", found.labels}, {"unknown", found.unknown}}.dump());
  for (const auto& [name, value] : found.labels) CLOUDOS_TRY(write_line(name + "=" + value));
  return {};
}

Status reach() {
  CLOUDOS_ASSIGN(auto text, all_of_stdin());
  CLOUDOS_ASSIGN(auto request, facts::parse_reach_request(text));
  return write_line(model::encode_reach(facts::reach(request)));
}

Status store_missing() {
  CLOUDOS_ASSIGN(auto text, all_of_stdin());
  CLOUDOS_ASSIGN(auto blobs, store::decode_blobs(text));
  return write_line(store::encode_missing(store::Store(paths::store).missing(blobs)));
}

Status store_receive() {
  return store::Store(paths::store).receive(store::source_of(STDIN_FILENO), [](const Digest& digest) {
    return write_line(nlohmann::json{{"stored", digest.hex()}}.dump());
  });
}

// The exit of a run that was followed to its end.
int ended(const Result<bool>& well) {
  if (!well) return tell(well.error());
  return *well ? 0 : 1;
}

Result<bool> apply_here(const model::ApplyRequest& request) {
  Machine machine;
  CLOUDOS_ASSIGN(auto log, steps::EventLog::create(machine.environment, request.run));
  bool told = true;
  return steps::apply(request, machine.environment, [&](const model::Event& event) -> Status {
    CLOUDOS_TRY(log.append(event));
    // Whoever listens here may go away; the file is what counts.
    told = told && write_line(model::encode_event(event)).has_value();
    return {};
  });
}

Result<bool> apply(bool foreground) {
  os::forbid_core_dumps();
  CLOUDOS_ASSIGN(auto text, all_of_stdin());
  const Secret whole(std::move(text));
  CLOUDOS_ASSIGN(auto request, model::decode_request(whole.reveal()));
  if (foreground) return apply_here(request);
  Machine machine;
  auto started = steps::start_run(machine.environment, request.run, whole);
  // Asked a second time, over a new connection: the run that is at work is the one that was meant.
  if (!started && started.error().kind != ErrorKind::conflict) return fail(std::move(started).error());
  return steps::follow(machine.environment, request.run, 1, write_out);
}

int follow(const std::string& run, std::uint64_t from) {
  Machine machine;
  if (!steps::is_run_id(run) || !std::filesystem::exists(steps::events_path(machine.environment, {run}))) {
    static_cast<void>(tell(Error{.kind = ErrorKind::input, .message = "this machine knows no run " + run}));
    return unknown_run;
  }
  return ended(steps::follow(machine.environment, {run}, from, write_out));
}

int undo(bool whole_cluster) {
  Machine machine;
  return ended(steps::undo(machine.environment, {.whole_cluster = whole_cluster},
                           [](const model::Event& event) { return write_line(model::encode_event(event)); }));
}

Status query(const std::string& subject, const std::string& node) {
  Machine machine;
  if ((subject == "node") == node.empty())
    return fail(ErrorKind::usage, "`query node` is about one node, the others about none", "cloudos-agent query node NAME");
  CLOUDOS_ASSIGN(auto answer,
                 subject == "node" ? steps::query_node(node, machine.environment) : steps::query(subject, machine.environment));
  if (answer.ends_with('\n')) answer.pop_back();
  return write_line(std::move(answer));
}

void add_store(CLI::App& app, int& status) {
  auto* store = app.add_subcommand("store", "The blobs that are on this machine")->require_subcommand(1);
  store->add_subcommand("missing", "Which of the blobs on standard input are not here")->callback([&] { status = tell(store_missing()); });
  store->add_subcommand("receive", "Takes blobs in from standard input")->callback([&] { status = tell(store_receive()); });
}

struct Options {
  std::string root = "/", procfs = "/proc", sysfs = "/sys", devfs = "/dev", nvml, run, subject, node;
  std::vector<std::string> sync_folders;
  labels::Sharing sharing;
  bool foreground = false, whole_cluster = false, json = false;
  std::uint64_t from = 1;
};

void add_roots(CLI::App& command, Options& o) {
  command.add_option("--root", o.root, "Where /etc, /var and /run are");
  command.add_option("--procfs", o.procfs, "Where /proc is");
  command.add_option("--sysfs", o.sysfs, "Where /sys is");
  command.add_option("--devfs", o.devfs, "Where /dev is");
  command.add_option("--nvml", o.nvml, "NVIDIA's library, when it is not where drivers have it");
}

void add_facts(CLI::App& app, int& status, Options& o) {
  const auto roots = [&o] { return facts::Roots{.root = o.root, .procfs = o.procfs, .sysfs = o.sysfs, .devfs = o.devfs}; };
  auto* command = app.add_subcommand("facts", "What this machine is, as one line of JSON");
  add_roots(*command, o);
  command->add_option("--measure-sync", o.sync_folders, "Measure how long the disk below this folder takes to make a write durable");
  command->callback([&, roots] { status = tell(facts(roots(), o.nvml, o.sync_folders)); });
  auto* shown = app.add_subcommand("labels", "The labels that this machine's facts give its node");
  add_roots(*shown, o);
  shown->add_option("--mig-strategy", o.sharing.mig, "How GPUs that are cut up are offered: none, single or mixed")
      ->transform(CLI::CheckedTransformer(std::map<std::string, labels::MigStrategy>{
          {"none", labels::MigStrategy::none}, {"single", labels::MigStrategy::single}, {"mixed", labels::MigStrategy::mixed}}));
  shown->add_option("--replicas", o.sharing.replicas, "Time slices of each GPU")->check(CLI::Range(1, 1024));
  shown->add_flag("--json", o.json, "As one line of JSON, with what could not be looked at");
  shown->callback([&, roots] { status = tell(labels(roots(), o.nvml, o.sharing, o.json)); });
  app.add_subcommand("reach", "Whom on standard input this machine reaches")->callback([&] { status = tell(reach()); });
}

void add_work(CLI::App& app, int& status, Options& o) {
  auto* a = app.add_subcommand("apply", "Applies the steps on standard input, as a unit of its own, and follows it");
  a->add_flag("--foreground", o.foreground, "In this process");
  a->callback([&] { status = ended(apply(o.foreground)); });
  auto* f = app.add_subcommand("follow", "The events of a run, until it ends");
  f->add_option("--run", o.run, "Its id")->required();
  f->add_option("--from", o.from, "The first event's number")->check(CLI::PositiveNumber);
  f->callback([&] { status = follow(o.run, o.from); });
  auto* u = app.add_subcommand("undo", "Takes back what was done here and tells what is left");
  u->add_flag("--whole-cluster", o.whole_cluster, "All machines go: a master need not leave etcd first");
  u->callback([&] { status = undo(o.whole_cluster); });
  auto* q = app.add_subcommand("query", "What a master knows");
  q->add_option("subject", o.subject, "pool, nodes, node, wanted or kubeconfig")->required();
  q->add_option("name", o.node, "Of the node");
  q->callback([&] { status = tell(query(o.subject, o.node)); });
}

}  // namespace

int run(std::vector<std::string> arguments) {
  int status = 0;
  Options options;
  CLI::App app{"cloudos-agent: the hands and the senses of a node. The installer speaks to it.", "cloudos-agent"};
  app.require_subcommand(1);
  app.add_subcommand("version", "The version, as JSON")->callback([&] {
    status = tell(write_line(nlohmann::json{{"version", CLOUDOS_VERSION}}.dump()));
  });
  add_facts(app, status, options);
  add_sample(app, status);
  add_settings(app, status);
  add_certificates(app, status);
  add_metrics(app, status);
  add_store(app, status);
  add_work(app, status, options);
  add_devices(app, status);
  add_join(app, status);
  add_token(app, status);
  try {
    std::ranges::reverse(arguments);  // CLI11 takes them from the back
    app.parse(std::move(arguments));
  } catch (const CLI::ParseError& error) { return app.exit(error) == 0 ? 0 : 2; }
  return status;
}

}  // namespace cloudos::agent
