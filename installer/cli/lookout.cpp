#include "installer/cli/lookout.hpp"

#include <algorithm>
#include <format>
#include <iterator>
#include <set>

#include "core/base/text.hpp"

namespace cloudos::cli {

namespace {

// The last of a machine's answers.
Result<model::Usage> usage_in(const driver::Inquiry::Answers& answers) {
  if (answers.empty()) return fail(ErrorKind::failed, "it was not asked");
  CLOUDOS_ASSIGN(const auto text, answers.back());
  return model::decode_usage(trim(text));
}

constexpr auto unknown_machine = "this computer does not know its machine";

}  // namespace

Lookout::Lookout(model::ClusterConfig config, const driver::Setting& setting, double over)
    : config_(std::move(config)), inquiry_(setting), sample_{"sample", "--over", std::format("{}", over)} {
  inquiry_.know(config_.machines);
}

Result<Lookout::SeenPool> Lookout::pool() {
  auto said = ask(config_.machines, {"query", "pool"});
  CLOUDOS_ASSIGN(auto answer, first_answer(said));
  CLOUDOS_ASSIGN(auto pool, decode_pool(answer));
  std::map<MachineId, Result<model::Usage>> used;
  std::set<std::string> named;
  const auto take_in = [&](const Said& answers) {
    for (const auto& [id, texts] : answers)
      if (const auto usage = used.insert_or_assign(id, usage_in(texts)).first->second; usage) named.insert(usage->node);
  };
  take_in(said);
  std::vector<const PoolNode*> strangers;
  for (const auto& node : pool.list)
    if (!named.contains(node.name) && machine_of(node, config_.machines) == nullptr) strangers.push_back(&node);
  std::vector<model::MachineConfig> met;
  meet(strangers, met);
  if (!met.empty()) take_in(ask(met, {}));
  add_usage(pool, config_.machines, used);
  return SeenPool{.json = std::move(answer), .pool = std::move(pool)};
}

Result<Lookout::SeenNode> Lookout::node(const std::string& word) {
  std::map<MachineId, driver::Inquiry::Questions> questions;
  for (const auto& master : masters()) questions[master.id] = {{"query", "node", word}};
  CLOUDOS_ASSIGN(auto answer, first_answer(inquiry_.ask(questions)));
  CLOUDOS_ASSIGN(auto node, decode_node(answer, word));
  ask_machine(node);
  return SeenNode{.json = std::move(answer), .node = std::move(node)};
}

std::vector<model::MachineConfig> Lookout::masters() const {
  std::vector<model::MachineConfig> out;
  std::ranges::copy_if(config_.machines, std::back_inserter(out), [](const auto& machine) { return machine.role == model::Role::master; });
  return out;
}

// Every machine for its use; masters, before that, for `of_master` unless it is empty.
Lookout::Said Lookout::ask(const std::vector<model::MachineConfig>& machines, const std::vector<std::string>& of_master) {
  std::map<MachineId, driver::Inquiry::Questions> questions;
  for (const auto& machine : machines) {
    auto& words = questions[machine.id];
    if (machine.role == model::Role::master && !of_master.empty()) words.push_back(of_master);
    words.push_back(sample_);
  }
  return inquiry_.ask(questions);
}

// The masters' first answers, in the config's order.
Result<std::string> Lookout::first_answer(const Said& said) const {
  Error failed{.kind = ErrorKind::network,
               .message = "no master answers",
               .context = {},
               .hint = "is the cluster installed, and is one of its masters up?"};
  for (const auto& master : masters()) {
    const auto found = said.find(master.id);
    if (found == said.end() || found->second.empty()) continue;
    const auto& answer = found->second.front();
    if (answer) return *answer;
    const auto& error = answer.error();
    failed.message += std::format("\n  {}: {}", master.id.value, error.message);
    if (error.kind == ErrorKind::network || error.kind == ErrorKind::timeout) continue;
    failed.kind = error.kind;
    if (!error.hint.empty()) failed.hint = error.hint;
  }
  return fail(std::move(failed));
}

// Finds the machines of nodes that the config does not name: where the cluster's own config has them, else at the node's
// address.
void Lookout::meet(const std::vector<const PoolNode*>& strangers, std::vector<model::MachineConfig>& met) {
  if (strangers.empty()) return;
  const auto known = wanted();
  const auto all = masters();
  for (const auto* node : strangers) {
    const auto* machine = machine_of(*node, known);
    if (machine == nullptr && node->address.empty()) continue;
    auto one = machine != nullptr
                   ? *machine
                   : model::MachineConfig{.id = {node->address}, .host = node->address, .hostname = node->name, .address = node->address};
    // How the operator reaches the masters now comes before how another computer reached this machine once.
    if (!all.empty() && !all.front().user.empty()) one.user = all.front().user;
    if (!all.empty() && !all.front().key.empty()) one.key = all.front().key;
    met.push_back(std::move(one));
  }
  inquiry_.know(met);
  config_.machines.insert(config_.machines.end(), met.begin(), met.end());
}

std::vector<model::MachineConfig> Lookout::wanted() {
  std::map<MachineId, driver::Inquiry::Questions> questions;
  for (const auto& master : masters()) questions[master.id] = {{"query", "wanted"}};
  const auto answer = first_answer(inquiry_.ask(questions));
  if (!answer) return {};
  auto config = model::decode_config(trim(*answer));
  return config ? std::move(config->machines) : std::vector<model::MachineConfig>{};
}

void Lookout::ask_machine(Node& node) {
  node.line.no_usage = node.no_facts = unknown_machine;
  std::vector<model::MachineConfig> met;
  if (machine_of(node.line, config_.machines) == nullptr) meet({&node.line}, met);
  const auto* machine = machine_of(node.line, config_.machines);
  if (machine == nullptr) return;
  const auto said = inquiry_.ask({{machine->id, {{"facts", "--measure-sync", paths::state}, sample_}}});
  const auto& answers = said.at(machine->id);
  auto facts =
      answers.front() ? model::decode_facts(trim(*answers.front())) : Result<model::HostFacts>(std::unexpected(answers.front().error()));
  node.no_facts = facts ? "" : facts.error().message;
  if (facts) node.facts = std::move(*facts);
  auto usage = usage_in(answers);
  node.line.no_usage = usage ? "" : usage.error().message;
  if (usage) node.line.usage = std::move(*usage);
}

}  // namespace cloudos::cli
