#include "agent/daemon/network/join_service.hpp"

#include <format>
#include <mutex>
#include <thread>

#include "agent/admit/admit.hpp"
#include "agent/daemon/network/api_thread.hpp"
#include "agent/http/http.hpp"
#include "agent/supply/supply.hpp"

namespace cloudos::daemon {

struct Store::State {
  explicit State(Log& l) : log(l) {}

  Log& log;
  std::uint16_t port = 0;
  std::string address, certificate, ca;
  std::optional<supply::Supply> supply;
  std::optional<http::Server> server;  // ends first
};

Store::Store(Log& log) : state_(std::make_unique<State>(log)) {}
Store::~Store() = default;

bool Store::set(const settings::Settings::Supply& settings, const std::optional<halves::Credential>& credential) {
  auto& s = *state_;
  if (!settings.enabled || !credential || credential->store_certificate.empty()) {
    s.server.reset();
    return true;
  }
  // Another address, another CA: another cluster; nothing of the old one stays.
  if (s.port != settings.port || s.address != credential->address || s.ca != credential->ca) s.server.reset();
  s.port = settings.port;
  s.address = credential->address;
  s.ca = credential->ca;
  if (!s.server) s.supply.emplace(supply::Supply::Options{.root = "/", .node = credential->node, .ca = s.ca, .log = &s.log});
  s.supply->renew(access_of(*credential));
  const http::Identity identity{.certificate = credential->store_certificate, .key = credential->store_key};
  const bool other = s.certificate != identity.certificate;
  s.certificate = identity.certificate;
  if (s.server) {
    if (const auto renewed = other ? s.server->renew(identity) : Status{}; !renewed)
      s.log.warning("the store's certificate: {}", renewed.error().text());
    return true;
  }
  auto started = http::Server::start({.address = s.address, .port = s.port, .identity = identity},
                                     [&s](const http::Asked& asked) { return s.supply->answer(asked); });
  if (!started) {
    s.log.warning("the store on {}:{}: {}", s.address, s.port, started.error().text());
    return false;
  }
  s.log.info("the store for machines that join on {}:{}", s.address, s.port);
  s.server.emplace(std::move(*started));
  return true;
}

// Shared with the thread, which may be left behind in a call when the process ends.
struct Admission::State {
  explicit State(Log& l) : log(l) {}

  Log& log;
  std::mutex mutex;
  std::optional<halves::Credential> credential;
  bool started = false;
  std::stop_source stop;

  Result<kube::Access> access() {
    const std::scoped_lock lock(mutex);
    if (!credential) return fail(ErrorKind::auth, "there is no credential");
    return access_of(*credential);
  }
};

Admission::Admission(Log& log) : state_(std::make_shared<State>(log)) {}
Admission::~Admission() { state_->stop.request_stop(); }

void Admission::set(const std::optional<halves::Credential>& credential) {
  if (!credential || credential->role != "master") return;
  {
    const std::scoped_lock lock(state_->mutex);
    state_->credential = credential;
    if (std::exchange(state_->started, true)) return;
  }
  state_->log.info("deciding on machines that ask to join");
  std::thread([state = state_, node = credential->node] {
    admit::Admitter admitter({.access = [state] { return state->access(); }, .node = node, .log = &state->log, .now_s = {}});
    admitter.run(state->stop.get_token());
  }).detach();
}

}  // namespace cloudos::daemon
