#include "core/plan/checks.hpp"

namespace cloudos::plan {

void Report::error(const MachineId& machine, std::string code, std::string message, std::string remedy) {
  findings_.push_back({model::Finding::Severity::error, std::move(code), machine.value, std::move(message), std::move(remedy)});
}
void Report::warning(const MachineId& machine, std::string code, std::string message, std::string remedy) {
  findings_.push_back({model::Finding::Severity::warning, std::move(code), machine.value, std::move(message), std::move(remedy)});
}

void check_alone(const Input& input, const Member& member, Report& report) {
  check_machine(input, member, report);
  check_ports(member, report);
  check_space(input, member, report);
  check_network(input, member, report);
}

std::vector<model::Finding> preflight(const Input& input) {
  Report report;
  const auto cluster = resolve(input);
  check_cluster(input, cluster, report);
  for (const auto& member : cluster.members) check_alone(input, member, report);
  check_identities(cluster, report);
  check_clocks(input, report);
  check_reach(input, cluster, report);
  check_endpoint(input, cluster, report);
  return report.take();
}

}  // namespace cloudos::plan
