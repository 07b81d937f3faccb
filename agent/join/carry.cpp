#include "agent/join/carry.hpp"

#include <algorithm>
#include <condition_variable>
#include <format>
#include <mutex>
#include <optional>
#include <thread>

#include "agent/steps/runs.hpp"
#include "agent/steps/steps.hpp"
#include "core/base/text.hpp"
#include "core/os/crypto/crypto.hpp"

namespace cloudos::joining {
namespace {

using Kind = model::Event::Kind;

constexpr Milliseconds look_every{1'000};

// Child processes that end when the work is stopped, or refused.
class StoppedWith final : public steps::Commands {
 public:
  StoppedWith(steps::Commands& inner, std::stop_token stop) : inner_(inner), stop_(std::move(stop)) {}
  Result<os::Output> capture(const Argv& argv, os::RunOptions options) override {
    options.stop = stop_;
    return inner_.capture(argv, std::move(options));
  }

 private:
  steps::Commands& inner_;
  std::stop_token stop_;
};

// Asks `refused` until it says something or goes; then stops the work.
class Watch {
 public:
  Watch(const std::function<std::string()>& refused, std::stop_source& work)
      : thread_([this, &refused, &work](const std::stop_token& stop) {
          std::mutex mutex;
          std::condition_variable_any wake;
          while (!stop.stop_requested()) {
            if (auto why = refused(); !why.empty()) {
              why_ = std::move(why);
              work.request_stop();
              return;
            }
            std::unique_lock lock(mutex);
            wake.wait_for(lock, stop, look_every, [] { return false; });
          }
        }) {}
  // Ends it; what was refused.
  std::string end() {
    thread_.request_stop();
    thread_.join();
    return why_;
  }

 private:
  std::string why_;
  std::jthread thread_;
};

bool joins(const model::Stage& stage) {
  return std::ranges::any_of(stage.steps, [](const auto& step) { return std::holds_alternative<model::KubeadmJoin>(step.action); });
}

// A failure as one error of one line; what the services said goes to the log before it.
Error error_of(const model::Event& event, const Voice& voice) {
  const auto& failure = event.failure;
  for (const auto& line : failure.logs) voice.log.info("  {}", line);
  auto message = event.text.empty() ? failure.message : std::format("{}: {}", event.text, failure.message);
  if (!failure.cause.empty()) message += std::format(" ({})", failure.cause);
  return {.kind = ErrorKind::failed, .message = std::move(message), .hint = failure.hint, .retryable = true};
}

class Stage {
 public:
  Stage(const Work& work, const model::Stage& stage, const Voice& voice) : work_(work), stage_(stage), voice_(voice) {}

  Status run(steps::Environment& outer) {
    std::stop_source stop;
    const std::stop_callback stopped(work_.stop, [&stop] { stop.request_stop(); });
    StoppedWith commands(outer.commands, stop.get_token());
    steps::Environment env{.root = outer.root, .services = outer.services, .commands = commands, .api_patience = outer.api_patience};
    const model::ApplyRequest request{.run = RunId{os::random_hex(8)},
                                      .stage = stage_.id,
                                      .holder = "cloudos-agent join",
                                      .steps = stage_.steps,
                                      .values = work_.values,
                                      .secrets = work_.secrets};
    CLOUDOS_ASSIGN(auto log, steps::EventLog::create(env, request.run));
    std::optional<Watch> watch;
    if (work_.refused && joins(stage_)) watch.emplace(work_.refused, stop);
    const auto well = steps::apply(request, env, [&](const model::Event& event) -> Status {
      see(event);
      return log.append(event);
    });
    const auto refused = watch ? watch->end() : std::string();
    if (well && *well) return {};
    if (!refused.empty()) return fail(ErrorKind::refused, refused);
    if (work_.stop.stop_requested()) return fail(ErrorKind::cancelled, "stopped; the next run goes on");
    if (!well) return fail(well.error());
    return fail(failure_.value_or(Error{.message = std::format("{} failed", stage_.title), .retryable = true}));
  }

 private:
  [[nodiscard]] std::string what(const StepId& id) const {
    const auto step = std::ranges::find(stage_.steps, id, &model::Step::id);
    return step == stage_.steps.end() ? id.value : step->what;
  }

  void see(const model::Event& event) {
    switch (event.kind) {
      case Kind::step_started: voice_.status(std::format("{}: {}", stage_.title, what(event.step))); return;
      case Kind::note: voice_.log.info("{}: {}", stage_.title, sanitise(event.text)); return;
      case Kind::step_failed: failure_ = error_of(event, voice_); return;
      case Kind::run_failed:
        if (!failure_) failure_ = error_of(event, voice_);
        return;
      case Kind::run_done:
        voice_.log.info("{}: done, {} applied, {} were right already", stage_.title, event.outputs.at("applied"),
                        event.outputs.at("satisfied"));
        return;
      default: return;
    }
  }

  const Work& work_;
  const model::Stage& stage_;
  const Voice& voice_;
  std::optional<Error> failure_;
};

}  // namespace

Status carry_out(const Work& work, steps::Environment& environment, const Voice& voice) {
  for (const auto& stage : work.plan.stages) {
    if (work.stop.stop_requested()) return fail(ErrorKind::cancelled, "stopped; the next run goes on");
    if (work.before) CLOUDOS_TRY(work.before(stage));
    CLOUDOS_TRY(Stage(work, stage, voice).run(environment));
  }
  return {};
}

}  // namespace cloudos::joining
