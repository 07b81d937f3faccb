#include "images/tasks.hpp"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

namespace cloudos::images {

namespace {

class Board {
 public:
  Board(const std::vector<Task>& tasks, const std::stop_token& stop) : tasks_(tasks), stop_(stop), state_(tasks.size(), State::waiting) {}

  void work() {
    std::unique_lock lock(mutex_);
    while (true) {
      std::optional<std::size_t> next;
      changed_.wait(lock, [&] {
        next = ready();
        return next || over();
      });
      if (!next) return;
      state_[*next] = State::running;
      lock.unlock();
      auto status = stop_.stop_requested() ? fail(ErrorKind::cancelled, "stopped before it began") : tasks_[*next].work();
      lock.lock();
      state_[*next] = State::done;
      if (!status && result_) result_ = std::move(status);
      changed_.notify_all();
    }
  }
  Status result() { return std::move(result_); }

 private:
  enum class State { waiting, running, done };

  [[nodiscard]] bool over() const { return !result_ || !std::ranges::contains(state_, State::waiting); }
  [[nodiscard]] std::optional<std::size_t> ready() const {
    if (!result_) return std::nullopt;
    for (std::size_t i = 0; i < tasks_.size(); ++i) {
      const auto is_done = [&](std::size_t other) { return state_[other] == State::done; };
      if (state_[i] == State::waiting && std::ranges::all_of(tasks_[i].after, is_done)) return i;
    }
    return std::nullopt;
  }

  const std::vector<Task>& tasks_;
  const std::stop_token& stop_;
  std::mutex mutex_ = {};
  std::condition_variable changed_ = {};
  std::vector<State> state_;
  Status result_ = {};
};

}  // namespace

Status run_tasks(const std::vector<Task>& tasks, unsigned threads, const std::stop_token& stop) {
  Board board(tasks, stop);
  {
    std::vector<std::jthread> pool;
    for (unsigned i = 0; i < std::max(threads, 1U); ++i) pool.emplace_back([&] { board.work(); });
  }
  return board.result();
}

}  // namespace cloudos::images
