// Inside agent/daemon: a thread for work that may block, and its results on the loop's thread. A job that hangs holds up the
// jobs of its own worker and nothing else.
#pragma once

#include <functional>
#include <memory>

#include "agent/loop/loop.hpp"
#include "core/base/units.hpp"

namespace cloudos::daemon {

class Worker {
 public:
  // Errors: io.
  static Result<Worker> start(loop::Loop& loop);
  ~Worker();
  Worker(Worker&&) noexcept;
  Worker& operator=(Worker&&) noexcept;

  // Does `job` in the thread, after those that were given before; then calls, on the loop, what it gave back.
  void run(std::function<std::function<void()>()> job);
  [[nodiscard]] bool busy() const;

 private:
  struct State;
  explicit Worker(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace cloudos::daemon
