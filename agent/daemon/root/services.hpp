// Inside agent/daemon: whether containerd and kubelet answer. Each is asked what it must be able to answer over a local socket,
// for the root half has no other: containerd for CRI's Version, kubelet for the resources that it may give out (its pod
// resources API). kubelet's /healthz would want TCP, and an answer from the network half could make root restart things.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/grpc/grpc.hpp"
#include "agent/health/sample.hpp"

namespace cloudos::daemon {

class Services {
 public:
  struct Question {
    std::string name;  // "containerd"
    std::filesystem::path socket;
    std::string method;
  };
  Services(loop::Loop& loop, std::vector<Question> questions) : loop_(loop), questions_(std::move(questions)) {}

  // Asks all that are not being asked already.
  void ask(Milliseconds patience);
  // The answers since the last time; of a service that has not been heard of since, none.
  [[nodiscard]] std::vector<health::Sample::Service> take();

 private:
  void answered(const Question& question, const grpc::Answer& answer, Milliseconds patience);

  loop::Loop& loop_;
  std::vector<Question> questions_;
  std::map<std::string, std::unique_ptr<grpc::Call>> calls_;
  std::vector<health::Sample::Service> answers_;
};

[[nodiscard]] std::string unit_of(const std::string& service);
// Blocks: only a unit that runs can hang. One that somebody has stopped, or that systemd is starting, is left out.
void leave_out_stopped(std::vector<health::Sample::Service>& answers);

// The two of a node.
[[nodiscard]] std::vector<Services::Question> node_services();

}  // namespace cloudos::daemon
