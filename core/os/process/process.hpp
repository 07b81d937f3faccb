// core/os/process: child processes, by argument vector, with streams and a deadline. No shell, no environment leaks.
#pragma once

#include <map>
#include <optional>
#include <stop_token>
#include <string>

#include "core/base/argv.hpp"
#include "core/base/units.hpp"

namespace cloudos::os {

// How a process ended: exactly one of the two is set.
struct Exit {
  std::optional<int> code;
  std::optional<int> signal;
  [[nodiscard]] bool ok() const { return code == 0; }
  [[nodiscard]] std::string text() const;  // "exit 3", "killed by SIGKILL"
};

struct RunOptions {
  ByteSource stdin_source = no_bytes();
  ByteSink stdout_sink = discard();
  ByteSink stderr_sink = discard();
  Deadline deadline = Deadline::max();
  // Added to (or replacing in) the environment of the child; an empty value removes the variable.
  std::map<std::string, std::string> environment = {};
  std::string directory = {};
  std::stop_token stop = {};  // a request ends the child as the deadline does, with ErrorKind::cancelled
};

// Runs a program (looked up in PATH) to its end, pumping its three streams with poll(2). At the deadline, or when a sink
// fails, the child's process group gets SIGTERM, two seconds later SIGKILL, and the error is returned.
// Errors: io (cannot start), timeout, or the sink's or source's own. A non-zero exit is not an error here.
[[nodiscard]] Result<Exit> run(const Argv& argv, RunOptions options);

struct Output {
  Exit exit;
  std::string out, err;
};
// run() with both streams collected (64 MiB each at most).
[[nodiscard]] Result<Output> capture(const Argv& argv, RunOptions options = {});
// capture() where anything but exit 0 is an error, which carries the command and the last lines of stderr. Gives stdout.
[[nodiscard]] Result<std::string> must(const Argv& argv, RunOptions options = {});

// Makes this process's memory unreadable to others and its core dumps empty: it handles secrets (prctl(2) PR_SET_DUMPABLE,
// setrlimit(2) RLIMIT_CORE).
void forbid_core_dumps();

}  // namespace cloudos::os
