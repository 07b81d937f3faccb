#pragma once

#include "installer/driver/driver.hpp"

namespace cloudos::driver {

// The machines of a cluster that runs, asked over connections that stay open from one round of questions to the next.
class Inquiry {
 public:
  // What `cloudos-agent` is asked on a machine: its words for each question, and the answers in the same order.
  using Questions = std::vector<std::vector<std::string>>;
  using Answers = std::vector<Result<std::string>>;

  // `setting` outlives this.
  explicit Inquiry(const Setting& setting) : setting_(&setting) {}

  // Takes machines in; one whose id is known stays as it is.
  void know(const std::vector<model::MachineConfig>& machines);
  [[nodiscard]] const std::vector<model::MachineConfig>& machines() const { return known_; }
  // All machines side by side, each its own questions one after the other. After a connection is lost, or cannot be made, the
  // rest of a machine's answers are that error: nobody waits twice for a machine that is away. Ids that are not known get no
  // answer.
  [[nodiscard]] std::map<MachineId, Answers> ask(const std::map<MachineId, Questions>& questions);

 private:
  const Setting* setting_;
  std::vector<model::MachineConfig> known_;
  std::map<MachineId, std::unique_ptr<Machine>> machines_;
};

}  // namespace cloudos::driver
