// A thousand agents against one real API server: the network half's own decisions (agent/daemon, Core) and its own client
// (agent/kube), each agent with the credential of its node and a connection of its own; only the machines are made up.
// Each phase begins when a line comes on standard input, and ends with a line of JSON on standard output.
//
//   bench_agents URL FOLDER COUNT SECONDS CHANGES
//
// FOLDER holds ca.pem, key.pem and sim-N.pem for each of COUNT nodes, which are there. Phases: "start", all agents begin at once;
// "change", for SECONDS, in which each has CHANGES conditions that turn in ten minutes; "idle", for SECONDS.
#include <atomic>
#include <cstdio>
#include <format>
#include <iostream>
#include <random>
#include <thread>

#include <nlohmann/json.hpp>

#include "agent/daemon/network/calls.hpp"
#include "core/base/text.hpp"
#include "core/os/file/file.hpp"

using namespace cloudos;
using namespace std::chrono_literals;

namespace {

using Clock = std::chrono::steady_clock;

// About what a real node's report holds.
halves::Report first_report(int number) {
  halves::Report report{.agent_version = CLOUDOS_VERSION, .epoch = std::format("epoch-{}", number)};
  for (int i = 0; i < 60; ++i) report.labels[std::format("feature.node.kubernetes.io/cpu-cpuid.FLAG{}", i)] = "true";
  report.annotations["cloudos.io/store"] = std::format("10.1.{}.{}:9634 sha256:{:064x}", number / 250, number % 250 + 1, number);
  for (int i = 0; i < 15; ++i)
    report.conditions.push_back({.type = std::format("Simulated{}", i),
                                 .status = false,
                                 .reason = "NothingSeen",
                                 .message = "nothing of the kind was seen",
                                 .since_ms = 1'790'000'000'000});
  return report;
}

struct Agent {
  daemon::Core core;
  kube::Api api;
  halves::Report report;
};

Result<std::vector<std::unique_ptr<Agent>>> make_agents(const std::string& url, const std::filesystem::path& folder, int count) {
  std::vector<std::unique_ptr<Agent>> agents;
  CLOUDOS_ASSIGN(const auto ca, os::read(folder / "ca.pem"));
  CLOUDOS_ASSIGN(const auto key, os::read(folder / "key.pem"));
  for (int i = 0; i < count; ++i) {
    const auto name = std::format("sim-{}", i);
    CLOUDOS_ASSIGN(auto certificate, os::read(folder / (name + ".pem")));
    CLOUDOS_ASSIGN(auto api, kube::Api::make({.server = url, .ca = ca, .identity = http::Identity{std::move(certificate), Secret(key)}}));
    agents.push_back(std::make_unique<Agent>(
        Agent{daemon::Core({.node = name, .seed = static_cast<std::uint64_t>(i)}), std::move(api), first_report(i)}));
    agents.back()->core.report(agents.back()->report);
  }
  return agents;
}

std::uint64_t written(const daemon::Core& core) {
  std::uint64_t sum = 0;
  for (const auto& [kind, count] : core.counters().requests)
    if (kind != "read") sum += count;
  return sum;
}

// Threads that carry out what the agents of their share want, until `over` says that a share has no more to do.
template <class Over>
void drive(const std::vector<std::unique_ptr<Agent>>& agents, const Over& over) {
  constexpr std::size_t threads = 16;
  std::vector<std::jthread> workers;
  for (std::size_t t = 0; t < threads; ++t)
    workers.emplace_back([&, t] {
      for (bool more = true; more;) {
        bool worked = false;
        for (auto i = t; i < agents.size(); i += threads) {
          auto& agent = *agents[i];
          const auto next = agent.core.next(Clock::now());
          if (!next.request) continue;
          worked = true;
          agent.core.reply(*next.request, daemon::perform(agent.api, *next.request), Clock::now());
        }
        more = !over(t, threads, worked);
        if (!worked) std::this_thread::sleep_for(20ms);
      }
    });
}

// In a real cluster the changes of a thousand nodes come one by one: each agent has its own moments.
void change_for(const std::vector<std::unique_ptr<Agent>>& agents, Milliseconds span, double changes) {
  const auto end = Clock::now() + span;
  std::vector<std::pair<Clock::time_point, std::size_t>> turns;
  std::minstd_rand random(7);
  std::uniform_real_distribution<double> moment(0, static_cast<double>(span.count()));
  const auto all = static_cast<std::size_t>(changes * static_cast<double>(agents.size()) * static_cast<double>(span.count()) / 600'000.0);
  for (std::size_t i = 0; i < all; ++i)
    turns.emplace_back(Clock::now() + Milliseconds(static_cast<std::int64_t>(moment(random))), random() % agents.size());
  std::ranges::sort(turns);
  std::vector<std::size_t> at(16, 0);
  drive(agents, [&](std::size_t thread, std::size_t threads, bool) {
    // A share's turns are taken by its own thread.
    for (auto& i = at[thread]; i < turns.size() && turns[i].first <= Clock::now(); ++i) {
      if (turns[i].second % threads != thread) continue;
      auto& agent = *agents[turns[i].second];
      auto& condition = agent.report.conditions.front();
      condition.status = !condition.status;
      condition.since_ms += 60'000;
      agent.core.report(agent.report);
    }
    return Clock::now() >= end;
  });
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) return std::fputs("usage: bench_agents URL FOLDER COUNT SECONDS CHANGES\n", stderr), 2;
  const int count = std::atoi(argv[3]);
  const auto span = Milliseconds(std::atoll(argv[4]) * 1000);
  auto agents = make_agents(argv[1], argv[2], count);
  if (!agents) return std::fprintf(stderr, "%s\n", agents.error().text().c_str()), 1;
  const auto phase = [&](const char* name, const auto& work) {
    std::string line;
    std::getline(std::cin, line);
    std::uint64_t before = 0, after = 0, failures = 0;
    for (const auto& agent : *agents) before += written(agent->core);
    const auto start = Clock::now();
    work();
    const auto took = std::chrono::duration<double>(Clock::now() - start).count();
    for (const auto& agent : *agents) {
      after += written(agent->core);
      failures += agent->core.counters().failures;
    }
    std::cout << nlohmann::json{{"phase", name}, {"seconds", took}, {"writes", after - before}, {"failures", failures}}.dump() << std::endl;
  };
  phase("start", [&] { drive(*agents, [](std::size_t, std::size_t, bool worked) { return !worked; }); });
  phase("change", [&] { change_for(*agents, span, std::atof(argv[5])); });
  phase("idle", [&] { change_for(*agents, span, 0); });
  return 0;
}
