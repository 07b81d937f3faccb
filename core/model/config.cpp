#include "core/model/config.hpp"

#include "core/model/config_fields.hpp"

namespace cloudos::model {
namespace {

std::vector<const MachineConfig*> with_role(const std::vector<MachineConfig>& machines, Role role) {
  std::vector<const MachineConfig*> out;
  for (const auto& machine : machines)
    if (machine.role == role) out.push_back(&machine);
  return out;
}

}  // namespace

std::vector<const MachineConfig*> ClusterConfig::masters() const { return with_role(machines, Role::master); }
std::vector<const MachineConfig*> ClusterConfig::nodes() const { return with_role(machines, Role::node); }

std::string encode_config(const ClusterConfig& config) { return codec::encode(config, ClusterConfig::schema); }
Result<ClusterConfig> decode_config(std::string_view json) {
  return codec::decode<ClusterConfig>(json, "cluster config", ClusterConfig::schema);
}

}  // namespace cloudos::model
