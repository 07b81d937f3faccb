#include "installer/driver/inquiry.hpp"

namespace cloudos::driver {

namespace {

bool is_away(const Error& error) { return error.kind == ErrorKind::network || error.kind == ErrorKind::timeout; }

Inquiry::Answers ask_one(Machine& machine, const Inquiry::Questions& questions) {
  Inquiry::Answers answers;
  // A machine that cannot be reached or refuses us refuses every question alike.
  const auto connected = machine.connect();
  for (const auto& words : questions) {
    if (!connected) answers.emplace_back(std::unexpected(connected.error()));
    else if (!answers.empty() && !answers.back() && is_away(answers.back().error()))
      answers.emplace_back(std::unexpected(answers.back().error()));
    else answers.push_back(machine.ask(words));
  }
  return answers;
}

}  // namespace

void Inquiry::know(const std::vector<model::MachineConfig>& machines) {
  for (const auto& machine : machines)
    if (machines_.try_emplace(machine.id, std::make_unique<Machine>(machine, *setting_)).second) known_.push_back(machine);
}

std::map<MachineId, Inquiry::Answers> Inquiry::ask(const std::map<MachineId, Questions>& questions) {
  struct Asked {
    const MachineId* id;
    Machine* machine;
    const Questions* questions;
    Answers answers;
  };
  std::vector<Asked> all;
  for (const auto& [id, words] : questions)
    if (const auto found = machines_.find(id); found != machines_.end()) all.push_back({&id, found->second.get(), &words, {}});
  side_by_side(all.size(), [&](std::size_t i) { all[i].answers = ask_one(*all[i].machine, *all[i].questions); });
  std::map<MachineId, Answers> out;
  for (auto& one : all) out.emplace(*one.id, std::move(one.answers));
  return out;
}

}  // namespace cloudos::driver
