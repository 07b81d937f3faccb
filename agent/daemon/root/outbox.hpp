// Inside agent/daemon: what the root half has to say, kept until the network half says that it is written. Bounded.
#pragma once

#include <deque>

#include "agent/halves/halves.hpp"

namespace cloudos::daemon {

class Outbox {
 public:
  explicit Outbox(std::string epoch) { report_.epoch = std::move(epoch); }

  // What the node is and how it is; changed in place.
  [[nodiscard]] halves::Report& report() { return report_; }
  void add(health::HealthEvent event);
  void delivered(const halves::Delivered& upto);

 private:
  halves::Report report_;
  std::uint64_t sequence_ = 0;
};

}  // namespace cloudos::daemon
