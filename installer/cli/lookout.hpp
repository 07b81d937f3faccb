#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "installer/cli/node.hpp"
#include "installer/cli/pool.hpp"
#include "installer/driver/inquiry.hpp"

namespace cloudos::cli {

// A cluster that runs, looked at once or again and again: who is asked what, and how the answers come together.
class Lookout {
 public:
  // `config`: at least its masters. `over`: seconds over which machines count CPU time. `setting` outlives this.
  Lookout(model::ClusterConfig config, const driver::Setting& setting, double over);

  struct SeenPool {
    std::string json;  // the master's
    Pool pool;
  };
  // Masters are asked for the pool and every machine for what it uses, all side by side. Machines that the config does not
  // name are found by the cluster's own. Errors: the masters' (none answers), failed (not what an agent speaks).
  [[nodiscard]] Result<SeenPool> pool();

  struct SeenNode {
    std::string json;
    Node node;
  };
  // Everything about one node, by its name or address. Errors: as pool(), and usage (no such node).
  [[nodiscard]] Result<SeenNode> node(const std::string& word);

 private:
  using Said = std::map<MachineId, driver::Inquiry::Answers>;
  [[nodiscard]] std::vector<model::MachineConfig> masters() const;
  [[nodiscard]] Said ask(const std::vector<model::MachineConfig>& machines, const std::vector<std::string>& of_master);
  [[nodiscard]] Result<std::string> first_answer(const Said& said) const;
  void meet(const std::vector<const PoolNode*>& strangers, std::vector<model::MachineConfig>& met);
  [[nodiscard]] std::vector<model::MachineConfig> wanted();
  void ask_machine(Node& node);

  model::ClusterConfig config_;
  driver::Inquiry inquiry_;
  std::vector<std::string> sample_;
};

}  // namespace cloudos::cli
