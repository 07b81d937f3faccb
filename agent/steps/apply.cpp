// The walk: check, intent, apply, verify, done.

#include <variant>

#include "agent/steps/actions.hpp"
#include "agent/steps/emitter.hpp"
#include "agent/steps/evidence.hpp"
#include "agent/steps/steps.hpp"
#include "core/base/text.hpp"
#include "core/os/file/file.hpp"

namespace cloudos::steps {
namespace {

using Kind = model::Event::Kind;

constexpr Milliseconds lock_limit{1'800'000};

Result<Check> check_step(const model::Action& action, Session& session) {
  return std::visit([&](const auto& a) { return check(a, session); }, action);
}

struct Counts {
  int applied = 0, satisfied = 0;
};

class Walk {
 public:
  Walk(const model::ApplyRequest& request, Environment& env, Journal& journal, Emitter& emitter)
      : request_(request), journal_(journal), emitter_(emitter), session_(env, request, journal) {
    session_.progress = [this](std::uint64_t done, std::uint64_t total) { emitter_.progress(session_.step->id, done, total); };
    session_.note = [this](std::string text) { emitter_.emit(Kind::note, session_.step->id, std::move(text)); };
  }

  bool run() {
    for (const auto& step : request_.steps) {
      session_.step = &step;
      session_.outputs.clear();
      session_.failed_command.reset();
      if (auto status = walk(step); !status) return failed(step, status.error());
      if (!emitter_.status()) return false;
    }
    model::Event done{.kind = Kind::run_done};
    done.outputs = counts();
    emitter_.emit(std::move(done));
    return true;
  }

 private:
  [[nodiscard]] std::map<std::string, std::string> counts() const {
    return {{"applied", std::to_string(counts_.applied)}, {"satisfied", std::to_string(counts_.satisfied)}};
  }

  void tell(Kind kind, const model::Step& step, std::string text = {}) {
    model::Event event{.kind = kind, .step = step.id, .text = std::move(text)};
    event.outputs = session_.outputs;
    emitter_.emit(std::move(event));
  }

  Status walk(const model::Step& step) {
    auto found = check_step(step.action, session_);
    if (!found && request_.check_only) {
      tell(Kind::step_needed, step, "can be told only after the steps before it: " + session_.redact(found.error().message));
      return {};
    }
    if (!found) return fail(std::move(found).error().with("checking " + step.what));
    if (found->state == Check::State::conflict) return fail(ErrorKind::conflict, found->text);
    if (found->state == Check::State::satisfied) {
      ++counts_.satisfied;
      tell(Kind::step_satisfied, step);
      return {};
    }
    if (request_.check_only) {
      ++counts_.applied;
      tell(Kind::step_needed, step, session_.redact(found->text));
      return {};
    }
    return change(step, session_.redact(found->text));
  }

  Status change(const model::Step& step, std::string difference) {
    auto undo = std::visit([&](const auto& a) { return before(a, session_); }, step.action);
    if (!undo) return fail(std::move(undo).error().with("keeping what was before " + step.what));
    tell(Kind::step_started, step, std::move(difference));
    CLOUDOS_TRY(record(step, "intent", *undo));
    auto applied = std::visit([&](const auto& a) { return apply(a, session_); }, step.action);
    if (applied) applied = verify(step);
    if (!applied) {
      static_cast<void>(record(step, "failed", *undo));
      return applied;
    }
    CLOUDOS_TRY(record(step, "done", std::move(*undo)));
    ++counts_.applied;
    tell(Kind::step_done, step);
    return {};
  }

  Status verify(const model::Step& step) {
    session_.verifying = true;
    auto found = check_step(step.action, session_);
    session_.verifying = false;
    if (!found) return fail(std::move(found).error().with("verifying " + step.what));
    if (found->state != Check::State::satisfied) return fail(ErrorKind::failed, "it was done, and still: " + session_.redact(found->text));
    return {};
  }

  Status record(const model::Step& step, std::string state, Undo undo) {
    return journal_.write({.run = request_.run,
                           .step = step.id,
                           .kind = std::string(model::kind_of(step.action)),
                           .state = std::move(state),
                           .undo = std::move(undo)});
  }

  bool failed(const model::Step& step, const Error& error) {
    model::Event event{.kind = Kind::step_failed, .step = step.id, .text = step.what};
    event.failure = failure_of(error, step.action, session_);
    auto end = event;
    end.kind = Kind::run_failed;
    end.outputs = counts();
    emitter_.emit(std::move(event));
    emitter_.emit(std::move(end));
    return false;
  }

  const model::ApplyRequest& request_;
  Journal& journal_;
  Emitter& emitter_;
  Session session_;
  Counts counts_;
};

bool fail_run(Emitter& emitter, const Error& error) {
  model::Event event{.kind = Kind::run_failed, .text = "the work could not begin"};
  event.failure.message = error.message;
  for (const auto& context : error.context) event.failure.message += ", " + context;
  event.failure.hint = error.hint;
  emitter.emit(std::move(event));
  return false;
}

// The machine's lock; somebody else's work is waited for, and said.
Result<os::Lock> take_lock(Environment& env, const std::string& holder, Emitter& emitter) {
  const auto path = env.at(paths::machine_lock);
  CLOUDOS_TRY(os::make_folders(path.parent_path(), 0755));
  auto lock = os::Lock::try_take(path, holder);
  if (lock || lock.error().kind != ErrorKind::conflict) return lock;
  emitter.emit(Kind::note, {}, "waiting: " + sanitise(lock.error().message));
  return os::Lock::take(path, holder, in(lock_limit));
}

}  // namespace

Result<bool> apply(const model::ApplyRequest& request, Environment& env, const EventSink& sink) {
  Emitter emitter(sink, request.stage);
  emitter.emit(Kind::run_started, {}, "");  // the stage has a title; who asked knows it
  const auto result = [&] {
    std::optional<os::Lock> held;  // looking changes nothing, so it may be done beside another's work
    if (!request.check_only) {
      auto lock = take_lock(env, request.holder, emitter);
      if (!lock) return fail_run(emitter, lock.error());
      held.emplace(std::move(*lock));
    }
    auto journal = request.check_only ? Journal::read(env.at(paths::journal)) : Journal::open(env.at(paths::journal));
    if (!journal) return fail_run(emitter, journal.error());
    return Walk(request, env, *journal, emitter).run();
  }();
  if (auto status = emitter.status(); !status) return fail(std::move(status).error());
  return result;
}

}  // namespace cloudos::steps
