#include "agent/nvml/watch.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <mutex>

#include "agent/nvml/apart.hpp"
#include "core/os/file/file.hpp"

namespace cloudos::nvml {

// What the thread and the watch have in common; it lives as long as either.
struct Watch::Shared {
  std::filesystem::path path;
  WatchTiming timing;
  os::Fd event;

  std::mutex mutex;  // of all below
  std::condition_variable changed;
  bool stop = false, ended = false;
  News news;
  Clock::time_point last_answer = Clock::now();

  // The lock is held while `change` runs.
  template <class F>
  void tell(F change) {
    {
      const std::scoped_lock lock(mutex);
      last_answer = Clock::now();
      change(news);
    }
    static_cast<void>(::eventfd_write(event.get(), 1));
  }
  void answered() {
    const std::scoped_lock lock(mutex);
    last_answer = Clock::now();
  }
  bool stopping() {
    const std::scoped_lock lock(mutex);
    return stop;
  }
  // False: told to stop.
  bool sleep(Milliseconds span) {
    std::unique_lock lock(mutex);
    const bool told = changed.wait_for(lock, span, [this] { return stop; });
    last_answer = Clock::now();
    return !told;
  }
};

namespace {

constexpr std::size_t most_xids = 256;
// A wait within the library cannot be ended from outside: this is how long an end may take.
constexpr Milliseconds longest_wait{2'000};
// A driver that is taken out answers nothing any more, and its library has to be opened anew for the next one.
constexpr int silent_rounds = 3;

template <class Shared>
class Rounds {
 public:
  Rounds(Shared& shared, Library library) : shared_(shared), library_(std::move(library)) {}

  // Until told to stop, or until the driver has gone.
  void run() {
    auto next_look = Watch::Clock::now();
    for (int silent = 0; silent < silent_rounds && !shared_.stopping();) {
      if (Watch::Clock::now() >= next_look) {
        if (!look()) return;
        next_look = Watch::Clock::now() + shared_.timing.inventory;
      }
      auto readings = library_.readings();
      const bool any = std::ranges::any_of(readings, [](const Reading& r) { return !r.error; });
      // Single GPUs that are lost stay; only a driver that answers for none is worth another start.
      silent = any || readings.empty() ? 0 : silent + 1;
      shared_.tell([&](News& news) { news.readings = std::move(readings); });
      if (!wait_until(Watch::Clock::now() + shared_.timing.probe)) return;
    }
  }

 private:
  bool look() {
    std::vector<std::string> skipped;
    auto now = library_.inventory(&skipped);
    shared_.answered();
    if (!now) {
      shared_.tell([&](News& news) { news.missing = now.error(); });
      return false;
    }
    if (known_ == *now && skipped == skipped_) return true;
    known_ = *now;
    skipped_ = skipped;
    shared_.tell([&](News& news) {
      news.inventory = std::move(*now);
      news.skipped = std::move(skipped);
      news.folder = library_.folder();
      news.missing.reset();
    });
    return true;
  }

  bool wait_until(Watch::Clock::time_point until) {
    for (auto now = Watch::Clock::now(); now < until; now = Watch::Clock::now()) {
      const auto rest = std::chrono::ceil<Milliseconds>(until - now);
      auto xid = library_.wait(std::min(rest, longest_wait));
      shared_.answered();
      if (!xid) return shared_.sleep(rest);
      if (*xid)
        shared_.tell([&](News& news) {
          if (news.xids.size() < most_xids) news.xids.push_back(std::move(**xid));
        });
      if (shared_.stopping()) return false;
    }
    return !shared_.stopping();
  }

  Shared& shared_;
  Library library_;
  std::optional<Inventory> known_;
  std::vector<std::string> skipped_;
};

template <class Shared>
void work(const std::shared_ptr<Shared>& shared) {
  for (auto pause = shared->timing.retry; !shared->stopping();) {
    auto library = Library::open(shared->path);
    if (library) {
      pause = shared->timing.retry;
      Rounds(*shared, std::move(*library)).run();
      if (shared->stopping()) break;
      shared->tell([](News& news) {
        if (!news.missing)
          news.missing = Error{.kind = ErrorKind::failed, .message = "the driver does not answer for any GPU", .retryable = true};
      });
    } else {
      shared->tell([&](News& news) { news.missing = library.error(); });
    }
    if (!shared->sleep(pause)) break;
    pause = std::min(pause * 2, shared->timing.retry * 6);
  }
  const std::scoped_lock lock(shared->mutex);
  shared->ended = true;
  shared->changed.notify_all();
}

}  // namespace

Watch::Watch(std::shared_ptr<Shared> shared) : shared_(std::move(shared)) {}
Watch::Watch(Watch&&) noexcept = default;
Watch& Watch::operator=(Watch&&) noexcept = default;

Result<Watch> Watch::start(const std::filesystem::path& path, const WatchTiming& timing) {
  auto shared = std::make_shared<Shared>();
  shared->path = path;
  shared->timing = timing;
  shared->event = os::Fd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!shared->event) return fail_errno("eventfd", errno);
  CLOUDOS_TRY(run_apart([shared] { work(shared); }));
  return Watch(std::move(shared));
}

Watch::~Watch() {
  if (shared_ == nullptr) return;
  std::unique_lock lock(shared_->mutex);
  shared_->stop = true;
  shared_->changed.notify_all();
  shared_->changed.wait_for(lock, longest_wait + Milliseconds(500), [this] { return shared_->ended; });
}

int Watch::fd() const { return shared_->event.get(); }

News Watch::take() {
  eventfd_t count = 0;
  static_cast<void>(::eventfd_read(shared_->event.get(), &count));
  const std::scoped_lock lock(shared_->mutex);
  return std::exchange(shared_->news, {});
}

Watch::Clock::time_point Watch::last_answer() const {
  const std::scoped_lock lock(shared_->mutex);
  return shared_->last_answer;
}

}  // namespace cloudos::nvml
