#pragma once

#include <condition_variable>
#include <mutex>
#include <optional>

#include "installer/driver/stage.hpp"

namespace cloudos::driver {

// Who may run what, and when: the plan's stages with their states, and the blobs that each machine has. Thread-safe; the
// one place where the machines' threads meet.
class Board {
 public:
  Board(const model::Plan& plan, std::map<MachineId, std::set<Digest>> absent);

  // Waits until a stage of this machine may run, marks it running and gives its index; nothing when this machine has no
  // stage left to run, or stop was requested.
  [[nodiscard]] std::optional<std::size_t> next(const MachineId& machine, const std::stop_token& stop);
  void finish(std::size_t stage, const StageResult& result);
  void blob_stored(const MachineId& machine, const Digest& digest);
  // The blobs of this machine will not come: its stages that still lack some fail.
  void transfer_failed(const MachineId& machine, const Error& error);
  [[nodiscard]] std::map<std::string, std::string> values() const;
  [[nodiscard]] Outcome outcome() const;

 private:
  [[nodiscard]] bool ready(std::size_t stage) const;
  [[nodiscard]] bool has_work(const MachineId& machine) const;
  void skip_dependents();

  const model::Plan& plan_;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::map<MachineId, std::set<Digest>> absent_;
  std::map<StageId, std::size_t> index_;
  std::vector<StageEnd> ends_;
  std::map<std::string, std::string> values_;
  Outcome outcome_;
};

}  // namespace cloudos::driver
