#pragma once
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "tests/unit/http/authority.hpp"
#include "tests/unit/http/raw.hpp"

namespace cloudos::test {

using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;

// Long enough for a machine that is busy with other things.
constexpr Milliseconds ample = 60s;

inline http::Answer echo(const http::Asked& asked) {
  return {.headers = {{"X-Method", asked.method}, {"X-Peer", asked.peer}, {"X-Query", asked.query}, {"X-Path", asked.path}},
          .body = asked.body};
}

inline http::Server serve(const http::Identity& identity, http::Server::Handler handler = echo) {
  auto server = http::Server::start({.address = "127.0.0.1", .identity = identity}, std::move(handler));
  if (!server) throw std::runtime_error(server.error().text());
  return std::move(*server);
}

inline std::string url_of(const http::Server& server, const std::string& host = "127.0.0.1") {
  return "https://" + host + ":" + std::to_string(server.port());
}

inline http::Client client_of(http::Client::Options options) {
  auto client = http::Client::make(std::move(options));
  if (!client) throw std::runtime_error(client.error().text());
  return std::move(*client);
}

// The error of a request that must not succeed.
inline Error refused(http::Client client, const http::Request& request = {}) {
  const auto answer = client.ask(request, in(ample), 1000);
  return answer ? Error{.message = "it was answered: " + answer->body} : answer.error();
}

}  // namespace cloudos::test
