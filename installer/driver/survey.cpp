#include <algorithm>
#include <chrono>
#include <format>
#include <mutex>
#include <set>

#include "core/base/text.hpp"
#include "installer/driver/agent_folder.hpp"
#include "installer/driver/driver.hpp"
#include "installer/driver/speech.hpp"

namespace cloudos::driver {

namespace {

using Wall = std::chrono::system_clock;

Milliseconds since_epoch(Wall::time_point at) { return std::chrono::duration_cast<Milliseconds>(at.time_since_epoch()); }

// No connection at all may be a matter of time; everything else is the operator's to put right first.
bool may_come_back(const Error& error) { return error.kind == ErrorKind::network || error.kind == ErrorKind::timeout; }

std::string_view code_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::trust: return "host-key";
    case ErrorKind::auth: return "login";
    default: return "agent";
  }
}

// What one machine's thread found out.
struct Found {
  std::unique_ptr<Machine> machine;
  std::optional<Error> error;
  plan::Seen seen;
  std::vector<model::Reach> reach;
  std::vector<MissingBlob> missing;
};

void settle(std::vector<Found>& found, Survey& survey, const Setting& setting) {
  for (auto& one : found) {
    const auto id = one.machine->id();
    if (!one.error) continue;
    setting.log->warning("{}: {}", id.value, one.error->text());
    if (may_come_back(*one.error) && !one.machine->uploaded) survey.unreachable.emplace(id, *one.error);
    else
      survey.findings.push_back({.severity = model::Finding::Severity::error,
                                 .code = std::string{code_of(one.error->kind)},
                                 .where = id.value,
                                 .message = Error{.message = one.error->message, .context = one.error->context}.text(),
                                 .remedy = one.error->hint});
  }
}

Result<plan::Seen> ask_facts(Machine& machine) {
  CLOUDOS_TRY(machine.connect());  // so that the round trip is that of the question alone
  const auto before = Wall::now();
  CLOUDOS_ASSIGN(const auto text, machine.ask({"facts"}));
  const auto after = Wall::now();
  CLOUDOS_ASSIGN(auto facts, model::decode_facts(trim(text)));
  const auto middle = before + (after - before) / 2;
  const Milliseconds offset = Milliseconds{facts.clock_ms} - since_epoch(middle);
  return plan::Seen{
      .facts = std::move(facts), .clock_offset = offset, .round_trip = std::chrono::duration_cast<Milliseconds>(after - before)};
}

// Work that an installer began there which was killed or cut off, or another operator's. It ends first: what a machine is
// while it changes is no ground for a plan.
Result<plan::Seen> at_rest(Machine& machine, plan::Seen seen, const Setting& setting) {
  std::set<std::string> ended;
  while (!seen.facts.running_apply.empty()) {
    const auto run = seen.facts.running_apply;
    // It has told its last event, and systemd does not know yet that it is gone.
    if (!ended.insert(run).second) seen.facts.running_apply.clear();
    else {
      setting.emit(
          {.kind = model::Event::Kind::note, .machine = machine.id(), .text = "an earlier run is still at work here; waiting for its end"});
      CLOUDOS_TRY(machine.run({machine.agent, "follow", "--run", run}, {}, in(setting.timing.stage)));
      CLOUDOS_ASSIGN(seen, ask_facts(machine));
    }
  }
  return seen;
}

// The agent of this bundle answers; it is uploaded first where it is not there, or does not run.
Result<plan::Seen> meet(Machine& machine, const AgentFile& agent, const images::Bundle& bundle, const Setting& setting) {
  machine.agent = agent.program();
  auto seen = ask_facts(machine);
  if (seen) return at_rest(machine, std::move(*seen), setting);
  if (seen.error().kind != ErrorKind::failed) return seen;
  setting.log->info("{}: no agent {} there yet ({})", machine.id().value, agent.name, seen.error().message);
  CLOUDOS_TRY(upload_agent(machine, agent, bundle, setting));
  CLOUDOS_ASSIGN(auto first, ask_facts(machine));
  return at_rest(machine, std::move(first), setting);
}

Status ask_reach(Found& found, const std::vector<const model::MachineConfig*>& others) {
  if (others.empty()) return {};
  CLOUDOS_ASSIGN(const auto text, found.machine->ask({"reach"}, encode_reach_request(found.machine->id(), others)));
  CLOUDOS_ASSIGN(found.reach, model::decode_reach(trim(text)));
  return {};
}

Status ask_missing(Found& found, const model::BundleIndex& index) {
  const auto wanted = encode_wanted(blobs_for(index, found.machine->config().role), index);
  CLOUDOS_ASSIGN(const auto text, found.machine->ask({"store", "missing"}, wanted));
  CLOUDOS_ASSIGN(found.missing, decode_missing(trim(text)));
  return {};
}

// The first master that is in a cluster; it knows of what else that cluster is made.
const Found* spokesman(const std::vector<Found>& found) {
  const auto at = std::ranges::find_if(found, [](const Found& one) {
    const auto& kubernetes = one.seen.facts.kubernetes;
    return !one.error && kubernetes.state == "joined" && kubernetes.role == "master" && kubernetes.api_healthy;
  });
  return at == found.end() ? nullptr : &*at;
}

void ask_wanted(Machine& machine, Survey& survey, const Setting& setting) {
  const auto text = machine.ask({"query", "wanted"});
  const auto wanted = text ? model::decode_config(trim(*text)) : Result<model::ClusterConfig>{std::unexpected(text.error())};
  if (wanted) survey.wanted = *wanted;
  else setting.log->warning("{}: cannot tell what the cluster is made of: {}", machine.id().value, wanted.error().message);
}

void note(const Setting& setting, std::string text) { setting.emit({.kind = model::Event::Kind::note, .text = std::move(text)}); }

std::vector<Found> start(const std::vector<model::MachineConfig>& machines, const Setting& setting) {
  std::vector<Found> found(machines.size());
  for (std::size_t i = 0; i < machines.size(); ++i) found[i].machine = std::make_unique<Machine>(machines[i], setting);
  return found;
}

void keep(std::vector<Found> found, Survey& survey) {
  for (auto& one : found) {
    const auto id = one.machine->id();
    // A machine that failed after its upload stays in the list, so that the upload can be taken back.
    if (one.error && !one.machine->uploaded) continue;
    if (!one.error) {
      survey.seen.emplace(id, std::move(one.seen));
      survey.missing.emplace(id, std::move(one.missing));
      std::ranges::move(one.reach, std::back_inserter(survey.reach));
    }
    survey.machines.push_back(std::move(one.machine));
  }
}

}  // namespace

std::vector<Digest> blobs_for(const model::BundleIndex& index, model::Role role) {
  std::vector<Digest> out;
  std::set<Digest> known;
  const auto add = [&](const Digest& digest) {
    if (!digest.empty() && known.insert(digest).second) out.push_back(digest);
  };
  for (const auto& component : index.components) {
    if (!component.enabled) continue;
    for (const auto& file : component.files)
      if (!file.path.starts_with("agent/")) add(file.digest);
    for (const auto& image : component.images) {
      if (image.phase == "control-plane" && role != model::Role::master) continue;
      add(image.digest);
      add(image.config);
      std::ranges::for_each(image.layers, add);
    }
  }
  return out;
}

Survey survey(const model::ClusterConfig& config, const images::Bundle& bundle, const Setting& setting) {
  Survey survey;
  const auto agent = agent_of(bundle.index());
  if (!agent) {
    survey.findings.push_back(
        {.code = "bundle-agent", .where = bundle.file().string(), .message = agent.error().message, .remedy = agent.error().hint});
    return survey;
  }
  note(setting, std::format("connecting to machines: {}", config.machines.size()));
  auto found = start(config.machines, setting);
  const auto try_on = [](Found& one, auto&& work) {
    if (one.error) return;
    if (auto status = work(); !status) one.error = std::move(status).error();
  };
  side_by_side(found.size(), [&](std::size_t i) {
    auto& one = found[i];
    try_on(one, [&]() -> Status {
      CLOUDOS_ASSIGN(one.seen, meet(*one.machine, *agent, bundle, setting));
      return {};
    });
  });
  // Machines are asked for each other only once it is known who is there at all.
  std::vector<const model::MachineConfig*> there;
  for (const auto& one : found)
    if (!one.error) there.push_back(&one.machine->config());
  const auto* speaks = spokesman(found);
  side_by_side(found.size(), [&](std::size_t i) {
    auto& one = found[i];
    std::vector<const model::MachineConfig*> others;
    std::ranges::copy_if(there, std::back_inserter(others), [&](const auto* other) { return other->id != one.machine->id(); });
    try_on(one, [&] { return ask_reach(one, others); });
    try_on(one, [&] { return ask_missing(one, bundle.index()); });
    if (&one == speaks && !one.error) ask_wanted(*one.machine, survey, setting);
  });
  settle(found, survey, setting);
  keep(std::move(found), survey);
  return survey;
}

Survey connect_all(const std::vector<model::MachineConfig>& machines, const Setting& setting) {
  Survey survey;
  auto found = start(machines, setting);
  side_by_side(found.size(), [&](std::size_t i) {
    if (auto status = found[i].machine->connect(); !status) found[i].error = std::move(status).error();
  });
  settle(found, survey, setting);
  keep(std::move(found), survey);
  return survey;
}

void remove_uploaded(Survey& survey, const Setting& setting) {
  side_by_side(survey.machines.size(), [&](std::size_t i) {
    auto& machine = *survey.machines[i];
    if (!machine.uploaded) return;
    const auto folder = machine.agent.substr(0, machine.agent.rfind("/bin/"));
    if (const auto removed = remove_agent(machine, folder); !removed)
      setting.log->warning("{}: {} stays there: {}", machine.id().value, folder, removed.error().text());
  });
}

}  // namespace cloudos::driver
