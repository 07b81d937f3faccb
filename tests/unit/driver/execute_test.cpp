#include "tests/unit/driver/fleet.hpp"

using namespace cloudos;
using driver::StageState;
using Kind = model::Event::Kind;
using test::Fleet;
using test::stage;

namespace {

driver::Outcome run(Fleet& fleet, const model::Plan& plan) {
  const auto setting = fleet.setting();
  auto found = driver::survey(fleet.config(), test::sample_bundle(), setting);
  return driver::execute(plan, found, test::sample_bundle(), setting);
}

StageState state_of(const driver::Outcome& outcome, const std::string& id) {
  return std::ranges::find(outcome.stages, StageId{id}, &driver::StageEnd::id)->state;
}

// A stage whose one step installs the sample's program.
model::Stage needs_program(const std::string& id, const std::string& machine) {
  auto made = stage(id, machine);
  const auto* file = test::sample_bundle().index().file("bin/program");
  made.steps = {
      {.id = {"file:program"},
       .what = "program",
       .why = "a test",
       .action = model::InstallFile{.path = "/p", .blob = file->digest, .stored = file->stored, .content = file->content_digest}}};
  return made;
}

}  // namespace

TEST_CASE("stages run in the order of their dependencies, across machines") {
  Fleet fleet({"a", "b"});
  std::mutex mutex;
  std::vector<std::string> order;
  for (const auto* id : {"a", "b"})
    fleet[id].on_apply = [&](test::FakeCall& call, const model::ApplyRequest& request) {
      const std::lock_guard lock(mutex);
      order.push_back(request.stage.value);
      return test::all_done(call, request);
    };
  const auto outcome = run(fleet, {.stages = {stage("init", "a"), stage("join", "b", {"init"}), stage("ready", "a", {"join"})}});
  CHECK(outcome.ok());
  CHECK(outcome.applied == 3);
  CHECK(order == std::vector<std::string>{"init", "join", "ready"});
}

TEST_CASE("a failed stage takes only those with it that need it, and says why") {
  Fleet fleet({"a", "b"});
  fleet["a"].on_apply = test::one_failed;
  const auto outcome =
      run(fleet, {.stages = {stage("x", "a"), stage("needs-x", "b", {"x"}), stage("later", "b", {"needs-x"}), stage("alone", "b")}});
  CHECK_FALSE(outcome.ok());
  CHECK(state_of(outcome, "x") == StageState::failed);
  CHECK(state_of(outcome, "needs-x") == StageState::skipped);
  CHECK(state_of(outcome, "later") == StageState::skipped);
  CHECK(state_of(outcome, "alone") == StageState::done);
  REQUIRE(outcome.failures.size() == 1);
  CHECK(outcome.failures[0].failure.command == "false");
  CHECK(outcome.failures[0].machine == MachineId{"a"});
}

TEST_CASE("outputs of a stage are values of the later ones") {
  Fleet fleet({"a", "b"});
  fleet["a"].on_apply = [](test::FakeCall& call, const model::ApplyRequest& request) {
    return test::all_done(call, request, {{"ca-spki", "sha256:abc"}});
  };
  CHECK(run(fleet, {.stages = {stage("init", "a"), stage("join", "b", {"init"})}}).ok());
  REQUIRE(fleet["b"].requests.size() == 1);
  CHECK(fleet["b"].requests[0].values.at("ca-spki") == "sha256:abc");
}

TEST_CASE("secrets go to machines on standard input only, the same to all of them") {
  Fleet fleet({"a", "b"});
  CHECK(run(fleet, {.stages = {stage("x", "a"), stage("y", "b")}, .secrets = {"certificate-key", "join-token"}}).ok());
  const auto& secrets = fleet["a"].requests.at(0).secrets;
  const std::string token{secrets.at("join-token").reveal()};
  CHECK(token.size() == 23);
  CHECK(token[6] == '.');
  CHECK(fleet["b"].requests.at(0).secrets.at("join-token").reveal() == token);
  CHECK_FALSE(fleet.all_commands().contains(token));
  for (const auto& event : fleet.events()) CHECK_FALSE(model::encode_event(event).contains(token));
}

TEST_CASE("a stage starts only when the machine has its blobs, which are sent once") {
  Fleet fleet({"a"});
  CHECK(run(fleet, {.stages = {needs_program("install", "a")}}).ok());
  auto& a = fleet["a"];
  CHECK(a.place_of("store receive") < a.place_of("apply"));
  CHECK(std::ranges::count_if(a.commands, [](const auto& command) { return command.contains("store receive"); }) == 1);
}

TEST_CASE("nothing is sent, and no second connection opened, when the machine has everything") {
  Fleet fleet({"a"});
  for (const auto& digest : driver::blobs_for(test::sample_bundle().index(), model::Role::node)) fleet["a"].stored.insert(digest);
  CHECK(run(fleet, {.stages = {needs_program("install", "a")}}).ok());
  CHECK_FALSE(fleet["a"].ran("store receive"));
  CHECK(fleet["a"].connections == 1);
}

TEST_CASE("a transfer that was cut asks how far it got and goes on from there") {
  Fleet fleet({"a"});
  auto& a = fleet["a"];
  a.on_receive = [&](test::FakeCall& call) -> Result<ssh::RemoteExit> {
    CLOUDOS_TRY(call.input());
    a.on_receive = nullptr;
    return test::cut();
  };
  CHECK(run(fleet, {.stages = {needs_program("install", "a")}}).ok());
  CHECK(std::ranges::count_if(a.commands, [](const auto& command) { return command.contains("store missing"); }) == 2);
}

TEST_CASE("a blob that arrived damaged is sent once more, and a second refusal is a failure that names the machine") {
  for (const int refusals : {1, 2}) {
    CAPTURE(refusals);
    Fleet fleet({"a"});
    auto& a = fleet["a"];
    int left = refusals;
    a.on_receive = [&](test::FakeCall& call) -> Result<ssh::RemoteExit> {
      CLOUDOS_TRY(call.input());
      if (--left == 0) a.on_receive = nullptr;
      CLOUDOS_TRY(call.complain("the digest does not hold"));
      return test::exited(1);
    };
    const auto outcome = run(fleet, {.stages = {needs_program("install", "a")}});
    CHECK(outcome.ok() == (refusals == 1));
    if (refusals == 2) {
      REQUIRE(outcome.failures.size() == 1);
      CHECK(outcome.failures[0].failure.message.contains("the digest does not hold, while sending the bundle to a"));
    }
  }
}

TEST_CASE("a connection that is lost during a stage is taken up again at the next event, and the stage is not repeated") {
  Fleet fleet({"a"});
  auto& a = fleet["a"];
  a.on_apply = [](test::FakeCall& call, const model::ApplyRequest&) -> Result<ssh::RemoteExit> {
    CLOUDOS_TRY(call.print(test::event_line({.kind = Kind::run_started, .sequence = 1})));
    CLOUDOS_TRY(call.print(test::event_line({.kind = Kind::step_started, .sequence = 2, .step = {"s"}})));
    return test::cut();
  };
  a.on_follow = [](test::FakeCall& call) -> Result<ssh::RemoteExit> {
    CLOUDOS_TRY(call.print(test::event_line({.kind = Kind::step_started, .sequence = 2, .step = {"s"}})));
    CLOUDOS_TRY(call.print(test::event_line({.kind = Kind::run_done, .sequence = 3, .outputs = {{"applied", "1"}}})));
    return test::exited(0);
  };
  const auto outcome = run(fleet, {.stages = {stage("x", "a")}});
  CHECK(outcome.ok());
  CHECK(outcome.applied == 1);
  CHECK(a.requests.size() == 1);
  CHECK(a.ran("--from 3"));
  const auto events = fleet.events();
  CHECK(std::ranges::count_if(events, [](const auto& event) { return event.kind == Kind::step_started; }) == 1);
}

TEST_CASE("a request that never arrived is sent again") {
  Fleet fleet({"a"});
  auto& a = fleet["a"];
  a.on_apply = [&](test::FakeCall&, const model::ApplyRequest&) -> Result<ssh::RemoteExit> {
    a.on_apply = nullptr;
    return test::cut();
  };
  CHECK(run(fleet, {.stages = {stage("x", "a")}}).ok());
  CHECK(a.requests.size() == 2);
}

TEST_CASE("a machine that goes away in the middle is named; the others finish") {
  Fleet fleet({"a", "b"});
  auto& a = fleet["a"];
  a.on_apply = [&](test::FakeCall&, const model::ApplyRequest&) -> Result<ssh::RemoteExit> {
    a.reachable = false;
    return test::cut();
  };
  const auto outcome = run(fleet, {.stages = {stage("x", "a"), stage("x2", "a"), stage("y", "b"), stage("z", "b", {"y"})}});
  CHECK(outcome.lost == std::set<MachineId>{{"a"}});
  CHECK(state_of(outcome, "x2") == StageState::skipped);
  CHECK(state_of(outcome, "z") == StageState::done);
  REQUIRE(outcome.failures.size() == 1);
  CHECK(outcome.failures[0].failure.hint.contains("run the same command again"));
}

TEST_CASE("an agent that dies without a result is a failure with its last words") {
  Fleet fleet({"a"});
  fleet["a"].on_apply = [](test::FakeCall& call, const model::ApplyRequest&) -> Result<ssh::RemoteExit> {
    CLOUDOS_TRY(call.complain("out of memory"));
    return test::exited(137);
  };
  const auto outcome = run(fleet, {.stages = {stage("x", "a")}});
  REQUIRE(outcome.failures.size() == 1);
  CHECK(outcome.failures[0].failure.message.contains("out of memory"));
}

TEST_CASE("after the operator's stop no new stage is started, and the outcome says that some are left") {
  Fleet fleet({"a"});
  fleet["a"].on_apply = [&](test::FakeCall& call, const model::ApplyRequest& request) {
    fleet.stop.request_stop();
    return test::all_done(call, request);
  };
  const auto outcome = run(fleet, {.stages = {stage("x", "a"), stage("y", "a")}});
  CHECK(outcome.stopped);
  CHECK(state_of(outcome, "x") == StageState::done);
  CHECK(state_of(outcome, "y") == StageState::waiting);
}

TEST_CASE("a secret that nobody knows how to make is an error that names it") {
  const auto made = driver::make_secrets({"moon-phase"});
  REQUIRE_FALSE(made);
  CHECK(made.error().message.contains("moon-phase"));
}
