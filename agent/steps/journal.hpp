// The journal of a machine: one record a line, synced before the machine is changed. A torn last line (a power cut while
// it was written) is cut off when it is opened.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/model/event.hpp"
#include "core/os/file/file.hpp"

namespace cloudos::steps {

class Journal {
 public:
  // Reads what is there, for reading only: nothing is made.
  static Result<Journal> read(const std::filesystem::path& path);
  // Reads it and opens it for appending. Errors: io, input (a record of a newer schema).
  static Result<Journal> open(const std::filesystem::path& path);

  // Numbers, dates, appends and syncs a record.
  [[nodiscard]] Status write(model::JournalRecord record);

  [[nodiscard]] const std::vector<model::JournalRecord>& records() const { return records_; }
  // The state of the last record of this step: "" when there is none; "undone" counts as none.
  [[nodiscard]] std::string state_of(const StepId& step) const;
  // The last record of this kind of action that was not undone, or null.
  [[nodiscard]] const model::JournalRecord* last_of(std::string_view kind) const;

 private:
  std::vector<model::JournalRecord> records_;
  os::Fd fd_;
};

}  // namespace cloudos::steps
