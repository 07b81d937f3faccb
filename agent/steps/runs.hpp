// A run's events on this machine: a file that the worker appends to and that any number of followers read, and the
// transient unit that the worker runs in, so that it outlives the connection it was asked over.
#pragma once

#include <string_view>

#include "agent/steps/steps.hpp"
#include "core/base/argv.hpp"
#include "core/os/file/file.hpp"

namespace cloudos::steps {

// paths::runs/<run>.events, held under an exclusive flock(2) while it is written: that is how a follower knows that the
// worker lives.
class EventLog {
 public:
  // Starts the file anew. Errors: conflict (a run of this id is at work), input (not a run id), io.
  static Result<EventLog> create(Environment& env, const RunId& run);
  [[nodiscard]] Status append(const model::Event& event);

 private:
  explicit EventLog(os::Fd fd) : fd_(std::move(fd)) {}
  os::Fd fd_;
};

// [0-9a-f]{1,64}: it becomes a part of file and unit names.
[[nodiscard]] bool is_run_id(std::string_view text);
[[nodiscard]] fs::path events_path(const Environment& env, const RunId& run);
[[nodiscard]] std::string run_unit(const RunId& run);

// Starts `cloudos-agent apply --foreground` as the transient unit cloudos-apply-<run>.service with the request as its
// standard input, in memory only (memfd_create(2)). Returns once it is started. Errors: conflict (that run is at work).
[[nodiscard]] Status start_run(Environment& env, const RunId& run, const Secret& request);

// Gives each event line from sequence `from` on to `out`, as they come, until the run's end; gives whether it ended well.
// Errors: input (unknown run), failed (its worker is gone and told no end), the sink's own.
[[nodiscard]] Result<bool> follow(Environment& env, const RunId& run, std::uint64_t from, const ByteSink& out);

}  // namespace cloudos::steps
