// Inside agent/daemon: what the network half does for machines that join by themselves: on every node the store that they fetch
// from, on masters the word on who may (docs/tokens.md).
#pragma once

#include <memory>
#include <optional>

#include "agent/halves/halves.hpp"
#include "agent/settings/settings.hpp"
#include "core/base/log.hpp"

namespace cloudos::daemon {

class Store {
 public:
  explicit Store(Log& log);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // What is served, and with what. False when it could not be started and is to be tried again.
  bool set(const settings::Settings::Supply& settings, const std::optional<halves::Credential>& credential);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// A thread, on masters only.
class Admission {
 public:
  explicit Admission(Log& log);
  ~Admission();
  Admission(const Admission&) = delete;
  Admission& operator=(const Admission&) = delete;

  void set(const std::optional<halves::Credential>& credential);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace cloudos::daemon
