// core/os/bus: systemd over D-Bus (sd-bus). A job is done when JobRemoved arrives for its path (org.freedesktop.systemd1(5)),
// never by polling.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/base/argv.hpp"
#include "core/base/units.hpp"

struct sd_bus;

namespace cloudos::os {

struct UnitState {
  std::string load;                  // "loaded", "not-found", "masked"
  std::string active;                // "active", "inactive", "failed", "activating", …
  std::string sub;                   // "running", "dead", "listening", …
  std::string file_state;            // "enabled", "disabled", "static", ""
  std::int64_t active_since_us = 0;  // CLOCK_REALTIME, 0 when never
  std::uint32_t main_pid = 0;
  std::uint32_t restarts = 0;
  bool needs_reload = false;  // the unit file changed on disk since it was loaded
};

struct TransientUnit {
  std::string name;  // "cloudos-apply-0123.service"
  std::string description;
  Argv command;
  int stdin_fd = -1;   // passed by StandardInputFileDescriptor; -1: /dev/null
  int stdout_fd = -1;  // likewise; -1: the journal
  std::vector<std::string> environment = {};
  bool collect = true;  // CollectMode=inactive-or-failed: nothing is left of it when it ends
};

// A connection to the system manager. One thread at a time.
class Systemd {
 public:
  static Result<Systemd> connect();
  ~Systemd();
  Systemd(Systemd&&) noexcept;
  Systemd& operator=(Systemd&&) noexcept;

  [[nodiscard]] Result<UnitState> state(const std::string& unit);
  [[nodiscard]] Status daemon_reload();
  [[nodiscard]] Status enable(const std::string& unit);  // symlinks only, with force
  [[nodiscard]] Status disable(const std::string& unit);
  // Each waits for its job's end. Errors: failed (with the job's result), timeout.
  [[nodiscard]] Status start(const std::string& unit, Deadline deadline);
  [[nodiscard]] Status stop(const std::string& unit, Deadline deadline);
  [[nodiscard]] Status restart(const std::string& unit, Deadline deadline);
  [[nodiscard]] Status reset_failed(const std::string& unit);
  // Starts a unit that exists only at run time; returns once the start job is done. Errors: conflict (name in use).
  [[nodiscard]] Status start_transient(const TransientUnit& unit, Deadline deadline);
  [[nodiscard]] Result<std::vector<std::string>> list_units(const std::string& pattern);  // fnmatch(3), loaded ones

 private:
  struct State;
  explicit Systemd(std::unique_ptr<State> state);
  [[nodiscard]] Status job(const char* member, const std::string& unit, Deadline deadline);
  std::unique_ptr<State> state_;
};

}  // namespace cloudos::os
