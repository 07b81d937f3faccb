// What becomes of an API server's answers, good and bad, as one of our own over TLS gives them.
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include <atomic>
#include <format>

#include "agent/kube/form.hpp"
#include "tests/unit/http/authority.hpp"
#include "tests/unit/http/raw.hpp"

using namespace cloudos;
using namespace cloudos::kube;
using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using test::Wire;

namespace {

const http::Identity& authority() {
  static const http::Identity ca = test::make_ca("kubernetes");
  return ca;
}

// An API server that says what a test wants, and remembers what it was asked last.
struct ApiServer {
  explicit ApiServer(std::function<void(const Wire&, const std::string& asked)> say)
      : server({.identity = test::issue(authority(), "kube-apiserver")}, [this, say = std::move(say)](const Wire& wire) {
          for (;;) {
            auto head = wire.read_to("\r\n\r\n");
            if (head.empty()) return;
            const auto body_at = head.find("\r\n\r\n") + 4;
            const auto length_at = head.find("Content-Length: ");
            const auto size = length_at == std::string::npos ? 0 : std::stoul(head.substr(length_at + 16));
            while (head.size() < body_at + size) head += wire.read();
            {
              const std::scoped_lock lock(mutex);
              asked = head;
            }
            say(wire, head);
          }
        }) {}
  // Always the same answer.
  ApiServer(int status, const std::string& body, const std::string& type = "application/json")
      : ApiServer([status, body, type](const Wire& wire, const std::string&) {
          wire.write("HTTP/1.1 " + std::to_string(status) + " X\r\nContent-Type: " + type +
                     "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
        }) {}
  std::mutex mutex;
  std::string asked;
  test::RawServer server;

  [[nodiscard]] Api api(Secret token = Secret("t0ken")) const {
    auto made = Api::make({.server = server.url(), .ca = authority().certificate, .token = std::move(token)});
    if (!made) throw std::runtime_error(made.error().text());
    return std::move(*made);
  }
  [[nodiscard]] std::string last() {
    const std::scoped_lock lock(mutex);
    return asked;
  }
};

std::string status_of(int code, const std::string& reason, const std::string& message) {
  return Json{{"kind", "Status"}, {"status", "Failure"}, {"code", code}, {"reason", reason}, {"message", message}}.dump();
}

// A watch whose body comes in the given pieces.
ApiServer watch_of(std::vector<std::string> pieces, bool whole = true) {
  return ApiServer([pieces = std::move(pieces), whole](const Wire& wire, const std::string&) {
    wire.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (const auto& piece : pieces) wire.write(std::format("{:x}\r\n{}\r\n", piece.size(), piece));
    if (whole) wire.write("0\r\n\r\n");
    else static_cast<void>(wire.read_to("never"));
  });
}

}  // namespace

TEST_CASE("Objects are asked for, made, patched, replaced and removed as the API wants it") {
  ApiServer server(200, R"({"kind":"Node","metadata":{"name":"n1"}})");
  auto api = server.api();
  CHECK(api.get("/api/v1/nodes/n1").value()["metadata"]["name"] == "n1");
  CHECK_THAT(server.last(), ContainsSubstring("GET /api/v1/nodes/n1 HTTP/1.1") && ContainsSubstring("Authorization: Bearer t0ken"));
  const Json body = {{"a", "b"}};
  CHECK(api.create("/x", body));
  CHECK_THAT(server.last(),
             ContainsSubstring("POST /x") && ContainsSubstring("Content-Type: application/json\r\n") && ContainsSubstring(R"({"a":"b"})"));
  CHECK(api.replace("/x", body));
  CHECK_THAT(server.last(), ContainsSubstring("PUT /x"));
  CHECK(api.remove("/x"));
  CHECK_THAT(server.last(), ContainsSubstring("DELETE /x"));
  for (const auto& [kind, type] : {std::pair(Patch::merge, "application/merge-patch+json"),
                                   {Patch::strategic, "application/strategic-merge-patch+json"},
                                   {Patch::apply, "application/apply-patch+yaml"}}) {
    CHECK(api.patch("/x?fieldManager=cloudos", kind, body));
    CHECK_THAT(server.last(),
               ContainsSubstring("PATCH /x?fieldManager=cloudos") && ContainsSubstring(std::string("Content-Type: ") + type + "\r\n"));
  }
  CHECK(server.server.accepted() == 1);
}

TEST_CASE("A refusal of the API is an error of its kind, with the reason and the message") {
  struct Expected {
    int status;
    ErrorKind kind;
    bool retryable;
  };
  for (const auto& [status, kind, retryable] : {Expected{400, ErrorKind::input, false},
                                                {401, ErrorKind::auth, false},
                                                {403, ErrorKind::auth, false},
                                                {404, ErrorKind::input, false},
                                                {409, ErrorKind::conflict, false},
                                                {410, ErrorKind::conflict, true},
                                                {422, ErrorKind::input, false},
                                                {429, ErrorKind::network, true},
                                                {500, ErrorKind::network, true},
                                                {503, ErrorKind::network, true},
                                                {302, ErrorKind::failed, false}}) {
    const ApiServer server(status, status_of(status, "TheReason", "the message"));
    const auto answer = server.api().get("/api/v1/nodes/n1?x=y");
    REQUIRE_FALSE(answer);
    CHECK(answer.error().kind == kind);
    CHECK(answer.error().retryable == retryable);
    CHECK(answer.error().message == std::to_string(status) + " TheReason: the message");
    CHECK_THAT(answer.error().text(), ContainsSubstring("GET /api/v1/nodes/n1") && !ContainsSubstring("x=y"));
    CHECK(not_found(answer.error()) == (status == 404));
  }
}

TEST_CASE("A message of the API reaches no terminal with escape sequences or line breaks in it") {
  const ApiServer server(403, status_of(403, "Forb\x1b[2Jidden", "go\n\x1b]0;owned\x07 away\xc2\x9b"));
  const auto answer = server.api().get("/x");
  REQUIRE_FALSE(answer);
  CHECK_THAT(answer.error().message, ContainsSubstring("\\x1b]0;owned\\x07") && !ContainsSubstring("\x1b") && !ContainsSubstring("\n"));
}

TEST_CASE("What is no JSON object, or one that is cut off or too deep, is an error that says so") {
  const std::string html = "<html><body>\x1b[31mlog in</body></html>";
  for (const auto& body : {html, std::string(R"({"kind":"No)"), std::string("[1]"), std::string("null"), std::string(), std::string("{}{}"),
                           std::string("\xff\xfe"), std::string("{\"a\":1e999}")}) {
    const ApiServer server(200, body, "text/html");
    const auto answer = server.api().get("/x");
    REQUIRE_FALSE(answer);
    CHECK(answer.error().kind == ErrorKind::input);
    CHECK_FALSE(not_found(answer.error()));
    CHECK_THAT(answer.error().message, ContainsSubstring("no JSON object") && !ContainsSubstring("\x1b"));
  }
  const ApiServer gateway(502, html, "text/html");
  const auto bad = gateway.api().get("/x");
  CHECK(bad.error().kind == ErrorKind::network);
  CHECK_THAT(bad.error().message, ContainsSubstring("502") && ContainsSubstring("log in") && !ContainsSubstring("\x1b"));
  for (const auto& bomb : {"{\"a\":" + std::string(2'000'000, '['), std::string(2'000'000, '['), [] {
                             std::string text;
                             for (int i = 0; i < 300'000; ++i) text += "{\"a\":";
                             return text;
                           }()}) {
    const ApiServer server(200, bomb);
    const auto answer = server.api().get("/x");
    REQUIRE_FALSE(answer);
    CHECK(answer.error().kind == ErrorKind::input);
    CHECK_THAT(answer.error().message, ContainsSubstring("nests deeper"));
    CHECK(form::refusal(500, bomb).kind == ErrorKind::network);
  }
}

TEST_CASE("Each event of a watch is seen once, wherever the pieces end") {
  const std::string text = R"({"type":"ADDED","object":{"n":1}})"
                           "\n"
                           R"({"type":"MODIFIED","object":{"n":2}})"
                           "\n"
                           R"({"type":"BOOKMARK","object":{"n":3}})"
                           "\n";
  for (const std::size_t size : {std::size_t{1}, std::size_t{7}, std::size_t{35}, text.size()}) {
    std::vector<std::string> pieces;
    for (std::size_t at = 0; at < text.size(); at += size) pieces.push_back(text.substr(at, size));
    const auto server = watch_of(pieces);
    std::vector<int> seen;
    const auto ended = server.api().watch("/watch",
                                          [&](const Json& event) -> Status {
                                            seen.push_back(event["object"]["n"].get<int>());
                                            return {};
                                          },
                                          {});
    if (!ended) FAIL(ended.error().text());
    CHECK(seen == std::vector{1, 2, 3});
  }
}

TEST_CASE("A watch ends with an error at what is no event, and says why") {
  const auto watched = [](const std::string& text) {
    const auto server = watch_of({text});
    const auto ended = server.api().watch("/w", [](const Json&) -> Status { return {}; }, {});
    return ended ? Error{.message = "none"} : ended.error();
  };
  CHECK(watched("{\"type\":\"ADDED\",\"object\":{}}\n\n").message == "none");
  for (const std::string text :
       {"<html>\n", "{\"type\":\"ADDED\"}\n", "{\"type\":\"OTHER\",\"object\":{}}\n", "{\"type\":1,\"object\":{}}\n", "[]\n"})
    CHECK(watched(text).kind == ErrorKind::input);
  CHECK_THAT(watched("{\"type\":\"ADDED\",\"object\":{").message, ContainsSubstring("within an event"));
  CHECK_THAT(watched(std::string((1U << 20) + 1, ' ')).message, ContainsSubstring("longer than 1.0 MiB"));
  const auto expired = watched(R"({"type":"ERROR","object":)" + status_of(410, "Expired", "too old resource version") + "}\n");
  CHECK(expired.kind == ErrorKind::conflict);
  CHECK_THAT(expired.message, ContainsSubstring("410 Expired: too old"));
  const ApiServer forbidden(403, status_of(403, "Forbidden", "no"));
  CHECK(forbidden.api().watch("/w", [](const Json&) -> Status { return {}; }, {}).error().kind == ErrorKind::auth);
}

TEST_CASE("A watch ends when it is told to stop, and with the error of who watches") {
  const auto server = watch_of({"{\"type\":\"ADDED\",\"object\":{}}\n"}, false);
  auto api = server.api();
  std::stop_source stop;
  CHECK(api.watch(
      "/w",
      [&](const Json&) -> Status {
        stop.request_stop();
        return {};
      },
      stop.get_token()));
  const auto failed = api.watch("/w", [](const Json&) -> Status { return fail(ErrorKind::io, "disk full"); }, {});
  REQUIRE_FALSE(failed);
  CHECK(failed.error().message == "disk full");
}

TEST_CASE("Who calls is told by the API server, and an answer of another form is no yes") {
  ApiServer server(201, R"({"status":{"authenticated":true,"user":{"username":"prometheus","uid":"7","groups":["a","b"]}}})");
  auto api = server.api();
  const auto user = review_token(api, Secret("abc"));
  REQUIRE(user);
  REQUIRE(*user);
  CHECK((*user)->name == "prometheus");
  CHECK((*user)->uid == "7");
  CHECK((*user)->groups == std::vector<std::string>{"a", "b"});
  CHECK_THAT(server.last(), ContainsSubstring("POST /apis/authentication.k8s.io/v1/tokenreviews") && ContainsSubstring(R"("token":"abc")"));
  const auto reviewed = [](const char* text) { return form::reviewed(form::object(text).value()); };
  CHECK_FALSE(reviewed(R"({"status":{"authenticated":false,"error":"x"}})").value());
  CHECK_FALSE(reviewed(R"({"status":{"authenticated":"true","user":{"username":"x"}}})").value());
  for (const auto* bad :
       {R"({})", R"({"status":1})", R"({"status":{"authenticated":true}})", R"({"status":{"authenticated":true,"user":{"username":""}}})",
        R"({"status":{"authenticated":true,"user":{"username":"x","groups":[1]}}})"})
    CHECK(reviewed(bad).error().kind == ErrorKind::input);
  const auto allowed = [](const char* text) { return form::allowed(form::object(text).value()); };
  CHECK(allowed(R"({"status":{"allowed":true}})").value());
  CHECK_FALSE(allowed(R"({"status":{"allowed":true,"denied":true}})").value());
  CHECK_FALSE(allowed(R"({"status":{"allowed":1}})").value());
  CHECK_FALSE(allowed(R"({"status":{}})").value());
  CHECK_FALSE(allowed(R"({})").has_value());
}

namespace {

// Knows the tokens "good" (may read /metrics) and "poor"; counts what it is asked.
struct Reviewer {
  std::atomic<int> reviews = 0;
  std::atomic<bool> broken = false;
  ApiServer server{[this](const Wire& wire, const std::string& asked) {
    ++reviews;
    const bool known = asked.contains("\"good\"") || asked.contains("\"poor\"");
    const bool token = asked.contains("tokenreviews");
    const std::string name = asked.contains("good") ? "good" : "poor";
    const Json status = token ? Json{{"authenticated", known}, {"user", {{"username", name}}}}
                              : Json{{"allowed", name == "good" && asked.contains("/metrics")}};
    const auto body = Json{{"status", status}}.dump();
    wire.write(std::string(broken ? "HTTP/1.1 500 X" : "HTTP/1.1 201 X") + "\r\nContent-Length: " + std::to_string(body.size()) +
               "\r\n\r\n" + body);
  }};
};

}  // namespace

TEST_CASE("The gate lets in who may, keeps a yes for two minutes and a no for half of one, and no doubt at all") {
  Reviewer reviewer;
  auto api = reviewer.server.api();
  Gate gate;
  using Verdict = Gate::Verdict;
  const auto start = std::chrono::steady_clock::time_point() + 1h;
  const auto check = [&](const char* token, std::chrono::seconds at, const char* path = "/metrics") {
    return gate.check(&api, Secret(token), "get", path, start + at);
  };
  CHECK(gate.check(nullptr, Secret("good"), "get", "/metrics", start) == Verdict::cannot_tell);
  CHECK(gate.check(nullptr, Secret(), "get", "/metrics", start) == Verdict::unknown_caller);
  CHECK(check("good", 0s) == Verdict::yes);
  CHECK(check("poor", 0s) == Verdict::forbidden);
  CHECK(check("bad", 0s) == Verdict::unknown_caller);
  CHECK(check("good", 0s, "/other") == Verdict::forbidden);
  CHECK(reviewer.reviews == 7);
  CHECK(check("good", 119s) == Verdict::yes);
  CHECK(gate.check(nullptr, Secret("good"), "get", "/metrics", start + 119s) == Verdict::yes);
  CHECK(reviewer.reviews == 7);
  CHECK(check("good", 120s) == Verdict::yes);
  CHECK(reviewer.reviews == 9);
  CHECK(check("bad", 120s) == Verdict::unknown_caller);
  CHECK(check("bad", 149s) == Verdict::unknown_caller);
  CHECK(reviewer.reviews == 10);
  CHECK(check("bad", 150s) == Verdict::unknown_caller);
  CHECK(reviewer.reviews == 11);
  reviewer.broken = true;
  CHECK(check("poor", 300s) == Verdict::cannot_tell);
  reviewer.broken = false;
  CHECK(check("poor", 300s) == Verdict::forbidden);
}

TEST_CASE("Who tries many tokens at the gate does not push out the one that is good") {
  Reviewer reviewer;
  auto api = reviewer.server.api();
  Gate gate;
  const auto now = std::chrono::steady_clock::time_point() + 1h;
  CHECK(gate.check(&api, Secret("good"), "get", "/metrics", now) == Gate::Verdict::yes);
  for (int i = 0; i < 300; ++i)
    CHECK(gate.check(&api, Secret("bad" + std::to_string(i)), "get", "/metrics", now + 1s) == Gate::Verdict::unknown_caller);
  const int before = reviewer.reviews;
  CHECK(gate.check(&api, Secret("good"), "get", "/metrics", now + 2s) == Gate::Verdict::yes);
  CHECK(reviewer.reviews == before);
}
