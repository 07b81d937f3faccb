#pragma once

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <format>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "core/base/text.hpp"
#include "installer/driver/driver.hpp"
#include "tests/support/fake_transport.hpp"
#include "tests/unit/images/fixture.hpp"

namespace cloudos::test {

inline ssh::RemoteExit exited(int code) { return {.code = code, .signal = {}}; }
inline std::unexpected<Error> cut() { return fail(Error{.kind = ErrorKind::network, .message = "connection reset", .retryable = true}); }

// A machine with an agent on it, as the driver sees it over the wire: it answers, remembers what it was told, and breaks
// where a test says so.
class FakeMachine {
 public:
  explicit FakeMachine(std::string id, model::Role role = model::Role::node) : id_(std::move(id)), role_(role) {}

  bool reachable = true, has_agent = true;
  std::optional<Error> connect_error;
  std::set<Digest> stored;                                                                 // in its blob store
  std::function<Result<ssh::RemoteExit>(FakeCall&, const model::ApplyRequest&)> on_apply;  // instead of the happy way
  std::function<Result<ssh::RemoteExit>(FakeCall&)> on_follow, on_receive, on_undo, on_token;

  std::vector<std::string> at_work;  // the runs that it names in its facts, the first until it was followed to its end

  // What it saw.
  std::vector<std::string> commands;
  std::vector<model::ApplyRequest> requests;
  int connections = 0;

  [[nodiscard]] model::MachineConfig config() const { return {.id = {id_}, .host = id_, .role = role_}; }
  [[nodiscard]] bool ran(std::string_view text) const {
    return std::ranges::any_of(commands, [&](const std::string& command) { return command.contains(text); });
  }
  [[nodiscard]] std::size_t place_of(std::string_view text) const {
    return static_cast<std::size_t>(std::ranges::find_if(commands, [&](const std::string& command) { return command.contains(text); }) -
                                    commands.begin());
  }

 private:
  friend class Fleet;
  std::string id_;
  model::Role role_;
};

inline std::string event_line(model::Event event) { return model::encode_event(event) + "\n"; }

// Every step applied, one after the other.
inline Result<ssh::RemoteExit> all_done(FakeCall& call, const model::ApplyRequest& request,
                                        std::map<std::string, std::string> outputs = {}) {
  using Kind = model::Event::Kind;
  std::uint64_t sequence = 0;
  CLOUDOS_TRY(call.print(event_line({.kind = Kind::run_started, .sequence = ++sequence})));
  for (const auto& step : request.steps)
    CLOUDOS_TRY(call.print(event_line({.kind = Kind::step_done, .sequence = ++sequence, .step = step.id, .outputs = outputs})));
  CLOUDOS_TRY(call.print(event_line({.kind = Kind::run_done,
                                     .sequence = ++sequence,
                                     .outputs = {{"applied", std::to_string(request.steps.size())}, {"satisfied", "0"}}})));
  return exited(0);
}

inline Result<ssh::RemoteExit> one_failed(FakeCall& call, const model::ApplyRequest& request) {
  using Kind = model::Event::Kind;
  model::Event failed{.kind = Kind::step_failed, .sequence = 1, .step = request.steps.front().id};
  failed.failure = {.message = "it broke", .command = "false", .exit = "exit 1"};
  CLOUDOS_TRY(call.print(event_line(failed)));
  CLOUDOS_TRY(call.print(event_line({.kind = Kind::run_failed, .sequence = 2})));
  return exited(1);
}

class Fleet {
 public:
  explicit Fleet(std::vector<std::string> ids, std::string master = "") {
    for (auto& id : ids) machines.emplace(id, std::make_unique<FakeMachine>(id, id == master ? model::Role::master : model::Role::node));
  }
  FakeMachine& operator[](const std::string& id) { return *machines.at(id); }

  [[nodiscard]] model::ClusterConfig config() const {
    model::ClusterConfig config;
    for (const auto& [id, machine] : machines) config.machines.push_back(machine->config());
    return config;
  }
  [[nodiscard]] driver::Setting setting() {
    driver::Setting setting{.connect = [this](const model::MachineConfig& machine) { return connect(machine); },
                            .emit = [this](const model::Event& event) { note(event); },
                            .log = &log_,
                            .holder = "ops@test",
                            .stop = stop.get_token()};
    setting.timing.lost_after = Milliseconds{300};
    setting.timing.retry_first = Milliseconds{5};
    setting.timing.retry_most = Milliseconds{20};
    return setting;
  }
  // Everything that any machine was told, as one text: argument vectors only, never standard input.
  [[nodiscard]] std::string all_commands() const {
    std::string all;
    for (const auto& [id, machine] : machines)
      for (const auto& command : machine->commands) all += command + '\n';
    return all;
  }
  [[nodiscard]] std::vector<model::Event> events() {
    const std::lock_guard lock(mutex_);
    return events_;
  }

  std::map<std::string, std::unique_ptr<FakeMachine>> machines;
  std::stop_source stop;

 private:
  void note(const model::Event& event) {
    const std::lock_guard lock(mutex_);
    events_.push_back(event);
  }

  Result<std::unique_ptr<ssh::Transport>> connect(const model::MachineConfig& config) {
    auto& machine = *machines.at(config.id.value);
    const std::lock_guard lock(mutex_);
    ++machine.connections;
    if (machine.connect_error) return fail(*machine.connect_error);
    if (!machine.reachable) return fail(Error{.kind = ErrorKind::network, .message = "no route to host", .retryable = true});
    auto transport = std::make_unique<FakeTransport>(config.id.value);
    transport->on({}, [this, &machine](FakeCall& call) { return answer(machine, call); });
    return transport;
  }

  Result<ssh::RemoteExit> answer(FakeMachine& machine, FakeCall& call) {
    const auto& words = call.argv.words;
    const auto text = join(words, " ");
    {
      const std::lock_guard lock(mutex_);
      machine.commands.push_back(text);
    }
    if (!words.front().ends_with("cloudos-agent")) return plain(machine, call, text);
    if (!machine.has_agent) {
      CLOUDOS_TRY(call.complain("no such file or directory"));
      return exited(127);
    }
    if (words[1] == "facts") {
      model::HostFacts facts{.hostname = machine.id_, .arch = "amd64"};
      if (!machine.at_work.empty()) facts.running_apply = machine.at_work.front();
      return say(call, model::encode_facts(facts));
    }
    if (words[1] == "follow" && !machine.at_work.empty()) {
      machine.at_work.erase(machine.at_work.begin());
      return exited(0);
    }
    if (words[1] == "reach") return say(call, model::encode_reach({}));
    if (words[1] == "store") return words[2] == "missing" ? missing(machine, call) : receive(machine, call);
    if (words[1] == "apply") return apply(machine, call);
    if (words[1] == "follow" && machine.on_follow) return machine.on_follow(call);
    if (words[1] == "token" && machine.on_token) return machine.on_token(call);
    if (words[1] == "undo" && machine.on_undo) return machine.on_undo(call);
    return exited(words[1] == "follow" ? 4 : 0);
  }

  static Result<ssh::RemoteExit> say(FakeCall& call, const std::string& text) {
    CLOUDOS_TRY(call.input());
    CLOUDOS_TRY(call.print(text + '\n'));
    return exited(0);
  }

  Result<ssh::RemoteExit> plain(FakeMachine& machine, FakeCall& call, const std::string& text) {
    CLOUDOS_TRY(call.input());
    if (text.starts_with("tar ")) machine.has_agent = true;
    if (text.starts_with("test -x")) return exited(machine.has_agent ? 0 : 1);
    return exited(0);
  }

  static std::vector<Digest> digests_in(const std::string& json) {
    std::vector<Digest> out;
    for (std::size_t at = 0; (at = json.find("\"digest\":\"", at)) != std::string::npos; at += 10)
      out.push_back(Digest::parse(json.substr(at + 10, 64)).value());
    return out;
  }

  Result<ssh::RemoteExit> missing(FakeMachine& machine, FakeCall& call) {
    CLOUDOS_ASSIGN(const auto asked, call.input());
    std::string list;
    for (const auto& digest : digests_in(asked))
      if (!machine.stored.contains(digest)) {
        const auto at = asked.find("\"size\":", asked.find(digest.hex())) + 7;
        list += std::format("{}{{\"digest\":\"{}\",\"offset\":0,\"size\":{}}}", list.empty() ? "" : ",", digest.hex(),
                            asked.substr(at, asked.find_first_not_of("0123456789", at) - at));
      }
    CLOUDOS_TRY(call.print("{\"missing\":[" + list + "]}\n"));
    return exited(0);
  }

  Result<ssh::RemoteExit> receive(FakeMachine& machine, FakeCall& call) {
    // Copies, so that a script may take itself away while it runs.
    if (const auto script = machine.on_receive) return script(call);
    CLOUDOS_ASSIGN(const auto all, call.input());
    for (const auto& digest : digests_in(all.substr(0, all.find('\n')))) {
      {
        const std::lock_guard lock(mutex_);
        machine.stored.insert(digest);
      }
      CLOUDOS_TRY(call.print("{\"stored\":\"" + digest.hex() + "\"}\n"));
    }
    return exited(0);
  }

  Result<ssh::RemoteExit> apply(FakeMachine& machine, FakeCall& call) {
    CLOUDOS_ASSIGN(const auto line, call.input());
    CLOUDOS_ASSIGN(const auto request, model::decode_request(line));
    {
      const std::lock_guard lock(mutex_);
      machine.requests.push_back(request);
    }
    const auto script = machine.on_apply;
    return script ? script(call, request) : all_done(call, request);
  }

  std::mutex mutex_;
  NullLog log_;
  std::vector<model::Event> events_;
};

// The sample bundle of the images room, opened once.
inline const images::Bundle& sample_bundle() {
  static const Sample sample;
  static const images::Bundle bundle = [] {
    REQUIRE(images::build_bundle(sample.options()));
    return open_with(sample.file()).value();
  }();
  return bundle;
}

inline model::Step folder_step(const std::string& name) {
  return {.id = {"folder:" + name}, .what = name, .why = "a test", .action = model::Folder{.path = name}};
}
inline model::Stage stage(const std::string& id, const std::string& machine, std::vector<std::string> after = {}) {
  model::Stage stage{.id = {id}, .machine = {machine}, .title = id, .steps = {folder_step("/" + id)}};
  for (auto& one : after) stage.after.push_back({std::move(one)});
  return stage;
}

}  // namespace cloudos::test
