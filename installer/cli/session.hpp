#pragma once

#include <signal.h>

#include <chrono>
#include <functional>
#include <stop_token>
#include <thread>

#include "core/os/file/file.hpp"
#include "installer/cli/command.hpp"
#include "installer/cli/connection.hpp"
#include "installer/report/report.hpp"

namespace cloudos::cli {

// What a command that works on machines has around it: its listeners, its log file, the terminal.
class Session {
 public:
  // `log_file` "": the default place. Errors: io.
  static Result<std::unique_ptr<Session>> open(const Context& context, std::string_view command, const std::string& log_file);

  [[nodiscard]] driver::Setting setting(driver::Connect connect);
  // From now on a terminal shows the live view.
  void show_live(std::vector<MachineId> machines, report::StepNames steps = {});
  void rest() { listeners_.rest(); }

  [[nodiscard]] report::LogFile& log() { return *log_; }
  [[nodiscard]] Terminal& terminal() { return terminal_; }
  [[nodiscard]] const Context& context() const { return *context_; }
  [[nodiscard]] std::stop_source& stop() { return stop_; }
  [[nodiscard]] Milliseconds elapsed() const;

 private:
  explicit Session(const Context& context) : context_(&context), started_(std::chrono::steady_clock::now()) {}
  const Context* context_;
  std::chrono::steady_clock::time_point started_;
  report::Listeners listeners_;
  report::LogFile* log_ = nullptr;  // owned by listeners_
  Terminal terminal_;
  std::stop_source stop_;
  bool live_ = false;
};

// While it lives, the first SIGINT or SIGTERM requests `stop`, and when the work is not at its end two seconds later, or a
// second signal comes, `farewell` is called and the process exits with status 1. The machines' agents go on with what they
// have begun, which is what makes leaving at once safe.
class StopSignals {
 public:
  StopSignals(std::stop_source& stop, std::function<void()> farewell);
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;
  ~StopSignals();

 private:
  void watch();
  std::stop_source& stop_;
  std::function<void()> farewell_;
  sigset_t before_{};
  os::Fd signals_, done_;
  std::thread watcher_;
};

// Prints findings, errors first, each with its remedy; true when there is an error among them.
bool show(const std::vector<model::Finding>& findings, const Context& context);
[[nodiscard]] std::string text_of(const model::Finding& finding);

}  // namespace cloudos::cli
