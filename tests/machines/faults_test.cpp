// What may happen while machines become a cluster: the installer is killed, a machine is not there or goes away, a disk is
// full. The same command again is always the answer.
#include <algorithm>
#include <array>
#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <csignal>
#include <format>
#include <set>

#include "core/base/text.hpp"
#include "tests/machines/machines.hpp"
#include "tests/machines/snapshot.hpp"

using namespace cloudos;
using namespace cloudos::machines;

namespace {

std::string tail(const Ran& ran) { return ran.out.substr(ran.out.size() > 4000 ? ran.out.size() - 4000 : 0) + ran.err; }

// The last line of an install with --json.
Json result_of(const Ran& ran) {
  const auto all = lines(ran.out);
  INFO(tail(ran));
  REQUIRE_FALSE(all.empty());
  REQUIRE(all.back().contains("result"));
  return all.back().at("result");
}

// Steps that a machine's journal shows more than once. A join token belongs to one run: the next offers its own.
std::vector<std::string> done_twice(const Sandbox& sandbox, const Machine& machine) {
  std::map<std::string, int> times;
  std::vector<std::string> out;
  for (const auto& record : lines(sandbox.sh(machine, "cat /var/lib/cloudos/journal.jsonl"))) {
    const auto step = record.at("step").get<std::string>();
    if (step.starts_with("offer-join") || step.starts_with("withdraw-join")) continue;
    const auto state = record.at("state").get<std::string>();
    if (++times[step + " " + state] == 2) out.push_back(std::format("{}: {} {}", machine.name, step, state));
  }
  return out;
}

// Where in a run the installer is killed: at its n-th new step; 0: while it sends.
constexpr auto moments = std::to_array<int>({7, 1, 5, 1, 2, 0, 20, 3, 1, 4});

struct Killer {
  int moment;
  int steps = 0;
  std::string at = {};  // what was under way

  void operator()(const Json& event, pid_t installer) {
    const auto kind = event.value("event", "");
    if (kind == "step-started") ++steps;
    const bool now = moment == 0 ? kind == "progress" : kind == "step-started" && steps == moment;
    if (!now || !at.empty()) return;
    at = event.value("stage", "") + " " + event.value("step", "sending");
    ::kill(installer, SIGKILL);
  }
};

}  // namespace

TEST_CASE("an installer that is killed is run again and goes on, and nothing is done twice", "[faults][kill]") {
  const Sandbox sandbox("t-kill", 1, 1);
  const auto& master = sandbox.named("master-1");
  const auto install = sandbox.install_command(sandbox.addresses("master"), sandbox.addresses("node"));
  const auto check_journals = [&] {
    for (const auto& machine : sandbox.machines()) CHECK(done_twice(sandbox, machine) == std::vector<std::string>{});
  };
  std::vector<std::string> killed;
  Ran ran;
  for (int runs = 0; killed.size() < moments.size() && runs < 40; ++runs) {
    Killer killer{.moment = moments.at(killed.size())};
    ran = watched(install, std::ref(killer));
    INFO(tail(ran) << "killed so far at: " << join(killed, ", "));
    if (!killer.at.empty()) {
      REQUIRE(ran.code == 128 + SIGKILL);
      killed.push_back(killer.at);
      continue;
    }
    // It went through before that moment came: once more from raw machines.
    REQUIRE(ran.code == 0);
    check_journals();
    std::vector<std::string> reset = {"reset", "--yes", "--masters", sandbox.addresses("master")};
    std::ranges::copy(sandbox.access(), std::back_inserter(reset));
    REQUIRE(machines::cloudos(reset).code == 0);
  }
  INFO("killed at: " << join(killed, ", "));
  CHECK(killed.size() == moments.size());
  std::set<std::string> phases;
  for (const auto& at : killed) phases.insert(at.substr(0, at.find('@')));
  CHECK(phases.size() >= 4);  // all over the run, not in one corner

  ran = machines::cloudos(install);
  INFO(tail(ran));
  REQUIRE(ran.code == 0);
  check_journals();
  CHECK(all_ready(sandbox, master, 2));
}

namespace {

// The cases share the machines and run in the order they stand in.
struct Faulty {
  Sandbox sandbox{"t-faults", 1, 2, {"--shell", "zsh"}};

  [[nodiscard]] std::vector<std::string> command() const {
    return sandbox.install_command(sandbox.addresses("master"), sandbox.addresses("node"));
  }
  [[nodiscard]] const Machine& master() const { return sandbox.named("master-1"); }
  [[nodiscard]] const Machine& victim() const { return sandbox.named("node-2"); }
};

std::optional<Faulty>& kept() {
  static std::optional<Faulty> shared;
  return shared;
}
Faulty& faulty() {
  if (!kept()) kept().emplace();
  return *kept();
}

}  // namespace

TEST_CASE("a full disk on one machine is told before any machine is changed, with the mount point and what is missing",
          "[faults][partition]") {
  auto& f = faulty();
  for (const auto& machine : f.sandbox.machines()) carry_firewall(f.sandbox, machine, false);
  f.sandbox.sh(f.victim(), "fallocate -l $(( $(df --output=avail -B1 /var/lib | tail -n 1) - 300000000 )) /var/filler");
  std::map<std::string, Snapshot> before;
  for (const auto& machine : f.sandbox.machines()) before[machine.name] = take_snapshot(f.sandbox, machine);

  const auto refused = machines::cloudos(f.command());
  INFO(tail(refused));
  CHECK(refused.code == 3);
  const auto findings = lines(refused.out);
  const auto full = std::ranges::find_if(findings, [](const Json& line) { return line.dump().contains("disk-full"); });
  REQUIRE(full != findings.end());
  CHECK(full->dump().contains(f.victim().address));
  CHECK(full->dump().contains("/ has 2"));  // some 286 MiB, less what the file system keeps
  CHECK(full->dump().contains("iB are missing"));
  for (const auto& machine : f.sandbox.machines()) {
    INFO(machine.name);
    CHECK(differences(before[machine.name], take_snapshot(f.sandbox, machine)) == std::vector<std::string>{});
  }
  f.sandbox.sh(f.victim(), "rm /var/filler");
}

TEST_CASE("a machine that cannot be reached is named and left out, the others become a cluster", "[faults][partition]") {
  auto& f = faulty();
  f.sandbox.fault("partition", f.victim());
  const auto ran = machines::cloudos(f.command());
  INFO(tail(ran));
  CHECK(ran.code == 1);
  CHECK(result_of(ran).at("unreachable") == Json::array({f.victim().address}));
  CHECK(result_of(ran).at("failed") == Json::array());
  CHECK(all_ready(f.sandbox, f.master(), 2));
  f.sandbox.fault("heal", f.victim());
}

TEST_CASE("a machine that goes away in the middle is named, the others finish, and the same command takes it up", "[faults][partition]") {
  auto& f = faulty();
  f.sandbox.grow(1, 3);
  const auto began = std::chrono::steady_clock::now();
  bool cut = false;
  const auto ran = watched(f.command(), [&](const Json& event, pid_t) {
    if (cut || event.value("event", "") != "step-started" || event.value("stage", "") != "images@" + f.victim().address) return;
    cut = true;
    f.sandbox.fault("partition", f.victim());
  });
  const auto took = std::chrono::steady_clock::now() - began;
  INFO(tail(ran));
  REQUIRE(cut);
  CHECK(ran.code == 1);
  CHECK(took < std::chrono::minutes(4));
  for (const auto& failure : result_of(ran).at("failed")) CHECK(failure.get<std::string>().contains(f.victim().address));
  CHECK(result_of(ran).at("failed").size() == 1);
  CHECK(all_ready(f.sandbox, f.master(), 3));

  f.sandbox.fault("heal", f.victim());
  const auto again = machines::cloudos(f.command());
  INFO(tail(again));
  CHECK(again.code == 0);
  CHECK(all_ready(f.sandbox, f.master(), 4));
  // On the master the wanted state changed with the list.
  for (const auto& machine : f.sandbox.of("node")) CHECK(done_twice(f.sandbox, machine) == std::vector<std::string>{});
  kept().reset();
}
