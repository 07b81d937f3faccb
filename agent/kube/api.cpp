#include <format>

#include "agent/kube/form.hpp"
#include "core/base/text.hpp"

namespace cloudos::kube {
namespace {

constexpr Milliseconds patience{10'000};
// Nothing for so long on a watch: the server sends a bookmark each minute to those who ask for them.
constexpr Milliseconds quiet{600'000};
constexpr std::size_t longest_answer = 16U << 20;

std::string_view type_of(Patch kind) {
  switch (kind) {
    case Patch::merge: return "application/merge-patch+json";
    case Patch::strategic: return "application/strategic-merge-patch+json";
    case Patch::apply: return "application/apply-patch+yaml";  // of which JSON is a part
  }
  return {};
}

std::string text_of(const Json& body) { return body.dump(-1, ' ', false, Json::error_handler_t::replace); }

bool success(int status) { return status >= 200 && status < 300; }

// "PATCH /api/v1/nodes/n1", without the query.
std::string named(const http::Request& request) {
  return std::format("asking {} {}", request.method, sanitise(request.path.substr(0, request.path.find('?'))));
}

}  // namespace

struct Api::State {
  http::Client client;
  Secret token;

  [[nodiscard]] http::Request request(std::string_view method, const std::string& path) const {
    http::Request out{.method = std::string(method), .path = path, .headers = {{"Accept", "application/json"}}};
    if (!token.empty()) out.headers.emplace("Authorization", std::format("Bearer {}", token.reveal()));
    return out;
  }
  Result<Json> ask(const http::Request& request) {
    auto answer = client.ask(request, in(patience), longest_answer);
    if (!answer) return fail(std::move(answer).error().with(named(request)));
    if (!success(answer->status)) return fail(form::refusal(answer->status, answer->body).with(named(request)));
    auto object = form::object(answer->body);
    if (!object) return fail(std::move(object).error().with(named(request)));
    return object;
  }
  Result<Json> ask(std::string_view method, const std::string& path, std::string_view type, const Json& body) {
    auto out = request(method, path);
    out.headers.emplace("Content-Type", type);
    out.body = text_of(body);
    return ask(out);
  }
};

bool not_found(const Error& error) { return error.kind == ErrorKind::input && error.message.starts_with("404"); }

Api::Api(std::unique_ptr<State> state) : state_(std::move(state)) {}
Api::~Api() = default;
Api::Api(Api&&) noexcept = default;
Api& Api::operator=(Api&&) noexcept = default;

Result<Api> Api::make(Access access) {
  CLOUDOS_ASSIGN(auto client, http::Client::make({.url = std::move(access.server),
                                                  .trust = {.ca = std::move(access.ca), .spki = {}},
                                                  .identity = std::move(access.identity)}));
  return Api(std::make_unique<State>(State{.client = std::move(client), .token = std::move(access.token)}));
}

Result<Json> Api::get(const std::string& path) { return state_->ask(state_->request("GET", path)); }
Result<Json> Api::patch(const std::string& path, Patch kind, const Json& body) { return state_->ask("PATCH", path, type_of(kind), body); }
Result<Json> Api::create(const std::string& path, const Json& body) { return state_->ask("POST", path, "application/json", body); }
Result<Json> Api::replace(const std::string& path, const Json& body) { return state_->ask("PUT", path, "application/json", body); }
Status Api::remove(const std::string& path) {
  CLOUDOS_TRY(state_->ask(state_->request("DELETE", path)));
  return {};
}

Status Api::watch(const std::string& path, const std::function<Status(const Json&)>& seen,
                  std::stop_token stop) {  // NOLINT(performance-unnecessary-value-param): a handle, as the standard passes it
  const auto request = state_->request("GET", path);
  form::Events events;
  const ByteSink sink = [&](std::span<const std::byte> piece) {
    return events.take({static_cast<const char*>(static_cast<const void*>(piece.data())), piece.size()}, seen);
  };
  const auto answer = state_->client.stream(request, sink, quiet, stop);
  if (stop.stop_requested()) return {};
  if (!answer) return fail(Error(answer.error()).with(named(request)));
  if (answer->status != 200) return fail(form::refusal(answer->status, answer->body).with(named(request)));
  CLOUDOS_TRY_WITH(events.end(), named(request));
  return {};
}

}  // namespace cloudos::kube
