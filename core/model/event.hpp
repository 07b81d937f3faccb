#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/base/units.hpp"

namespace cloudos::model {

// The only output of work. The agent writes them as JSON lines, the driver adds machine and stage; the terminal view,
// --json and the log file are listeners.
struct Event {
  enum class Kind {
    run_started,     // text: title
    step_started,    // applying: check said Needed; text: the difference
    step_satisfied,  // check said nothing is to be done
    step_done,       // applied and verified; outputs
    step_needed,     // check_only: it would be applied; text: the difference
    step_failed,     // failure
    progress,        // done of total bytes (or items); text: of what
    note,            // a line for people
    finding,         // a preflight or residue finding; text
    run_done,        // applied, satisfied: counts in outputs "applied", "satisfied"
    run_failed,      // failure, after step_failed
  };
  Kind kind = Kind::note;
  std::uint64_t sequence = 0;  // of the agent's run, from 1
  std::int64_t at_ms = 0;      // CLOCK_REALTIME
  MachineId machine;
  StageId stage;
  StepId step;
  std::string text;
  std::uint64_t done = 0, total = 0;
  std::map<std::string, std::string> outputs;
  struct Failure {
    std::string message;            // what failed
    std::string command;            // as a person would type it, secrets left as their names
    std::string exit;               // "exit 1"
    std::vector<std::string> logs;  // last lines that bear on it, each with its source before it
    std::string cause;              // the likely cause, or ""
    std::string hint;               // the next thing to do
    bool operator==(const Failure&) const = default;
  } failure;
  bool operator==(const Event&) const = default;
};
[[nodiscard]] std::string_view name(Event::Kind kind);
[[nodiscard]] std::string encode_event(const Event& event);
[[nodiscard]] Result<Event> decode_event(std::string_view json);

// A line of /var/lib/cloudos/journal.jsonl: written, with its undo, before the machine is changed ("intent"), and again
// when the change holds ("done"). Undo walks it backwards.
struct JournalRecord {
  static constexpr int schema = 1;
  std::uint64_t sequence = 0;
  std::int64_t at_ms = 0;
  RunId run;
  StepId step;
  std::string kind;                         // of the action
  std::string state;                        // intent | done | failed | undone
  std::map<std::string, std::string> undo;  // the action's own: "path", "before" (digest of the backup, "" when absent), …
  bool operator==(const JournalRecord&) const = default;
};
[[nodiscard]] std::string encode_journal(const JournalRecord& record);
[[nodiscard]] Result<JournalRecord> decode_journal(std::string_view json);

}  // namespace cloudos::model
