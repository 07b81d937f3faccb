#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <map>

#include <nlohmann/json.hpp>

#include "core/model/paths.hpp"
#include "sample.hpp"

using namespace cloudos;

namespace {

plan::Joiner joiner() {
  const auto in = sample::input(1, 0);
  plan::Joiner joiner{.config = in.config,
                      .cluster_id = sample::cluster_id,
                      .masters = {"10.0.0.1:6443", "10.0.0.2:6443"},
                      .address = "10.0.0.9",
                      .labels = {{"disk", "ssd"}, {"rack", "7"}},
                      .bundle = in.bundle,
                      .bundle_digest = in.bundle_digest,
                      .vouched = in.vouched,
                      .missing = 400_MiB};
  joiner.seen.facts = sample::server(9);
  return joiner;
}

// The steps of one machine by their ids.
std::map<std::string, model::Action> steps_of(const model::Plan& plan, const MachineId& machine) {
  std::map<std::string, model::Action> steps;
  for (const auto& stage : plan.stages)
    for (const auto& step : stage.steps)
      if (stage.machine == machine) steps.emplace(step.id.value, step.action);
  return steps;
}

template <class Action>
const Action* only(const model::Plan& plan) {
  const Action* found = nullptr;
  for (const auto& stage : plan.stages)
    for (const auto& step : stage.steps)
      if (const auto* action = std::get_if<Action>(&step.action)) found = action;
  return found;
}

std::vector<std::string> codes(const std::vector<model::Finding>& findings) {
  std::vector<std::string> out;
  for (const auto& finding : findings)
    if (finding.severity == model::Finding::Severity::error) out.push_back(finding.code);
  return out;
}

}  // namespace

TEST_CASE("a machine that joins by itself gets the very steps that the installer would give it") {
  auto in = sample::input(2, 0);
  in.config.machines.push_back(sample::machine(9, model::Role::node));
  in.config.machines.back().address = "10.0.0.9";
  const MachineId id{"10.0.0.9"};
  in.machines[id] = {.facts = sample::server(9)};
  auto installed = steps_of(plan::make_plan(in), id);
  auto by_itself = steps_of(plan::join_plan(joiner()), id);
  REQUIRE(by_itself.size() == installed.size());
  // But for the labels, which nobody else sets for it.
  auto& join = std::get<model::KubeadmJoin>(by_itself.at("kubeadm-join"));
  auto config = nlohmann::json::parse(join.config);
  auto& arguments = config.at("nodeRegistration").at("kubeletExtraArgs");
  CHECK(arguments.back() == nlohmann::json{{"name", "node-labels"}, {"value", "disk=ssd,rack=7"}});
  arguments.erase(arguments.size() - 1);
  join.config = config.dump() + "\n";
  for (const auto& [step, action] : by_itself) {
    INFO(step);
    REQUIRE(installed.contains(step));
    CHECK(installed.at(step) == action);
  }
}

TEST_CASE("nothing of the plan of a machine that joins by itself happens on a master") {
  const auto plan = plan::join_plan(joiner());
  for (const auto& stage : plan.stages) CHECK(stage.machine == MachineId{"10.0.0.9"});
  CHECK(only<model::OfferJoin>(plan) == nullptr);
  CHECK(only<model::ApplyManifest>(plan) == nullptr);
  CHECK(only<model::NodeSettings>(plan) == nullptr);
  CHECK(only<model::WorkloadsReady>(plan) == nullptr);
  CHECK(plan.secrets == std::vector<std::string>{"join-token"});
  REQUIRE(plan.machines.size() == 1);
  CHECK(plan.machines.front().role == model::Role::node);
}

TEST_CASE("its balancer knows the masters of the join file, and it joins through that balancer") {
  const auto steps = steps_of(plan::join_plan(joiner()), MachineId{"10.0.0.9"});
  const auto& file = std::get<model::WriteFile>(steps.at(std::string("file:") + paths::balancer_config));
  CHECK(nlohmann::json::parse(file.content).at("masters") == nlohmann::json{"10.0.0.1:6443", "10.0.0.2:6443"});
  CHECK(std::get<model::KubeadmJoin>(steps.at("kubeadm-join")).discovery.contains(paths::balancer_address));
}

TEST_CASE("a machine without labels to set registers without any") {
  auto bare = joiner();
  bare.labels.clear();
  CHECK_FALSE(only<model::KubeadmJoin>(plan::join_plan(bare))->config.contains("node-labels"));
}

TEST_CASE("a machine that is as it should be may join, and all that keeps another from it is told at once") {
  CHECK(codes(plan::join_preflight(joiner())).empty());
  auto bad = joiner();
  bad.labels = {{"node-role.kubernetes.io/worker", ""}, {"feature.node.kubernetes.io/x", "1"}};
  bad.seen.facts.hostname = "localhost";
  bad.seen.facts.listeners.push_back({"tcp", "0.0.0.0", 10250, "nc", ""});
  bad.seen.facts.kubernetes = {.state = "joined", .cluster_id = "fedcba9876543210"};
  CHECK(codes(plan::join_preflight(bad)) == std::vector<std::string>{"other-cluster", "label-refused", "bad-hostname", "port-in-use"});
}
