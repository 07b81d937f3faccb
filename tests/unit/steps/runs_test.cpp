#include "agent/steps/runs.hpp"

#include <catch2/catch_test_macros.hpp>
#include <thread>

#include "tests/unit/steps/fakes.hpp"

using namespace cloudos;
using namespace cloudos::test;
using Kind = model::Event::Kind;

TEST_CASE("a follower gets the events from where it left off, as they come, to the run's end") {
  Machine m;
  const RunId run{"00ff"};
  auto log = steps::EventLog::create(m.environment, run);
  REQUIRE(log);
  REQUIRE(log->append({.kind = Kind::run_started, .sequence = 1}));
  REQUIRE(log->append({.kind = Kind::note, .sequence = 2, .text = "seen before"}));
  std::jthread worker([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    static_cast<void>(log->append({.kind = Kind::note, .sequence = 3, .text = "new"}));
    static_cast<void>(log->append({.kind = Kind::run_done, .sequence = 4}));
  });
  std::string out;
  const auto well = steps::follow(m.environment, run, 3, into(out));
  REQUIRE(well);
  CHECK(*well);
  CHECK_FALSE(out.contains("seen before"));
  CHECK(out.contains("new"));
  CHECK(out.contains(std::string(model::name(Kind::run_done))));
}

TEST_CASE("a follower of a worker that was killed is told so at once, not left waiting") {
  Machine m;
  const RunId run{"00ff"};
  auto log = steps::EventLog::create(m.environment, run);
  REQUIRE(log);
  REQUIRE(log->append({.kind = Kind::run_started, .sequence = 1}));
  std::jthread killer([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    log = fail(ErrorKind::failed, "killed");  // closes the file, as the kernel does for a process that ends
  });
  const auto begun = std::chrono::steady_clock::now();
  std::string out;
  const auto ended = steps::follow(m.environment, run, 1, into(out));
  REQUIRE_FALSE(ended);
  CHECK(ended.error().message.contains("cut off"));
  CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(3));
}

TEST_CASE("a run id that would leave its folder is not one") {
  Machine m;
  for (const auto* id : {"", "../x", "a/b", "ABC", "0123 "}) {
    CHECK_FALSE(steps::is_run_id(id));
    CHECK_FALSE(steps::EventLog::create(m.environment, {id}));
    CHECK_FALSE(steps::follow(m.environment, {id}, 1, discard()));
  }
}

TEST_CASE("one run cannot be at work twice") {
  Machine m;
  auto first = steps::EventLog::create(m.environment, {"00ff"});
  REQUIRE(first);
  const auto second = steps::EventLog::create(m.environment, {"00ff"});
  REQUIRE_FALSE(second);
  CHECK(second.error().kind == ErrorKind::conflict);
}
