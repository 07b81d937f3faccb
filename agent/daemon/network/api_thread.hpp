// Inside agent/daemon: the thread that speaks to the API server for the network half. Calls block there and nowhere else.
#pragma once

#include <functional>
#include <memory>

#include "agent/daemon/network/core.hpp"
#include "agent/kube/kube.hpp"
#include "agent/loop/loop.hpp"
#include "core/base/log.hpp"

namespace cloudos::daemon {

class ApiThread {
 public:
  struct Hooks {
    // Both on the loop.
    std::function<void(const halves::Delivered&)> delivered;
    std::function<void()> wants_credential;
  };
  // `log` outlives everything. Errors: io.
  static Result<ApiThread> start(loop::Loop& loop, Hooks hooks, Core::Options options, Log& log);
  ~ApiThread();
  ApiThread(ApiThread&&) noexcept;
  ApiThread& operator=(ApiThread&&) noexcept;

  void report(halves::Report report);
  void add(const health::HealthEvent& event);
  void credential(const halves::Credential& credential);
  [[nodiscard]] Core::Counters counters() const;
  // Whether it has come back from its last call within reasonable time.
  [[nodiscard]] bool alive() const;
  [[nodiscard]] bool in_touch() const;

 private:
  struct State;
  explicit ApiThread(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

// With what the API is spoken to, of a credential.
[[nodiscard]] kube::Access access_of(const halves::Credential& credential);

}  // namespace cloudos::daemon
