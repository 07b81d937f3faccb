#pragma once

#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <sstream>
#include <string>
#include <vector>

#include "agent/steps/steps.hpp"
#include "core/base/clock.hpp"
#include "tests/support/temporary_folder.hpp"

namespace cloudos::test {

// systemd, as far as a unit's file and state go. Remembers what it was told.
class FakeServices final : public steps::Services {
 public:
  std::map<std::string, os::UnitState> units;
  std::vector<std::string> told;

  Result<os::UnitState> state(const std::string& unit) override {
    auto found = units.find(unit);
    if (found == units.end()) return os::UnitState{.load = "not-found", .active = "inactive"};
    return found->second;
  }
  Status daemon_reload() override {
    told.emplace_back("daemon-reload");
    for (auto& [name, state] : units) state.needs_reload = false;
    return {};
  }
  Status enable(const std::string& unit) override {
    return tell("enable", unit, [](auto& s) { s.load = "loaded", s.file_state = "enabled", s.needs_reload = true; });
  }
  Status disable(const std::string& unit) override {
    return tell("disable", unit, [](auto& s) { s.file_state = "disabled"; });
  }
  Status start(const std::string& unit, Deadline) override {
    return tell("start", unit, [&](auto& s) { run(s); });
  }
  Status restart(const std::string& unit, Deadline) override {
    return tell("restart", unit, [&](auto& s) { run(s); });
  }
  Status stop(const std::string& unit, Deadline) override {
    return tell("stop", unit, [](auto& s) { s.active = "inactive"; });
  }
  Status reset_failed(const std::string& unit) override {
    return tell("reset-failed", unit, [](auto&) {});
  }
  Result<std::vector<std::string>> list_units(const std::string&) override { return std::vector<std::string>{}; }

 private:
  template <class F>
  Status tell(const std::string& what, const std::string& unit, F change) {
    told.push_back(what + " " + unit);
    change(units[unit]);
    return {};
  }
  static void run(os::UnitState& s) {
    s.load = "loaded";
    s.active = "active";
    s.active_since_us = wall_ms() * 1000 + 1'000'000;
  }
};

// Answers commands by a part of their text, and remembers each with what it was given on standard input.
class FakeCommands final : public steps::Commands {
 public:
  struct Call {
    std::string line, input;
    std::map<std::string, std::string> environment;
    std::vector<std::string> words;
  };
  struct Answer {
    std::string part;
    int code = 0;
    std::string out, err;
    std::function<void()> effect = [] {};
  };
  std::vector<Answer> answers;  // the first that fits
  std::vector<Call> calls;

  Result<os::Output> capture(const Argv& argv, os::RunOptions options) override {
    std::string input;
    std::vector<std::byte> buffer(4096);
    for (;;) {
      CLOUDOS_ASSIGN(auto got, options.stdin_source(buffer));
      if (got == 0) break;
      input.append(reinterpret_cast<const char*>(buffer.data()), got);
    }
    const std::lock_guard lock(mutex_);
    calls.push_back({quote(argv), input, options.environment, argv.words});
    for (const auto& answer : answers)
      if (calls.back().line.contains(answer.part)) {
        answer.effect();
        return os::Output{.exit = {.code = answer.code, .signal = {}}, .out = answer.out, .err = answer.err};
      }
    return os::Output{.exit = {.code = 0, .signal = {}}, .out = "", .err = ""};
  }
  [[nodiscard]] int count(std::string_view part) const {
    int n = 0;
    for (const auto& call : calls) n += call.line.contains(part) ? 1 : 0;
    return n;
  }

 private:
  std::mutex mutex_;
};

// A machine of its own: a moved root, a fake systemd, fake commands, and the events that came.
struct Machine {
  TemporaryFolder folder;
  FakeServices services;
  FakeCommands commands;
  std::vector<model::Event> events;
  steps::Environment environment{.root = folder.path(), .services = services, .commands = commands};

  [[nodiscard]] std::filesystem::path at(std::string_view path) const { return environment.at(path); }
  void put(std::string_view path, std::string_view content) const {
    std::filesystem::create_directories(at(path).parent_path());
    std::ofstream(at(path), std::ios::binary) << content;
  }
  [[nodiscard]] std::string get(std::string_view path) const {
    std::ifstream in(at(path), std::ios::binary);
    std::ostringstream out;
    out << in.rdbuf();
    return out.str();
  }
  [[nodiscard]] bool has(std::string_view path) const { return std::filesystem::exists(std::filesystem::symlink_status(at(path))); }

  bool apply(const model::ApplyRequest& request) {
    events.clear();
    auto well = steps::apply(request, environment, [&](const model::Event& e) -> Status {
      events.push_back(e);
      return {};
    });
    return well && *well;
  }
  bool undo() {
    events.clear();
    auto well = steps::undo(environment, {}, [&](const model::Event& e) -> Status {
      events.push_back(e);
      return {};
    });
    return well && *well;
  }
  [[nodiscard]] int count(model::Event::Kind kind) const {
    int n = 0;
    for (const auto& e : events) n += e.kind == kind ? 1 : 0;
    return n;
  }
  [[nodiscard]] const model::Event* first(model::Event::Kind kind) const {
    for (const auto& e : events)
      if (e.kind == kind) return &e;
    return nullptr;
  }
};

inline model::Step step(std::string id, model::Action action) {
  return {.id = {id}, .what = id, .why = "because", .action = std::move(action)};
}
inline model::ApplyRequest request(std::vector<model::Step> steps) {
  return {.run = {"0123456789abcdef"}, .stage = {"prepare@10.0.0.1"}, .holder = "test", .steps = std::move(steps)};
}

}  // namespace cloudos::test
