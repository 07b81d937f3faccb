#include "installer/driver/stage.hpp"

#include <charconv>
#include <format>

#include "core/base/text.hpp"
#include "core/os/crypto/crypto.hpp"
#include "installer/driver/speech.hpp"
#include "installer/driver/transfer.hpp"

namespace cloudos::driver {

namespace {

using Kind = model::Event::Kind;
using Clock = std::chrono::steady_clock;
constexpr int exit_run_unknown = 4;  // of `cloudos-agent follow`

std::uint64_t count_of(const model::Event& event, const std::string& key) {
  std::uint64_t value = 0;
  if (const auto at = event.outputs.find(key); at != event.outputs.end())
    std::from_chars(at->second.data(), at->second.data() + at->second.size(), value);
  return value;
}

class StageRun {
 public:
  StageRun(Machine& machine, const model::Stage& stage, const std::map<std::string, std::string>& values,
           const std::map<std::string, Secret>& secrets, const Setting& setting)
      : machine_(machine), stage_(stage), setting_(setting), run_{os::random_hex(8)} {
    request_ = model::encode_request(
        {.run = run_, .stage = stage.id, .holder = setting.holder, .steps = stage.steps, .values = values, .secrets = secrets});
  }

  StageResult run() {
    alive_ = Clock::now();
    bool asked = false;  // the request may have arrived
    for (int attempt = 0; !ended_; ++attempt) {
      auto exit = asked ? follow() : apply();
      if (exit && exit->code == exit_run_unknown && asked) {
        // The agent knows nothing of it: the request never arrived, or the machine was restarted. Each step looks before
        // it acts, so sending it again is safe.
        asked = false;
        machine_.close();
        seen_ = 0;
        if (Clock::now() - alive_ <= setting_.timing.lost_after) continue;
        fail_with({.kind = ErrorKind::failed, .message = "the agent does not know the run that it was given"});
        break;
      }
      if (ended_) break;
      if (exit) {
        fail_with({.kind = ErrorKind::failed, .message = std::format("the agent ended without a result: {}", words())});
        break;
      }
      asked = asked || reached_;
      if (give_up(exit.error())) break;
      if (attempt == 0) tell(std::format("connection lost ({}); the work goes on there, connecting again", exit.error().message));
      sleep_for(retry_delay(setting_.timing, attempt), setting_.stop);
    }
    return std::move(result_);
  }

 private:
  Result<ssh::RemoteExit> apply() { return command({machine_.agent, "apply"}, bytes_of(std::string{request_.reveal()} + '\n')); }
  Result<ssh::RemoteExit> follow() {
    return command({machine_.agent, "follow", "--run", run_.value, "--from", std::to_string(seen_ + 1)}, no_bytes());
  }

  Result<ssh::RemoteExit> command(const Argv& argv, ByteSource input) {
    reached_ = false;
    CLOUDOS_TRY(machine_.connect());
    reached_ = true;
    alive_ = Clock::now();
    err_.clear();
    const auto events = by_line([this](std::string_view line) { return take(line); });
    return machine_.run(argv, {.in = std::move(input), .out = events, .err = into(err_)}, in(setting_.timing.stage));
  }

  Status take(std::string_view line) {
    alive_ = Clock::now();
    auto event = model::decode_event(line);
    if (!event) {
      setting_.log->warning("{}: not an event: {}", machine_.id().value, sanitise(line.substr(0, 200)));
      return {};
    }
    if (event->sequence != 0 && event->sequence <= seen_) return {};
    seen_ = std::max(seen_, event->sequence);
    event->machine = machine_.id();
    event->stage = stage_.id;
    // The agent knows the stage by its id only; people read its title.
    if (event->kind == Kind::run_started || event->kind == Kind::run_done || event->kind == Kind::run_failed) event->text = stage_.title;
    digest(*event);
    setting_.emit(*event);
    return {};
  }

  void digest(const model::Event& event) {
    switch (event.kind) {
      case Kind::step_satisfied:
      case Kind::step_done: result_.outputs.insert(event.outputs.begin(), event.outputs.end()); break;
      case Kind::step_failed: result_.failure = event; break;
      case Kind::run_done:
        ended_ = result_.ok = true;
        result_.applied = count_of(event, "applied");
        result_.satisfied = count_of(event, "satisfied");
        break;
      case Kind::run_failed:
        ended_ = true;
        result_.applied = count_of(event, "applied");
        result_.satisfied = count_of(event, "satisfied");
        if (result_.failure.kind != Kind::step_failed) {
          result_.failure = event;
          result_.failure.kind = Kind::step_failed;
        }
        break;
      default: break;
    }
  }

  bool give_up(const Error& error) {
    const bool again = error.kind == ErrorKind::network || error.kind == ErrorKind::timeout;
    if (again && !setting_.stop.stop_requested() && Clock::now() - alive_ <= setting_.timing.lost_after) return false;
    result_.lost = again;
    fail_with(error);
    return true;
  }

  void fail_with(const Error& error) {
    const auto what = Error{.message = error.message, .context = error.context}.text();
    result_.failure = {.kind = Kind::step_failed, .machine = machine_.id(), .stage = stage_.id, .text = stage_.title};
    result_.failure.failure = {
        .message = what,
        .hint = result_.lost ? "bring the machine back and run the same command again: it goes on from where it is" : error.hint};
    setting_.emit(result_.failure);
  }

  void tell(std::string text) {
    setting_.emit({.kind = Kind::note, .machine = machine_.id(), .stage = stage_.id, .text = std::move(text)});
  }

  std::string words() const {
    const auto text = sanitise(trim(err_));
    return text.empty() ? "it said nothing" : text.substr(text.size() > 600 ? text.size() - 600 : 0);
  }

  Machine& machine_;
  const model::Stage& stage_;
  const Setting& setting_;
  RunId run_;
  Secret request_;
  StageResult result_;
  Clock::time_point alive_;
  std::uint64_t seen_ = 0;
  bool reached_ = false, ended_ = false;
  std::string err_;
};

}  // namespace

StageResult run_stage(Machine& machine, const model::Stage& stage, const std::map<std::string, std::string>& values,
                      const std::map<std::string, Secret>& secrets, const Setting& setting) {
  return StageRun(machine, stage, values, secrets, setting).run();
}

}  // namespace cloudos::driver
