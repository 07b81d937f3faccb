#include "agent/daemon/network/scrape.hpp"

#include <format>
#include <mutex>

#include "agent/daemon/network/api_thread.hpp"
#include "agent/http/http.hpp"
#include "agent/kube/kube.hpp"
#include "agent/metrics/metrics.hpp"

namespace cloudos::daemon {
namespace {

constexpr auto page = "/metrics";
constexpr std::string_view bearer = "Bearer ";

http::Answer plain(int status, const std::string& text) {
  return {.status = status, .headers = {{"content-type", "text/plain; charset=utf-8"}}, .body = text + "\n"};
}

http::Answer refusal(kube::Gate::Verdict verdict) {
  switch (verdict) {
    case kube::Gate::Verdict::yes: break;
    case kube::Gate::Verdict::forbidden: return plain(403, std::format("this caller may not get {}", page));
    case kube::Gate::Verdict::cannot_tell: return plain(503, "the API server, which knows who may ask, cannot be asked now");
    case kube::Gate::Verdict::unknown_caller: break;
  }
  auto answer = plain(401, "a token of the cluster is needed: Authorization: Bearer …");
  answer.headers["www-authenticate"] = "Bearer";
  return answer;
}

}  // namespace

struct Scrape::State {
  State(Hooks h, Log& l) : hooks(std::move(h)), log(l) {}

  Hooks hooks;
  Log& log;
  settings::Settings::Metrics settings{.enabled = false};
  std::string address, serving;
  // Of the thread of the server with TLS, but for what is handed to it.
  std::mutex handing;
  std::optional<halves::Credential> handed;
  std::optional<kube::Api> api;
  kube::Gate gate;

  std::mutex rendering;
  metrics::Collectors collectors{{}};
  std::string node;

  // Last, so that their threads end first.
  std::optional<http::Server> secure, loopback;

  http::Answer render() {
    const auto figures = hooks.figures();
    const auto report = hooks.report();
    const auto own = hooks.own();
    const std::scoped_lock lock(rendering);
    return {.status = 200,
            .headers = {{"content-type", "text/plain; version=0.0.4; charset=utf-8"}},
            .body = collectors.render({.node = node,
                                       .report = report ? &*report : nullptr,
                                       .figures = figures ? &*figures : nullptr,
                                       .own = {.api_writes = own.writes, .api_errors = own.errors}})};
  }

  void take_credential() {
    const std::scoped_lock lock(handing);
    const auto fresh = std::exchange(handed, std::nullopt);
    if (!fresh) return;
    if (auto made = kube::Api::make(access_of(*fresh))) api.emplace(std::move(*made));
  }

  http::Answer guarded(const http::Asked& asked) {
    take_credential();
    const auto header = asked.headers.find("authorization");
    if (header == asked.headers.end() || !header->second.starts_with(bearer)) return refusal(kube::Gate::Verdict::unknown_caller);
    const Secret token(header->second.substr(bearer.size()));
    // One page, one verdict: another path tells nobody whether it is there.
    const auto verdict = gate.check(api ? &*api : nullptr, token, "get", page, std::chrono::steady_clock::now());
    if (verdict != kube::Gate::Verdict::yes) return refusal(verdict);
    return asked.path == page ? render() : plain(404, std::format("there is {} here", page));
  }
  http::Answer open(const http::Asked& asked) { return asked.path == page ? render() : plain(404, std::format("there is {} here", page)); }

  bool start(std::optional<http::Server>& server, http::Server::Options options, http::Server::Handler handler) {
    const auto where = std::format("{}:{}", options.address, options.port);
    auto started = http::Server::start(std::move(options), std::move(handler));
    if (!started) {
      log.warning("metrics on {}: {}", where, started.error().text());
      return false;
    }
    log.info("metrics on {}", where);
    server.emplace(std::move(*started));
    return true;
  }
};

Scrape::Scrape(Hooks hooks, Log& log) : state_(std::make_unique<State>(std::move(hooks), log)) {}
Scrape::~Scrape() = default;

bool Scrape::set(const settings::Settings::Metrics& settings, const std::optional<halves::Credential>& credential) {
  auto& s = *state_;
  const auto before = std::exchange(s.settings, settings);
  if (!settings.enabled || before.port != settings.port) s.secure.reset();
  if (!settings.enabled || before.loopback != settings.loopback) s.loopback.reset();
  if (!settings.enabled || !credential) return true;
  {
    const std::scoped_lock lock(s.handing);
    s.handed = credential;
  }
  {
    const std::scoped_lock lock(s.rendering);
    s.node = credential->node;
  }
  bool well = true;
  const bool own = credential->serving_certificate.empty();
  const http::Identity identity{.certificate = own ? credential->store_certificate : credential->serving_certificate,
                                .key = own ? credential->store_key : credential->serving_key};
  if (s.address != credential->address) s.secure.reset();
  if (s.secure && s.serving != identity.certificate) {
    if (const auto renewed = s.secure->renew(identity); !renewed) s.log.warning("the serving certificate: {}", renewed.error().text());
  }
  s.address = credential->address;
  s.serving = identity.certificate;
  if (!s.secure && !identity.certificate.empty())
    well = s.start(s.secure, {.address = s.address, .port = settings.port, .identity = identity},
                   [&s](const http::Asked& asked) { return s.guarded(asked); });
  if (!s.loopback && settings.loopback != 0)
    well = s.start(s.loopback, {.address = "127.0.0.1", .port = settings.loopback}, [&s](const http::Asked& asked) {
      return s.open(asked);
    }) && well;
  return well;
}

}  // namespace cloudos::daemon
