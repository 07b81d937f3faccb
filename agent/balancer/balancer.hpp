// agent/balancer: 127.0.0.1:7443 on every node, forwarded to a master that answers. Every kubelet and kube-proxy talks to it,
// so that no master is special and losing one is not noticed. It moves bytes and knows nothing of TLS or Kubernetes. Not
// here: who the masters are (the installer writes that), the rest of the agent (a program of its own, so that it stays
// small and survives the agent's upgrades).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/log.hpp"
#include "core/base/units.hpp"
#include "core/os/file/file.hpp"

namespace cloudos::balancer {

// A master's API server: a numeric address and a port.
struct Master {
  std::string address;
  std::uint16_t port = 6443;
  bool operator==(const Master&) const = default;
};

// {"schema":1,"masters":["10.0.0.1:6443","[fd00::1]:6443"]}. Errors: input, with what is wrong.
[[nodiscard]] Result<std::vector<Master>> parse_config(std::string_view json);

struct Timing {
  Milliseconds connect{1'000};  // then the next master is tried
  Milliseconds probe{2'000};    // between two looks at a master that is down
  // A master that lost its power sends no FIN. Unanswered data or keepalives end the connection after this (tcp(7),
  // TCP_USER_TIMEOUT; with user timeout set it overrides the keepalive count).
  Milliseconds silence{4'000};
  // An API server takes connections long before it knows the cluster's roles, and meanwhile refuses what is allowed. One that
  // has just begun to answer gets new connections only when no other answers.
  Milliseconds settle{30'000};
};

// One thread, one epoll set. Clients are spread over the masters that answer, one on this machine first. When a master goes
// silent, all connections through it are closed at once: their owners dial again and land elsewhere.
class Balancer {
 public:
  // `listener`: a listening TCP socket, e.g. systemd's. `log` outlives the balancer.
  static Result<Balancer> make(os::Fd listener, const std::vector<Master>& masters, const Timing& timing, Log& log);
  ~Balancer();
  Balancer(Balancer&&) noexcept;
  Balancer& operator=(Balancer&&) noexcept;

  // Serves until `wake` is readable and `on_wake` (called each time it is) gives false. `on_wake` may call set_masters().
  [[nodiscard]] Status serve(int wake, const std::function<bool()>& on_wake);
  // New masters for new connections; those that are open stay.
  void set_masters(const std::vector<Master>& masters);

 private:
  struct State;
  explicit Balancer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace cloudos::balancer
