#pragma once

#include "core/plan/machines.hpp"

namespace cloudos::plan {

// Where the checks of preflight put what they find, machine by machine.
class Report {
 public:
  void error(const MachineId& machine, std::string code, std::string message, std::string remedy);
  void warning(const MachineId& machine, std::string code, std::string message, std::string remedy);
  [[nodiscard]] std::vector<model::Finding> take() { return std::move(findings_); }

 private:
  std::vector<model::Finding> findings_;
};

// One machine by itself. check_machine.cpp: who it is, what its kernel can do, what else runs there.
void check_machine(const Input& input, const Member& member, Report& report);
// check_ports.cpp: ports that Kubernetes listens on and somebody else holds.
void check_ports(const Member& member, Report& report);
// check_space.cpp: disk space and inodes against what the bundle needs, by file system.
void check_space(const Input& input, const Member& member, Report& report);
// check_network.cpp: the cluster's networks against the machine's own routes; its address.
void check_network(const Input& input, const Member& member, Report& report);
// All of these.
void check_alone(const Input& input, const Member& member, Report& report);

// Machines with one another. check_across.cpp: names and ids, clocks, clusters and versions, who did not answer.
void check_identities(const Cluster& cluster, Report& report);
void check_clocks(const Input& input, Report& report);
void check_cluster(const Input& input, const Cluster& cluster, Report& report);
// check_network.cpp: who reaches whom; the endpoint.
void check_reach(const Input& input, const Cluster& cluster, Report& report);
void check_endpoint(const Input& input, const Cluster& cluster, Report& report);

// Whether cloudos has been at work on the machine: what is found there may be its own.
[[nodiscard]] inline bool begun(const model::HostFacts& facts) { return facts.kubernetes.state != "none" && !facts.kubernetes.foreign; }

}  // namespace cloudos::plan
