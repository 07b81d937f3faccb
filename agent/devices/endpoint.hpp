// Inside agent/devices: one resource's socket, its registration with kubelet, and the list that kubelet watches.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/devices/devices.hpp"
#include "agent/devices/model.hpp"
#include "agent/grpc/grpc.hpp"

namespace cloudos::devices {

class Endpoint {
 public:
  // `fit` tells why a card is not fit to be given out, "" when it is. Everything referred to outlives the endpoint.
  Endpoint(loop::Loop& loop, const Options& options, Log& log, Resource resource, std::function<std::string(const std::string& card)> fit);
  Endpoint(const Endpoint&) = delete;
  Endpoint& operator=(const Endpoint&) = delete;

  [[nodiscard]] const Resource& resource() const { return resource_; }
  [[nodiscard]] Counts counts() const;
  // Other units, or others of them fit: told to kubelet if that makes a difference.
  void set(Resource resource);
  void refresh();
  // kubelet has (newly) made its socket; it emptied the folder before, ours included.
  void kubelet_started();

 private:
  void serve();
  void ask();
  void ask_later(Milliseconds span);
  void answered(const grpc::Answer& answer);
  void stream_ended();
  [[nodiscard]] bool watched() const;
  [[nodiscard]] std::string list() const;
  [[nodiscard]] grpc::Service methods();
  [[nodiscard]] grpc::Answer prefer(std::string_view request) const;
  [[nodiscard]] grpc::Answer allocate(std::string_view request) const;

  loop::Loop& loop_;
  const Options& options_;
  Log& log_;
  Resource resource_;
  std::function<std::string(const std::string&)> fit_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<grpc::Call> call_;
  loop::Source timer_;
  Milliseconds pause_;
  bool quiet_ = false;  // the present trouble has been logged
  std::string last_list_;
  std::vector<std::shared_ptr<grpc::Stream>> streams_;
};

}  // namespace cloudos::devices
