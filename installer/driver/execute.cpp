#include <algorithm>
#include <format>

#include "core/os/crypto/crypto.hpp"
#include "installer/driver/agent_folder.hpp"
#include "installer/driver/board.hpp"
#include "installer/driver/transfer.hpp"

namespace cloudos::driver {

namespace {

// What of the plan's blobs this machine lacks, each once, in the order of use.
std::vector<MissingBlob> to_send(const model::Plan& plan, const Machine& machine, const Survey& survey, const model::BundleIndex& index) {
  std::map<Digest, MissingBlob> lacking;
  if (const auto at = survey.missing.find(machine.id()); at != survey.missing.end())
    for (const auto& blob : at->second) lacking.emplace(blob.digest, blob);
  const auto asked = blobs_for(index, machine.config().role);
  std::vector<MissingBlob> out;
  std::set<Digest> known;
  for (const auto& stage : plan.stages) {
    if (stage.machine != machine.id()) continue;
    for (const auto& digest : model::blobs_of(stage)) {
      if (!known.insert(digest).second) continue;
      if (const auto at = lacking.find(digest); at != lacking.end()) {
        out.push_back(at->second);
      } else if (std::ranges::find(asked, digest) == asked.end()) {  // the survey did not ask about it
        const auto blob = index.blobs.find(digest.hex());
        out.push_back({.digest = digest, .size = blob == index.blobs.end() ? 0 : blob->second.size.count});
      }
    }
  }
  return out;
}

Status adopt(Machine& machine, const Survey& survey) {
  const auto seen = survey.seen.find(machine.id());
  const bool joined = seen != survey.seen.end() && seen->second.facts.kubernetes.state == "joined";
  if (joined && !machine.uploaded) return {};
  const auto folder = machine.agent.substr(0, machine.agent.rfind("/bin/"));
  return adopt_agent(machine, folder.substr(folder.rfind('/') + 1));
}

void work_on(Machine& machine, const model::Plan& plan, Board& board, const std::map<std::string, Secret>& secrets, const Survey& survey,
             const Setting& setting) {
  bool adopted = false;
  while (const auto stage = board.next(machine.id(), setting.stop)) {
    const auto& what = plan.stages[*stage];
    if (!std::exchange(adopted, true)) {
      if (auto status = adopt(machine, survey); !status) {
        StageResult failed{.lost = status.error().kind == ErrorKind::network};
        failed.failure = {.kind = model::Event::Kind::step_failed, .machine = machine.id(), .stage = what.id};
        failed.failure.failure = {.message = status.error().message, .hint = status.error().hint};
        setting.emit(failed.failure);
        board.finish(*stage, failed);
        continue;
      }
    }
    board.finish(*stage, run_stage(machine, what, board.values(), secrets, setting));
  }
}

void send_to(const Machine& machine, std::vector<MissingBlob> blobs, Board& board, const images::Bundle& bundle, const Setting& setting) {
  if (blobs.empty()) return;
  const auto status =
      transfer(machine, std::move(blobs), bundle, setting, [&](const Digest& digest) { board.blob_stored(machine.id(), digest); });
  if (status || status.error().kind == ErrorKind::cancelled) return;
  setting.emit(
      {.kind = model::Event::Kind::note, .machine = machine.id(), .text = std::format("transfer failed: {}", status.error().text())});
  board.transfer_failed(machine.id(), status.error());
}

}  // namespace

Result<std::map<std::string, Secret>> make_secrets(const std::vector<std::string>& names) {
  std::map<std::string, Secret> out;
  for (const auto& name : names) {
    if (name == "join-token") out.emplace(name, Secret{std::format("{}.{}", os::random_base36(6), os::random_base36(16))});
    else if (name == "certificate-key") out.emplace(name, Secret{os::random_hex(32)});
    else return fail(ErrorKind::failed, std::format("the plan needs a secret \"{}\" that nobody makes", name));
  }
  return out;
}

Outcome execute(const model::Plan& plan, Survey& survey, const images::Bundle& bundle, const Setting& setting) {
  const auto secrets = make_secrets(plan.secrets);
  if (!secrets) {
    Outcome outcome;
    outcome.failures.push_back({.kind = model::Event::Kind::step_failed, .failure = {.message = secrets.error().message}});
    return outcome;
  }
  std::vector<Machine*> machines;
  for (const auto& machine : survey.machines) machines.push_back(machine.get());
  std::vector<std::vector<MissingBlob>> blobs;
  std::map<MachineId, std::set<Digest>> absent;
  for (const auto* machine : machines) {
    blobs.push_back(to_send(plan, *machine, survey, bundle.index()));
    for (const auto& blob : blobs.back()) absent[machine->id()].insert(blob.digest);
  }
  Board board(plan, std::move(absent));
  // Two threads a machine, and a connection each: the stages, and the bytes that they wait for.
  side_by_side(machines.size() * 2, [&](std::size_t i) {
    auto& machine = *machines[i / 2];
    if (i % 2 == 0) work_on(machine, plan, board, *secrets, survey, setting);
    else send_to(machine, blobs[i / 2], board, bundle, setting);
  });
  return board.outcome();
}

}  // namespace cloudos::driver
