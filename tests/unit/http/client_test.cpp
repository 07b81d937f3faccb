// What a client makes of servers that answer, do not, or answer badly.
#include <netinet/in.h>
#include <sys/socket.h>

#include "tests/unit/http/fixture.hpp"

using namespace cloudos;
using namespace cloudos::http;
using namespace cloudos::test;

namespace {

const Identity& authority() {
  static const Identity ca = make_ca("here");
  return ca;
}

// Says the same to each request, then closes.
struct Says {
  explicit Says(std::string text)
      : server({.identity = issue(authority(), "node")}, [answer = std::move(text)](const Wire& wire) {
          static_cast<void>(wire.read_to("\r\n\r\n"));
          wire.write(answer);
        }) {}
  RawServer server;
  [[nodiscard]] Client client() const { return client_of({.url = server.url(), .trust = {.ca = authority().certificate}}); }
};

// A server that speaks TLS with a certificate of the authority.
RawServer::How tls() { return {.identity = issue(authority(), "node")}; }

}  // namespace

TEST_CASE("A connection is kept for the next request, and made anew when the server has closed it meanwhile") {
  const RawServer server(tls(), [](const Wire& wire) {
    for (int i = 0; i < 2; ++i) {
      if (wire.read_to("\r\n\r\n").empty()) return;
      wire.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    }
  });
  auto client = client_of({.url = server.url(), .trust = {.ca = authority().certificate}});
  for (int i = 0; i < 4; ++i) {
    const auto answer = client.ask({}, in(ample));
    if (!answer) FAIL(answer.error().text());
    CHECK(answer->body == "ok");
    CHECK(server.accepted() == i / 2 + 1);
  }
}

TEST_CASE("A kept connection on which the server hangs up unheard costs a GET nothing, and a POST is not sent twice") {
  std::atomic<int> posts = 0;
  const RawServer server(tls(), [&](const Wire& wire) {
    static_cast<void>(wire.read_to("\r\n\r\n"));
    wire.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    if (wire.read_to("\r\n\r\n").starts_with("POST")) ++posts;
  });
  auto client = client_of({.url = server.url(), .trust = {.ca = authority().certificate}});
  CHECK(client.ask({}, in(ample)));
  CHECK(client.ask({}, in(ample)));
  const auto lost = client.ask({.method = "POST", .body = "x"}, in(ample));
  REQUIRE_FALSE(lost);
  CHECK(lost.error().kind == ErrorKind::network);
  CHECK(lost.error().retryable);
  CHECK(posts == 1);
}

TEST_CASE("A server that is not there, and one that never answers, are told apart") {
  const Trust trust{.ca = authority().certificate, .spki = {}};
  const os::Fd silent(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in at{.sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
  socklen_t size = sizeof at;
  REQUIRE(::bind(silent.get(), reinterpret_cast<sockaddr*>(&at), size) == 0);
  ::getsockname(silent.get(), reinterpret_cast<sockaddr*>(&at), &size);
  const auto url = "https://127.0.0.1:" + std::to_string(ntohs(at.sin_port));
  const auto nobody = refused(client_of({.url = url, .trust = trust}));
  CHECK(nobody.kind == ErrorKind::network);
  CHECK(nobody.retryable);
  CHECK_THAT(nobody.message, ContainsSubstring("refused the connection"));

  REQUIRE(::listen(silent.get(), 4) == 0);  // takes connections, says nothing
  const auto mute = refused(client_of({.url = url, .trust = trust, .connect = 50ms}));
  CHECK(mute.kind == ErrorKind::timeout);
  CHECK(mute.retryable);
  CHECK_THAT(mute.message, ContainsSubstring("did not finish the TLS handshake within"));

  const RawServer thinker(tls(), [](const Wire& wire) { static_cast<void>(wire.read_to("never")); });
  auto client = client_of({.url = thinker.url(), .trust = trust});
  const auto answer = client.ask({.path = "/slow?secret"}, in(500ms));
  REQUIRE_FALSE(answer);
  CHECK(answer.error().kind == ErrorKind::timeout);
  CHECK_THAT(answer.error().message, ContainsSubstring("GET /slow") && !ContainsSubstring("secret"));
}

TEST_CASE("What is no TLS, or no HTTP, is called so") {
  const RawServer plain({}, [](const Wire& wire) { wire.write("220 mail.example ESMTP\r\n"); });
  const auto first = refused(client_of({.url = plain.url(), .trust = {.ca = authority().certificate}}));
  CHECK(first.kind == ErrorKind::network);
  CHECK_THAT(first.message, ContainsSubstring("does not speak TLS"));
  const auto second = refused(Says("SSH-2.0-OpenSSH\r\n\r\n").client());
  CHECK(second.kind == ErrorKind::network);
  CHECK_THAT(second.message, ContainsSubstring("does not answer with HTTP/1.1"));
  const RawServer rude({}, [](const Wire&) {});
  CHECK_THAT(refused(client_of({.url = rude.url(), .trust = {.ca = authority().certificate}})).message,
             ContainsSubstring("closed the connection"));
}

TEST_CASE("An answer that is cut off is never taken for whole") {
  const auto known = refused(Says("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf").client());
  CHECK(known.kind == ErrorKind::network);
  CHECK_THAT(known.message, ContainsSubstring("after 4 B of 100 B"));
  CHECK(refused(Says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n").client()).kind == ErrorKind::network);
  CHECK_THAT(refused(Says("HTTP/1.1 200 OK\r\nContent-Le").client()).message, ContainsSubstring("before it answered"));
  // No length and no chunks: only TLS's own end says that this was all (RFC 8446, section 6.1), and it did not come.
  CHECK(refused(Says("HTTP/1.1 200 OK\r\n\r\nhalf").client()).kind == ErrorKind::network);
}

TEST_CASE("An answer that is too long is refused, however it is sent") {
  for (const std::string& text :
       {"HTTP/1.1 200 OK\r\nContent-Length: 5000000000\r\n\r\n" + std::string(2000, 'x'),
        std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40000000\r\n"),
        "HTTP/1.1 200 OK\r\n\r\n" + std::string(2000, 'x'), "HTTP/1.1 200 OK\r\nX: " + std::string(40000, 'x') + "\r\n\r\n"}) {
    const auto error = refused(Says(text).client());
    INFO(text.substr(0, 60) << ": " << error.message);
    CHECK(error.kind == ErrorKind::failed);
    CHECK_FALSE(error.retryable);
  }
}

TEST_CASE("A body is streamed as it comes; that of a refusal is in the answer, cut off") {
  std::string got;
  const auto ok =
      Says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n").client().stream({}, into(got), ample);
  if (!ok) FAIL(ok.error().text());
  CHECK(got == "abcde");
  CHECK(ok->body.empty());
  const auto missing = Says("HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone").client().stream({}, into(got), ample);
  REQUIRE(missing);
  CHECK(missing->status == 404);
  CHECK(missing->body == "none");
  const auto chatty =
      Says("HTTP/1.1 500 No\r\nContent-Length: 100000\r\n\r\n" + std::string(100000, 'x')).client().stream({}, into(got), ample);
  REQUIRE(chatty);
  CHECK(chatty->body.size() == 64U << 10);
  CHECK(got == "abcde");
  const auto bomb = Says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7fffffff\r\n").client().stream({}, into(got), ample);
  REQUIRE_FALSE(bomb);
  CHECK(bomb.error().kind == ErrorKind::failed);
}

TEST_CASE("A stream ends when no byte comes, when its sink fails and when it is told to stop") {
  const RawServer server(tls(), [](const Wire& wire) {
    static_cast<void>(wire.read_to("\r\n\r\n"));
    wire.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    static_cast<void>(wire.read_to("never"));
  });
  auto client = client_of({.url = server.url(), .trust = {.ca = authority().certificate}});
  std::string got;
  const auto stalled = client.stream({}, into(got), 300ms);
  REQUIRE_FALSE(stalled);
  CHECK(stalled.error().kind == ErrorKind::timeout);
  CHECK(got == "abc");
  const auto failed = client.stream({}, [](std::span<const std::byte>) { return fail(ErrorKind::io, "disk full"); }, ample);
  REQUIRE_FALSE(failed);
  CHECK(failed.error().message == "disk full");
  std::stop_source stop;
  std::jthread other;
  const auto stopped = client.stream(
      {},
      [&](std::span<const std::byte>) -> Status {
        other = std::jthread([&] { stop.request_stop(); });
        return {};
      },
      ample, stop.get_token());
  REQUIRE_FALSE(stopped);
  CHECK(stopped.error().kind == ErrorKind::cancelled);
}

TEST_CASE("What cannot be asked is refused before anybody is") {
  for (const std::string url : {"http://127.0.0.1:1", "https://", "https://127.0.0.1:70000", "https://127.0.0.1:0",
                                "https://127.0.0.1/path", "https://u@127.0.0.1", "https://127.0.0.1?q", "127.0.0.1:1", "", "https://a b"})
    CHECK(Client::make({.url = url, .trust = {.ca = authority().certificate}}).error().kind == ErrorKind::input);
  const Says server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  for (const auto& bad : {Request{.path = "/a b"}, Request{.path = "/a\r\nX: y"}, Request{.path = "a"},
                          Request{.headers = {{"X", "a\r\nY: b"}}}, Request{.method = "GET /x"}})
    CHECK(refused(server.client(), bad).kind == ErrorKind::input);
  CHECK(server.server.accepted() == 0);
}
