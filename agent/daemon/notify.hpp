// Inside agent/daemon: what systemd gives a service and wants to hear from it (sd_listen_fds(3), sd_notify(3)), its signals, and
// the log as it goes to the journal.
#pragma once

#include <functional>

#include "agent/loop/loop.hpp"
#include "core/base/log.hpp"
#include "core/os/file/file.hpp"

namespace cloudos::daemon {

// Standard error, which systemd gives to the journal; "<4>" is its priority prefix (sd-daemon(3)).
class JournalLog final : public Log {
 public:
  void write(Level level, std::string_view line) override;
};

// The one listening socket that systemd holds for us. Errors: usage (not started by it).
[[nodiscard]] Result<os::Fd> inherited_socket();

// Tells systemd; without it there nothing happens.
void notify_ready(const std::string& status);
void notify_status(const std::string& status);
void notify_reloading();
void notify_stopping();

// Calls `alive` four times in WatchdogSec; systemd hears from us as long as that gives true.
class Watchdog {
 public:
  static Watchdog start(loop::Loop& loop, std::function<bool()> alive);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// SIGHUP, for which this process and all its later threads must have been made deaf first.
void hold_hangups();
class Hangups {
 public:
  static Result<Hangups> watch(loop::Loop& loop, std::function<void()> heard);

 private:
  os::Fd fd_;
  loop::Source source_;
};

}  // namespace cloudos::daemon
