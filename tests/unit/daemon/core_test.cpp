// What the network half writes to the API, over simulated hours.
#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <memory>
#include <random>

#include "api.hpp"

using namespace cloudos;
using namespace cloudos::tests;
using namespace std::chrono_literals;
using daemon::Core;

namespace {

halves::Report report_with(std::map<std::string, std::string> labels) {
  halves::Report out;
  out.labels = std::move(labels);
  out.epoch = "e1";
  return out;
}

health::Condition condition(bool status, std::string message = "it hangs") {
  return {.type = "ContainerRuntimeHung",
          .status = status,
          .reason = status ? "DoesNotAnswer" : "Fine",
          .message = std::move(message),
          .since_ms = 1'000'000};
}

void add_event(halves::Report& report, std::uint64_t sequence, std::string message, std::string pod = {}) {
  report.events.push_back(
      {.sequence = sequence, .event = {.reason = "OOMKilling", .message = std::move(message), .pod = std::move(pod), .at_ms = 1'000'000}});
}

struct World {
  Api api;
  Time now = Time{} + 1000h;
  std::unique_ptr<Core> core = fresh();
  std::vector<std::string> log;
  std::optional<halves::Delivered> delivered;
  int credential_asked = 0;

  static std::unique_ptr<Core> fresh() { return std::make_unique<Core>(Core::Options{.node = "n1", .seed = 7}); }

  void step(const Request& request) {
    core->reply(request, api.answer(request), now);
    for (auto& line : core->take_log()) log.push_back(std::move(line));
    if (auto upto = core->take_delivered()) delivered = std::move(upto);
    if (core->take_wants_credential()) ++credential_asked;
  }
  // Does all that is to be done until then.
  void run(std::chrono::steady_clock::duration span) {
    const auto end = now + span;
    for (;;) {
      const auto next = core->next(now);
      if (next.request) {
        step(*next.request);
        continue;
      }
      if (next.until >= end) break;
      now = std::max(now, next.until);
    }
    now = end;
    if (auto upto = core->take_delivered()) delivered = std::move(upto);
  }
  // A report a minute, as the root half looks.
  void minutes(int count, const halves::Report& report) {
    for (int i = 0; i < count; ++i) {
      core->report(report);
      run(66s);
    }
  }
};

}  // namespace

TEST_CASE("what was found is on the node after one write, and then nothing is written while nothing changes") {
  World w;
  auto report = report_with({{"nvidia.com/gpu.count", "8"}});
  report.annotations["cloudos.io/store"] = "10.0.0.1:9634 sha256:00";
  report.conditions = {condition(false)};
  w.minutes(1, report);
  CHECK(w.api.labels().at("nvidia.com/gpu.count") == "8");
  CHECK(w.api.labels().at("kubernetes.io/hostname") == "n1");
  CHECK(w.api.annotation("cloudos.io/labels") == "nvidia.com/gpu.count");
  CHECK(w.api.annotation("cloudos.io/store") == "10.0.0.1:9634 sha256:00");
  CHECK(w.api.writes == 2);
  w.minutes(1000, report);
  CHECK(w.api.writes == 2);
}

TEST_CASE("a label goes when its thing was gone for three looks, never when it could not be looked at") {
  World w;
  w.minutes(1, report_with({{"nvidia.com/gpu.count", "8"}, {"feature.node.kubernetes.io/x", "true"}}));
  auto blind = report_with({{"feature.node.kubernetes.io/x", "true"}});
  blind.unknown = {"nvidia.com/"};
  w.minutes(10, blind);
  CHECK(w.api.labels().contains("nvidia.com/gpu.count"));
  const auto without = report_with({{"feature.node.kubernetes.io/x", "true"}});
  w.minutes(2, without);
  CHECK(w.api.labels().contains("nvidia.com/gpu.count"));
  w.minutes(1, without);
  CHECK_FALSE(w.api.labels().contains("nvidia.com/gpu.count"));
  CHECK(w.api.annotation("cloudos.io/labels") == "feature.node.kubernetes.io/x");
}

TEST_CASE("one look that is reported many times counts once") {
  World w;
  w.minutes(1, report_with({{"nvidia.com/gpu.count", "8"}}));
  for (int i = 0; i < 50; ++i) {
    w.core->report(report_with({}));
    w.run(1s);
  }
  CHECK(w.api.labels().contains("nvidia.com/gpu.count"));
}

TEST_CASE("labels of others stay, and one of ours that somebody changed is put right") {
  World w;
  const auto report = report_with({{"nvidia.com/gpu.count", "8"}});
  w.minutes(1, report);
  (*w.api.node)["metadata"]["labels"]["nvidia.com/gpu.count"] = "2";
  (*w.api.node)["metadata"]["labels"]["team"] = "blue";
  w.minutes(40, report);
  CHECK(w.api.labels().at("nvidia.com/gpu.count") == "8");
  CHECK(w.api.labels().at("team") == "blue");
}

TEST_CASE("a condition is written when it turns, and keeps the time it turned at when only its words change or root begins anew") {
  World w;
  auto report = report_with({});
  report.conditions = {condition(true)};
  w.minutes(1, report);
  const auto first = w.api.condition("ContainerRuntimeHung").value();
  CHECK(first.at("status") == "True");
  CHECK(first.at("lastTransitionTime") == first.at("lastHeartbeatTime"));
  report.epoch = "e2";
  report.conditions.front().since_ms = 5'000'000;
  const auto writes = w.api.writes;
  w.minutes(2, report);
  CHECK(w.api.writes == writes);
  report.conditions.front().message = "it still hangs";
  w.minutes(1, report);
  CHECK(w.api.condition("ContainerRuntimeHung")->at("message") == "it still hangs");
  CHECK(w.api.condition("ContainerRuntimeHung")->at("lastTransitionTime") == first.at("lastTransitionTime"));
  report.conditions = {condition(false)};
  report.conditions.front().since_ms = 9'000'000;
  w.minutes(1, report);
  CHECK(w.api.condition("ContainerRuntimeHung")->at("status") == "False");
  CHECK(w.api.condition("ContainerRuntimeHung")->at("lastTransitionTime") == "1970-01-01T02:30:00Z");
}

TEST_CASE("an event is written once, about the pod where there is one, and the root half is told") {
  World w;
  auto report = report_with({});
  add_event(report, 1, "the kernel killed a process");
  add_event(report, 2, "the kernel killed a process of a pod", "prod/db-0");
  w.minutes(5, report);
  REQUIRE(w.api.events.size() == 2);
  for (const auto& [name, event] : w.api.events) {
    const bool pod = event.at("involvedObject").at("kind") == "Pod";
    CHECK(event.at("metadata").at("namespace") == (pod ? "prod" : "default"));
    CHECK(event.at("involvedObject").at("name") == (pod ? "db-0" : "n1"));
    CHECK(event.at("type") == "Warning");
    CHECK(event.at("lastTimestamp") == "1970-01-01T00:16:40Z");
  }
  REQUIRE(w.delivered);
  CHECK(w.delivered->epoch == "e1");
  CHECK(w.delivered->sequence == 2);
}

TEST_CASE("the same event again within an hour is not written, after an hour it is") {
  World w;
  std::uint64_t sequence = 0;
  const auto again = [&] {
    auto report = report_with({});
    add_event(report, ++sequence, "the same");
    w.core->report(report);
    w.run(5min);
  };
  for (int i = 0; i < 12; ++i) again();
  CHECK(w.api.events.size() == 1);
  again();
  CHECK(w.api.events.size() == 2);
  CHECK(w.delivered->sequence == sequence);
}

TEST_CASE("of a flood of events thirty a minute are written, the rest is one event with their number") {
  World w;
  auto report = report_with({});
  for (std::uint64_t i = 1; i <= 200; ++i) add_event(report, i, "process " + std::to_string(i));
  w.core->report(report);
  w.run(10min);
  CHECK(w.api.events_with("OOMKilling") == 30);
  CHECK(w.api.events_with("EventsDropped") == 1);
  for (const auto& [name, event] : w.api.events)
    if (event.at("reason") == "EventsDropped") CHECK(event.at("message").get<std::string>().starts_with("170 events"));
  CHECK(w.delivered->sequence == 200);
}

TEST_CASE("an API that is away for an hour is asked ever less often, few lines are logged, and then all is caught up") {
  World w;
  auto report = report_with({{"a.example/x", "1"}});
  w.minutes(1, report);
  w.api.away = true;
  const auto before = w.api.tries;
  std::uint64_t sequence = 0;
  for (int i = 0; i < 3600; ++i) {
    report.labels["a.example/x"] = std::to_string(i);
    report.events.clear();
    if (i % 60 == 0) add_event(report, ++sequence, "event " + std::to_string(i));
    w.core->report(report);
    w.run(1s);
  }
  CHECK(w.api.tries - before <= 30);
  CHECK(w.api.tries - before >= 12);
  CHECK(w.log.size() <= 3);
  CHECK(w.log.size() >= 1);
  w.api.away = false;
  w.run(6min);
  CHECK(w.api.labels().at("a.example/x") == "3599");
  CHECK(w.log.size() <= 4);
  CHECK(w.log.back().contains("well again"));
  CHECK(w.api.events_with("OOMKilling") == 30);
  CHECK(w.api.events_with("EventsDropped") == 1);
  CHECK(w.delivered->sequence == sequence);
}

TEST_CASE("a node that is not there yet is waited for, and a refused credential is asked for again") {
  World w;
  auto node = *w.api.node;
  w.api.node.reset();
  w.minutes(3, report_with({{"a.example/x", "1"}}));
  CHECK(w.log.size() == 1);
  CHECK(w.log.front().contains("no node n1"));
  w.api.node = node;
  w.run(5min);
  CHECK(w.api.labels().contains("a.example/x"));
  w.api.refuses = Reply::Outcome::auth;
  w.minutes(1, report_with({{"a.example/x", "2"}}));
  CHECK(w.credential_asked >= 1);
  w.api.refuses.reset();
  w.core->renewed();
  w.run(1s);
  CHECK(w.api.labels().at("a.example/x") == "2");
}

TEST_CASE("an event that the API does not want holds up nothing") {
  World w;
  w.minutes(1, report_with({}));
  auto report = report_with({});
  add_event(report, 1, "bad");
  w.core->report(report);
  for (auto next = w.core->next(w.now); next.request; next = w.core->next(w.now)) {
    w.api.refuses = next.request->kind == Request::Kind::event ? std::optional(Reply::Outcome::refused) : std::nullopt;
    w.step(*next.request);
  }
  w.api.refuses.reset();
  report = report_with({});
  add_event(report, 2, "good");
  w.minutes(1, report);
  CHECK(w.api.events.size() == 1);
  CHECK(w.delivered->sequence == 2);
}

TEST_CASE("an agent that is killed at any moment neither loses a label nor writes an event twice") {
  std::mt19937 dice(20261128);
  for (int game = 0; game < 200; ++game) {
    World w;
    std::uint64_t sequence = 0;
    halves::Report report = report_with({});
    std::map<std::string, std::string> truth;
    for (int move = 0; move < 40; ++move) {
      const auto name = "a.example/l" + std::to_string(dice() % 8);
      truth[name] = std::to_string(dice() % 3);
      report.labels = truth;
      if (dice() % 3 == 0) {
        ++sequence;
        add_event(report, sequence, "event " + std::to_string(sequence));
      }
      w.core->report(report);
      w.api.loses_answers = dice() % 4 == 0;
      for (auto steps = dice() % 5; steps > 0; --steps) {
        const auto next = w.core->next(w.now);
        if (next.request) w.step(*next.request);
        else w.now = std::min(next.until, w.now + 10s);
      }
      if (dice() % 3 == 0) w.core = World::fresh();  // killed, and another one begins
      w.now += 10s;
    }
    w.api.loses_answers = false;
    w.core->report(report);
    w.run(10min);
    for (const auto& [name, value] : truth) CHECK(w.api.labels().value(name, "") == value);
    CHECK(w.api.labels().size() == truth.size() + 1);
    std::map<std::string, int> times;
    for (const auto& [name, event] : w.api.events) ++times[event.at("message").get<std::string>()];
    for (const auto& [message, count] : times) CHECK(count == 1);
    // What is gone goes, whichever life of the agent put it there.
    w.minutes(4, report_with({}));
    CHECK(w.api.labels().size() == 1);
  }
}

TEST_CASE("a restarted root half is heard from its first event on") {
  World w;
  auto report = report_with({});
  for (std::uint64_t i = 1; i <= 5; ++i) add_event(report, i, "first life " + std::to_string(i));
  w.minutes(1, report);
  report.events.clear();
  report.epoch = "e2";
  add_event(report, 1, "second life");
  w.minutes(1, report);
  CHECK(w.api.events.size() == 6);
  CHECK(w.delivered->epoch == "e2");
  CHECK(w.delivered->sequence == 1);
}

TEST_CASE("pauses grow from a second to five minutes and are never the same for all") {
  CHECK(daemon::pause(1, 0) == 500ms);
  CHECK(daemon::pause(1, 1) == 1s);
  CHECK(daemon::pause(4, 1) == 8s);
  CHECK(daemon::pause(9, 1) == 256s);
  CHECK(daemon::pause(10, 1) == 300s);
  CHECK(daemon::pause(4'000'000, 0) == 150s);
  CHECK(daemon::pause(5, 0.25) == 10s);
}
