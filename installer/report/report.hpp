// installer/report: who listens to the events of a run. A live view for terminals, plain lines otherwise, JSON lines for
// programs, and the full log file. Here: how an event looks. Not here: what the events mean for the run (driver) and what
// a command prints as its result (cli). No listener ever sees a secret: events hold none.
#pragma once

#include <cstdio>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/log.hpp"
#include "core/model/event.hpp"

namespace cloudos::report {

class Listener {
 public:
  virtual ~Listener() = default;
  virtual void on(const model::Event& event) = 0;
  // The run is over (or the terminal is wanted for a question): leave the output tidy. Events may follow.
  virtual void rest() {}
};

// Hands each event to every listener, one event at a time whatever the thread it comes from.
class Listeners {
 public:
  void add(std::unique_ptr<Listener> listener);
  void on(const model::Event& event);
  void rest();

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Listener>> all_;
};

// Whether `stream` is a terminal, and whether colour is welcome on it (https://no-color.org, TERM=dumb).
[[nodiscard]] bool is_terminal(std::FILE* stream);
[[nodiscard]] bool wants_colour(std::FILE* stream);

// Each event as the line that the agent's protocol has for it (model::encode_event), on `out`, flushed line by line.
[[nodiscard]] std::unique_ptr<Listener> json_lines(std::FILE* out);

struct PlainOptions {
  bool quiet = false;  // failures only
  int verbose = 0;     // 1: steps that were satisfied too; 2: progress too
  bool colour = false;
};
// A line for each thing that happened: "10.0.0.4  containerd's configuration  done".
[[nodiscard]] std::unique_ptr<Listener> plain(std::FILE* out, PlainOptions options);

// A block at the bottom of the terminal with a line a machine: stage, step, bytes, seconds. What stays to be read (stages
// that ended, failures, findings) scrolls above it. `machines` in the order to be shown; `steps`: what people call them.
using StepNames = std::map<StepId, std::string>;
[[nodiscard]] std::unique_ptr<Listener> live(std::FILE* terminal, std::vector<MachineId> machines, bool colour, StepNames steps = {});

// An event as one plain line without a final newline, or "" when it has nothing to tell at this verbosity.
[[nodiscard]] std::string line_of(const model::Event& event, const PlainOptions& options);
// A failure as a person wants it: machine, step, command, exit, log lines, likely cause, what to do next. Several lines.
[[nodiscard]] std::string failure_text(const model::Event& event);

// The full log: every event and every debug line of the libraries, with times, 0600. Also a Log for the other rooms.
class LogFile : public Listener, public Log {
 public:
  // Makes the folder (0700) and the file. Errors: io, with the path.
  static Result<std::unique_ptr<LogFile>> open(const std::filesystem::path& path);
  // ${XDG_STATE_HOME:-~/.local/state}/cloudos/logs/<time>-<command>.log; times in UTC.
  static std::filesystem::path default_path(std::string_view command);
  [[nodiscard]] virtual const std::filesystem::path& path() const = 0;
  virtual void flush() = 0;
};

}  // namespace cloudos::report
