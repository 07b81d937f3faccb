#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "tests/unit/http/authority.hpp"

using namespace cloudos;
using namespace cloudos::http;
using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using test::Certified;
using test::issue;
using test::make_ca;
using test::pin_of;

namespace {

Answer echo(const Asked& asked) {
  return {.headers = {{"X-Method", asked.method}, {"X-Peer", asked.peer}, {"X-Query", asked.query}, {"X-Path", asked.path}},
          .body = asked.body};
}

Server serve(const Identity& identity, Server::Handler handler = echo) {
  auto server = Server::start({.address = "127.0.0.1", .identity = identity}, std::move(handler));
  REQUIRE(server);
  return std::move(*server);
}

std::string url_of(const Server& server, const std::string& host = "127.0.0.1") {
  return "https://" + host + ":" + std::to_string(server.port());
}

Client client_of(Client::Options options) {
  auto client = Client::make(std::move(options));
  REQUIRE(client);
  return std::move(*client);
}

}  // namespace

TEST_CASE("A request goes to a server of the trusted CA, by address and by name, and its answer comes back") {
  const auto ca = make_ca("here");
  const auto server = serve(issue(ca, "node"));
  for (const std::string host : {"127.0.0.1", "localhost"}) {
    auto client = client_of({.url = url_of(server, host), .trust = {.ca = ca.certificate}});
    const auto answer = client.ask({.method = "POST", .path = "/a%20b?c=d", .body = "hello"}, in(10s));
    if (!answer) FAIL(answer.error().text());
    CHECK(answer->status == 200);
    CHECK(answer->body == "hello");
    CHECK(answer->headers.at("x-method") == "POST");
    CHECK(answer->headers.at("x-path") == "/a b");
    CHECK(answer->headers.at("x-query") == "c=d");
    CHECK(answer->headers.at("x-peer") == "127.0.0.1");
  }
}
