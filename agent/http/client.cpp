#include <netdb.h>

#include <cstring>
#include <format>

#include "agent/http/exchange.hpp"
#include "core/base/ip.hpp"
#include "core/base/text.hpp"
#include "core/os/file/sigpipe.hpp"

namespace cloudos::http {
namespace {

using namespace detail;

// Of the body of an answer that is no success.
constexpr std::size_t longest_refusal = 64U << 10;

struct Place {
  std::string host;
  std::uint16_t port = 0;
};

Result<Place> place_of(const std::string& url) {
  const auto bad = [&](std::string_view why) {
    return fail(ErrorKind::input, std::format("\"{}\" is not a server: {}", sanitise(url), why), "write it as https://10.0.0.1:6443");
  };
  const std::unique_ptr<evhttp_uri, Freed<evhttp_uri_free>> parts(evhttp_uri_parse(url.c_str()));
  if (!parts || evhttp_uri_get_scheme(parts.get()) == nullptr) return bad("not a URL");
  if (lower(evhttp_uri_get_scheme(parts.get())) != "https") return bad("only https is spoken");
  const std::string_view path = evhttp_uri_get_path(parts.get());
  if ((!path.empty() && path != "/") || evhttp_uri_get_query(parts.get()) != nullptr || evhttp_uri_get_fragment(parts.get()) != nullptr ||
      evhttp_uri_get_userinfo(parts.get()) != nullptr)
    return bad("only a scheme, a host and a port are expected");
  const auto* const named = evhttp_uri_get_host(parts.get());
  std::string host = named != nullptr ? named : "";
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  const int port = evhttp_uri_get_port(parts.get());
  if (host.empty() || port == 0 || port > 65535) return bad("a host and a port are expected");
  return Place{.host = std::move(host), .port = static_cast<std::uint16_t>(port < 0 ? 443 : port)};
}

Result<std::vector<std::string>> addresses_of(const std::string& host) {
  if (Ip::parse(host)) return std::vector{host};
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* found = nullptr;
  if (const int code = ::getaddrinfo(host.c_str(), nullptr, &hints, &found); code != 0) {
    auto error =
        Error{.kind = ErrorKind::network, .message = std::format("the name {} is not known: {}", sanitise(host), ::gai_strerror(code))};
    error.retryable = true;
    return fail(std::move(error));
  }
  const std::unique_ptr<addrinfo, Freed<::freeaddrinfo>> all(found);
  std::vector<std::string> out;
  for (const auto* at = found; at != nullptr; at = at->ai_next) {
    std::array<char, NI_MAXHOST> text{};
    if (::getnameinfo(at->ai_addr, at->ai_addrlen, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST) == 0)
      out.emplace_back(text.data());
  }
  return out;
}

// May be sent once more when nobody knows whether it arrived (RFC 9110, section 9.2.2).
bool idempotent(std::string_view method) { return method == "GET" || method == "HEAD" || method == "PUT" || method == "DELETE"; }

}  // namespace

struct Client::State {
  Options options;
  Place place = {};
  Context context = {};
  Base base = {};
  // After the base, since it goes before it.
  std::unique_ptr<Line> line = {};

  ~State() { line.reset(); }
  explicit State(Options given) : options(std::move(given)) {}
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  Result<Response> ask(const Request& request, const Bounds& bounds) {
    const os::WithoutSigpipe quiet;
    if (line && !line->usable()) line.reset();
    if (line) {
      auto outcome = exchange(*line, request, bounds);
      const bool stale = !outcome.answer && outcome.unheard && outcome.answer.error().kind == ErrorKind::network;
      if (line->gone) line.reset();
      if (!stale || !idempotent(request.method)) return std::move(outcome.answer);
    }
    return ask_anew(request, bounds);
  }

  // Over a new connection, to the first address that takes one.
  Result<Response> ask_anew(const Request& request, const Bounds& bounds) {
    CLOUDOS_ASSIGN(const auto addresses, addresses_of(place.host));
    Result<Response> answer = fail(ErrorKind::network, std::format("the name {} has no address", sanitise(place.host)));
    for (const auto& address : addresses) {
      line = std::make_unique<Line>(base.get(), context.get(), options.trust, place.host, place.port, address);
      auto outcome = exchange(*line, request, bounds);
      if (line->gone) line.reset();
      answer = std::move(outcome.answer);
      if (answer || !outcome.unconnected) break;
    }
    return answer;
  }
};

Client::Client(std::unique_ptr<State> state) : state_(std::move(state)) {}
Client::~Client() = default;
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;

Result<Client> Client::make(Options options) {
  auto state = std::make_unique<State>(std::move(options));
  CLOUDOS_ASSIGN(state->place, place_of(state->options.url));
  CLOUDOS_ASSIGN(state->context, client_context(state->options.trust, state->options.identity));
  state->options.identity.reset();  // the context has it
  state->base = make_base();
  return Client(std::move(state));
}

Result<Response> Client::ask(const Request& request, Deadline deadline, std::size_t limit) {
  return state_->ask(request, {.connect = state_->options.connect, .deadline = deadline, .limit = limit});
}

Result<Response> Client::stream(const Request& request, const ByteSink& body, Milliseconds stall, std::stop_token stop) {
  return state_->ask(
      request, {.connect = state_->options.connect, .stall = stall, .limit = longest_refusal, .sink = &body, .stop = std::move(stop)});
}

}  // namespace cloudos::http
