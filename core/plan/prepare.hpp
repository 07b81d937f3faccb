#pragma once

#include "core/plan/machines.hpp"

namespace cloudos::plan {

// Collects the steps of one stage; ids are made from what a step touches, so that they are the same in every run.
class StepList {
 public:
  void add(std::string id, std::string what, std::string why, model::Action action);
  void folder(const std::string& path, std::string why, unsigned mode = 0755);
  void file(const std::string& path, std::string content, std::string_view what, std::string why, unsigned mode = 0644);
  [[nodiscard]] std::vector<model::Step> take() { return std::move(steps_); }

 private:
  std::vector<model::Step> steps_;
};

// What a machine needs before kubeadm runs on it: kernel settings, the bundle's files, containerd, the balancer, the
// kubelet's unit.
void add_machine_settings(const Member& member, StepList& steps);
void add_files(const Input& input, const Member& member, StepList& steps);
// What a node passes on to machines that join by themselves: the signed bundle.json and the keys. Of an earlier bundle nothing stays.
void add_vouched(const Input& input, StepList& steps);
void add_runtime(const Input& input, const Member& member, StepList& steps);
void add_balancer(const Cluster& cluster, StepList& steps);
void add_kubelet(const Member& member, StepList& steps);
// The agent that stays, once there is a node whose credential it can use.
void add_agent(StepList& steps);
// The images of the member's role, those that are needed first before the others.
void add_images(const Input& input, const Member& member, StepList& steps);
// What this machine belongs to: /etc/cloudos/cluster.json.
void add_membership(const Input& input, const Member& member, StepList& steps);

}  // namespace cloudos::plan
