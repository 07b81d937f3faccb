// agent/loop: the one thread of the agent's daemon, on sd-event (sd-event(3)): descriptors, timers, a folder's changes, the
// signals that end it. Not here: work that can block; that gets a thread of its own and says through an eventfd that it is
// done.
#pragma once

#include <sys/epoll.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "core/base/units.hpp"

namespace cloudos::loop {

// What is watched, for as long as this lives. A callback may drop its own source.
class Source {
 public:
  struct State;
  Source();
  explicit Source(std::unique_ptr<State> state);
  ~Source();
  Source(Source&&) noexcept;
  Source& operator=(Source&&) noexcept;
  // Of a descriptor's source: EPOLLIN, EPOLLOUT, both or 0.
  void listen_for(std::uint32_t events);
  explicit operator bool() const { return state_ != nullptr; }

 private:
  std::unique_ptr<State> state_;
};

class Loop {
 public:
  // Errors: io.
  static Result<Loop> make();
  ~Loop();
  Loop(Loop&&) noexcept;
  Loop& operator=(Loop&&) noexcept;

  // Calls back, with what is ready, whenever `fd` is ready for `events` (epoll_ctl(2)). The descriptor stays the caller's
  // and must outlive the source.
  [[nodiscard]] Result<Source> watch(int fd, std::uint32_t events, std::function<void(std::uint32_t)> ready);
  // Calls back once, `span` from now; with a slack of a tenth, so that the kernel may wake us together with others.
  [[nodiscard]] Result<Source> after(Milliseconds span, std::function<void()> due);
  // Calls back with the name of each entry of the folder that is made, moved there or written, and with "" when the folder itself
  // goes, which ends the watch (inotify(7)). Errors: io; a folder that is not there is one.
  [[nodiscard]] Result<Source> folder(const std::filesystem::path& path, std::function<void(const std::string&)> made);

  // Runs until stop(). With `signals`, SIGTERM and SIGINT stop it, too.
  [[nodiscard]] Status run(bool signals);
  void stop();
  // One round: waits at most `span` for something to happen. For tests.
  [[nodiscard]] Status step(Milliseconds span);

 private:
  struct State;
  explicit Loop(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace cloudos::loop
