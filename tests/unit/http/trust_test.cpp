// Whom a client believes, and what it says of others.
#include <openssl/evp.h>

#include "core/os/crypto/crypto.hpp"
#include "tests/unit/http/fixture.hpp"

using namespace cloudos;
using namespace cloudos::http;
using namespace cloudos::test;

TEST_CASE("A request goes to a server of the trusted CA, by address and by name, and its answer comes back") {
  const auto ca = make_ca("here");
  const auto server = serve(issue(ca, "node"));
  for (const std::string host : {"127.0.0.1", "localhost"}) {
    auto client = client_of({.url = url_of(server, host), .trust = {.ca = ca.certificate}});
    const auto answer = client.ask({.method = "POST", .path = "/a%20b?c=d", .body = "hello"}, in(ample));
    if (!answer) FAIL(answer.error().text());
    CHECK(answer->status == 200);
    CHECK(answer->body == "hello");
    CHECK(answer->headers.at("x-method") == "POST");
    CHECK(answer->headers.at("x-path") == "/a b");
    CHECK(answer->headers.at("x-query") == "c=d");
    CHECK(answer->headers.at("x-peer") == "127.0.0.1");
  }
}

TEST_CASE("A pinned key is believed whatever name stands in the certificate and whoever signed it") {
  const auto identity = os::make_identity("another-node", {"10.9.8.7"}).value();
  const auto server = serve(identity);
  const std::string other = "sha256:" + std::string(64, 'a');
  auto client = client_of({.url = url_of(server), .trust = {.ca = {}, .spki = {other, pin_of(identity)}}});
  const auto answer = client.ask({.path = "/"}, in(ample));
  if (!answer) FAIL(answer.error().text());
  CHECK(answer->status == 200);
}

TEST_CASE("A server with another key than the pinned one gets no byte of the request, and the error names both keys") {
  std::atomic<int> asked = 0;
  const auto identity = os::make_identity("node", {"127.0.0.1"}).value();
  const auto server = serve(identity, [&](const Asked&) {
    ++asked;
    return Answer{};
  });
  const auto expected = pin_of(os::make_identity("node", {"127.0.0.1"}).value());
  const auto error = refused(client_of({.url = url_of(server), .trust = {.ca = {}, .spki = {expected}}}));
  CHECK(error.kind == ErrorKind::trust);
  CHECK_FALSE(error.retryable);
  CHECK_THAT(error.message, ContainsSubstring(pin_of(identity)) && ContainsSubstring(expected) && ContainsSubstring("127.0.0.1:"));
  CHECK(asked == 0);
}

TEST_CASE("A certificate of another CA is refused, even if that CA has the same name") {
  const auto ours = make_ca("kubernetes");
  for (const std::string name : {"kubernetes", "somebody"}) {
    const auto server = serve(issue(make_ca(name), "node"));
    const auto error = refused(client_of({.url = url_of(server), .trust = {.ca = ours.certificate}}));
    CHECK(error.kind == ErrorKind::trust);
    CHECK_THAT(error.message, ContainsSubstring("unknown CA") && ContainsSubstring(name));
  }
}

TEST_CASE("A certificate that has expired, or is not valid yet, is refused with its time") {
  const auto ca = make_ca("here");
  const auto expired = serve(issue(ca, "old", {.from_days = -20, .to_days = -10}));
  const auto early = serve(issue(ca, "young", {.from_days = 10, .to_days = 20}));
  const auto first = refused(client_of({.url = url_of(expired), .trust = {.ca = ca.certificate}}));
  CHECK(first.kind == ErrorKind::trust);
  CHECK_THAT(first.message, ContainsSubstring("CN=old") && ContainsSubstring("expired at 2"));
  const auto second = refused(client_of({.url = url_of(early), .trust = {.ca = ca.certificate}}));
  CHECK(second.kind == ErrorKind::trust);
  CHECK_THAT(second.message, ContainsSubstring("CN=young") && ContainsSubstring("valid only from 2"));
  CHECK_THAT(second.hint, ContainsSubstring("clock"));
}

TEST_CASE("A certificate for another address or name is refused, and the error says for which it is") {
  const auto ca = make_ca("here");
  const auto server = serve(issue(ca, "node", {.subject_alt_name = "IP:10.1.2.3,DNS:elsewhere"}));
  for (const std::string host : {"127.0.0.1", "localhost"}) {
    const auto error = refused(client_of({.url = url_of(server, host), .trust = {.ca = ca.certificate}}));
    CHECK(error.kind == ErrorKind::trust);
    CHECK_THAT(error.message, ContainsSubstring("10.1.2.3") && ContainsSubstring("elsewhere") && ContainsSubstring("expected " + host));
  }
}

TEST_CASE("A client shows its certificate, and is told when the server does not accept it or misses one") {
  const auto ca = make_ca("here");
  std::string seen;
  std::mutex mutex;
  const RawServer server({.identity = issue(ca, "api"), .client_ca = ca.certificate}, [&](const Wire& wire) {
    const detail::Certificate peer(SSL_get1_peer_certificate(wire.tls.get()));
    static_cast<void>(wire.read_to("\r\n\r\n"));
    {
      const std::scoped_lock lock(mutex);
      seen = X509_NAME_oneline(X509_get_subject_name(peer.get()), std::array<char, 200>{}.data(), 200);
    }
    wire.write("HTTP/1.1 204 No Content\r\n\r\n");
  });
  const Trust trust{.ca = ca.certificate, .spki = {}};
  const auto answer = client_of({.url = server.url(), .trust = trust, .identity = issue(ca, "me")}).ask({}, in(ample));
  if (!answer) FAIL(answer.error().text());
  CHECK(answer->status == 204);
  {
    const std::scoped_lock lock(mutex);
    CHECK_THAT(seen, ContainsSubstring("CN=me"));
  }
  const auto without = refused(client_of({.url = server.url(), .trust = trust}));
  CHECK(without.kind == ErrorKind::auth);
  CHECK_THAT(without.message, ContainsSubstring("does not accept our certificate") && ContainsSubstring("required"));
  const auto foreign = refused(client_of({.url = server.url(), .trust = trust, .identity = issue(make_ca("there"), "me")}));
  CHECK(foreign.kind == ErrorKind::auth);
}

TEST_CASE("An identity is made for ten years, a name and addresses of both families") {
  const auto identity = os::make_identity("node-1", {"127.0.0.1", "::1"});
  REQUIRE(identity);
  CHECK(os::expiry(identity->certificate).value() > std::time(nullptr) + 10L * 365 * 86400);
  const auto server = Server::start({.address = "::1", .identity = *identity}, echo);
  REQUIRE(server);
  auto client = client_of({.url = url_of(*server, "[::1]"), .trust = {.ca = identity->certificate}});
  const auto answer = client.ask({}, in(ample));
  if (!answer) FAIL(answer.error().text());
  CHECK(pin_of(*identity) != pin_of(os::make_identity("node-1", {}).value()));
  CHECK(os::make_identity("Node,IP:1.2.3.4", {}).error().kind == ErrorKind::input);
  CHECK(os::make_identity("node", {"10.0.0"}).error().kind == ErrorKind::input);
}

TEST_CASE("What is no CA, no key or no pin is refused when the client is made") {
  const auto ca = make_ca("here");
  const auto make = [](Trust trust, std::optional<Identity> identity = {}) {
    return Client::make({.url = "https://127.0.0.1:1", .trust = std::move(trust), .identity = std::move(identity)});
  };
  CHECK(make({.ca = ca.certificate}));
  const auto pin = pin_of(ca);
  for (const auto& bad : {Trust{}, Trust{.ca = "no PEM"}, Trust{.ca = ca.certificate, .spki = {pin}},
                          Trust{.ca = {}, .spki = {"sha256:12"}}, Trust{.ca = {}, .spki = {pin.substr(7)}}})
    CHECK(make(bad).error().kind == ErrorKind::input);
  const auto other = make_ca("there");
  for (const auto& bad : {Identity{}, Identity{ca.certificate, other.key}, Identity{ca.certificate, Secret("x")}, Identity{"x", ca.key}})
    CHECK(make({.ca = ca.certificate}, bad).error().kind == ErrorKind::input);
}
