#include "agent/daemon/network/api_thread.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "agent/daemon/network/calls.hpp"

namespace cloudos::daemon {

namespace {
// A call takes ten seconds at most (agent/kube); several of them mean that it hangs.
constexpr auto longest_silence = std::chrono::seconds(90);
constexpr auto longest_wait = std::chrono::seconds(20);
}  // namespace

kube::Access access_of(const halves::Credential& credential) {
  return {.server = credential.server,
          .ca = credential.ca,
          .identity = http::Identity{.certificate = credential.certificate, .key = credential.key}};
}

// Shared with the thread, which may be left behind in a call when the process ends.
struct ApiThread::State {
  State(Hooks h, Core::Options options, Log& l) : hooks(std::move(h)), log(l), core(std::move(options)) {}

  Hooks hooks;
  Log& log;
  os::Fd bell;
  loop::Source source;

  mutable std::mutex mutex;
  std::condition_variable more;
  bool stop = false;
  std::optional<halves::Report> report;
  std::optional<halves::Credential> credential;
  std::deque<health::HealthEvent> events;
  std::optional<halves::Delivered> delivered;
  bool wants_credential = false;
  bool in_touch = false;
  Time alive_at = std::chrono::steady_clock::now();
  Core::Counters counters;

  // The thread's own.
  Core core;
  std::optional<kube::Api> api;

  void ring() const {
    constexpr std::uint64_t one = 1;
    static_cast<void>(::write(bell.get(), &one, sizeof one) == sizeof one);
  }

  // What came in since, to the core. False: the end.
  bool take_in(std::unique_lock<std::mutex>& lock) {
    alive_at = std::chrono::steady_clock::now();
    if (stop) return false;
    if (report) core.report(*std::exchange(report, std::nullopt));
    for (const auto& event : std::exchange(events, {})) core.add(event);
    const auto fresh = std::exchange(credential, std::nullopt);
    if (!fresh) return true;
    lock.unlock();
    auto made = kube::Api::make(access_of(*fresh));
    if (made) {
      api.emplace(std::move(*made));
      core.renewed();
    } else {
      log.warning("the credential cannot be used: {}", made.error().text());
    }
    lock.lock();
    return true;
  }

  void work() {
    std::unique_lock lock(mutex);
    while (take_in(lock)) {
      const auto now = std::chrono::steady_clock::now();
      const auto next = core.next(now);
      if (!api || !next.request) {
        const auto until = api ? std::min(next.until, now + longest_wait) : now + longest_wait;
        more.wait_until(lock, until, [&] { return stop || report || credential || !events.empty(); });
        continue;
      }
      lock.unlock();
      auto reply = perform(*api, *next.request);
      lock.lock();
      core.reply(*next.request, std::move(reply), std::chrono::steady_clock::now());
      tell();
    }
  }

  void tell() {
    for (const auto& line : core.take_log()) log.warning("{}", line);
    counters = core.counters();
    in_touch = core.in_touch();
    if (core.take_wants_credential()) wants_credential = true;
    if (auto upto = core.take_delivered()) delivered = std::move(upto);
    if (wants_credential || delivered) ring();
  }

  void collect() {
    std::uint64_t rings = 0;
    static_cast<void>(::read(bell.get(), &rings, sizeof rings) == sizeof rings);
    std::unique_lock lock(mutex);
    const auto upto = std::exchange(delivered, std::nullopt);
    const bool wants = std::exchange(wants_credential, false);
    lock.unlock();
    if (upto) hooks.delivered(*upto);
    if (wants) hooks.wants_credential();
  }
};

ApiThread::ApiThread(std::shared_ptr<State> state) : state_(std::move(state)) {}
ApiThread::ApiThread(ApiThread&&) noexcept = default;
ApiThread& ApiThread::operator=(ApiThread&&) noexcept = default;

Result<ApiThread> ApiThread::start(loop::Loop& loop, Hooks hooks, Core::Options options, Log& log) {
  auto state = std::make_shared<State>(std::move(hooks), std::move(options), log);
  state->bell.reset(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!state->bell) return fail_errno("make an eventfd", errno);
  CLOUDOS_ASSIGN(state->source, loop.watch(state->bell.get(), EPOLLIN, [raw = state.get()](std::uint32_t) { raw->collect(); }));
  std::thread([state] { state->work(); }).detach();
  return ApiThread(std::move(state));
}

ApiThread::~ApiThread() {
  if (!state_) return;
  state_->source = {};
  const std::scoped_lock lock(state_->mutex);
  state_->stop = true;
  state_->more.notify_all();
}

void ApiThread::report(halves::Report report) {
  const std::scoped_lock lock(state_->mutex);
  // Events of a report that was not taken in yet are in the next one, too: they are not delivered.
  state_->report = std::move(report);
  state_->more.notify_all();
}
void ApiThread::add(const health::HealthEvent& event) {
  const std::scoped_lock lock(state_->mutex);
  state_->events.push_back(event);
  state_->more.notify_all();
}
void ApiThread::credential(const halves::Credential& credential) {
  const std::scoped_lock lock(state_->mutex);
  state_->credential = credential;
  state_->more.notify_all();
}
Core::Counters ApiThread::counters() const {
  const std::scoped_lock lock(state_->mutex);
  return state_->counters;
}
bool ApiThread::alive() const {
  const std::scoped_lock lock(state_->mutex);
  return std::chrono::steady_clock::now() - state_->alive_at < longest_silence;
}
bool ApiThread::in_touch() const {
  const std::scoped_lock lock(state_->mutex);
  return state_->in_touch;
}

}  // namespace cloudos::daemon
