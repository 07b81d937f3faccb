#include "agent/daemon/root/worker.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "core/os/file/file.hpp"

namespace cloudos::daemon {

// Shared with the thread, which may be left behind when the process ends while a job hangs.
struct Worker::State {
  std::mutex mutex;
  std::condition_variable more;
  std::deque<std::function<std::function<void()>()>> jobs;
  std::deque<std::function<void()>> results;
  bool stop = false;
  std::size_t unfinished = 0;
  os::Fd bell;
  loop::Source source;

  void work() {
    std::unique_lock lock(mutex);
    for (;;) {
      more.wait(lock, [&] { return stop || !jobs.empty(); });
      if (stop) return;
      const auto job = std::move(jobs.front());
      jobs.pop_front();
      lock.unlock();
      auto result = job();
      lock.lock();
      results.push_back(std::move(result));
      constexpr std::uint64_t one = 1;
      static_cast<void>(::write(bell.get(), &one, sizeof one) == sizeof one);
    }
  }
  void collect() {
    std::uint64_t rings = 0;
    static_cast<void>(::read(bell.get(), &rings, sizeof rings) == sizeof rings);
    std::deque<std::function<void()>> ready;
    {
      const std::scoped_lock lock(mutex);
      ready.swap(results);
      unfinished -= ready.size();
    }
    for (const auto& call : ready) call();
  }
};

Worker::Worker(std::shared_ptr<State> state) : state_(std::move(state)) {}
Worker::Worker(Worker&&) noexcept = default;
Worker& Worker::operator=(Worker&&) noexcept = default;

Result<Worker> Worker::start(loop::Loop& loop) {
  auto state = std::make_shared<State>();
  state->bell.reset(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!state->bell) return fail_errno("make an eventfd", errno);
  CLOUDOS_ASSIGN(state->source, loop.watch(state->bell.get(), EPOLLIN, [raw = state.get()](std::uint32_t) { raw->collect(); }));
  std::thread([state] { state->work(); }).detach();
  return Worker(std::move(state));
}

Worker::~Worker() {
  if (!state_) return;
  state_->source = {};
  const std::scoped_lock lock(state_->mutex);
  state_->stop = true;
  state_->more.notify_all();
}

void Worker::run(std::function<std::function<void()>()> job) {
  const std::scoped_lock lock(state_->mutex);
  ++state_->unfinished;
  state_->jobs.push_back(std::move(job));
  state_->more.notify_one();
}

bool Worker::busy() const {
  const std::scoped_lock lock(state_->mutex);
  return state_->unfinished > 0;
}

}  // namespace cloudos::daemon
