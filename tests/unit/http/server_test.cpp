// What a server gives, and what it does not let its clients take.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>

#include "tests/support/temporary_folder.hpp"
#include "tests/unit/http/fixture.hpp"

using namespace cloudos;
using namespace cloudos::http;
using namespace cloudos::test;

namespace {

Server secure(Server::Options options, Server::Handler handler = echo) {
  options.address = "127.0.0.1";
  options.identity = os::make_identity("node", {"127.0.0.1"}).value();
  auto server = Server::start(std::move(options), std::move(handler));
  if (!server) throw std::runtime_error(server.error().text());
  return std::move(*server);
}

std::string said_to(const Server& server, std::string_view request) {
  const auto wire = greet(server.port());
  wire.write(request);
  return wire.read_to("never");
}

FilePart part_of(const std::filesystem::path& path, std::uint64_t offset, std::uint64_t length) {
  return {.file = os::open(path, O_RDONLY).value(), .offset = offset, .length = length};
}

}  // namespace

TEST_CASE("Parts of a file are served byte by byte as they are in it") {
  const TemporaryFolder folder;
  std::string text;
  for (int i = 0; text.size() < 300'000; ++i) text += std::to_string(i);
  std::ofstream(folder / "file") << text;
  const auto identity = os::make_identity("node", {"127.0.0.1"}).value();
  const auto server = serve(identity, [&](const Asked& asked) {
    const auto at = asked.query.find('-');
    const auto from = std::stoul(asked.query.substr(0, at)), to = std::stoul(asked.query.substr(at + 1));
    return Answer{.status = 206, .body = part_of(folder / "file", from, to - from)};
  });
  auto client = client_of({.url = url_of(server), .trust = {.ca = {}, .spki = {pin_of(identity)}}});
  for (const auto& [from, to] :
       {std::pair(0UL, text.size()), {5UL, 5UL}, {1UL, 65537UL}, {7UL, 65543UL}, {299'990UL, 300'000UL}, {100UL, 101UL}}) {
    std::string got;
    const auto answer = client.stream({.path = "/f?" + std::to_string(from) + "-" + std::to_string(to)}, into(got), ample);
    if (!answer) FAIL(answer.error().text());
    CHECK(answer->status == 206);
    CHECK(got == text.substr(from, to - from));
    CHECK(answer->headers.at("content-length") == std::to_string(to - from));
    const auto head = client.ask({.method = "HEAD", .path = "/f?" + std::to_string(from) + "-" + std::to_string(to)}, in(ample));
    if (!head) FAIL(head.error().text());
    CHECK(head->body.empty());
    CHECK(head->headers.at("content-length") == std::to_string(to - from));
  }
}

TEST_CASE("A large file goes to a client that takes its time, and neither side holds it in memory") {
  const TemporaryFolder folder;
  constexpr std::uint64_t size = 128U << 20;
  std::ofstream(folder / "large").put('x');
  REQUIRE(::truncate((folder / "large").c_str(), size) == 0);
  const auto identity = os::make_identity("node", {"127.0.0.1"}).value();
  const auto server = serve(identity, [&](const Asked&) { return Answer{.body = part_of(folder / "large", 0, size)}; });
  auto client = client_of({.url = url_of(server), .trust = {.ca = {}, .spki = {pin_of(identity)}}});
  REQUIRE(client.ask({.method = "HEAD"}, in(ample)));
  const auto before = resident();
  std::uint64_t got = 0;
  std::size_t most = 0;
  const auto answer = client.stream(
      {},
      [&](std::span<const std::byte> piece) -> Status {
        if ((got >> 20) != ((got + piece.size()) >> 20)) {
          most = std::max(most, resident());
          std::this_thread::yield();
        }
        got += piece.size();
        return {};
      },
      ample);
  if (!answer) FAIL(answer.error().text());
  CHECK(got == size);
  CHECK(most < before + (32U << 20));
}

TEST_CASE("A file that turns out shorter than announced, a client that goes and a server that ends leave nothing behind") {
  const TemporaryFolder folder;
  REQUIRE(std::ofstream(folder / "short").put('x'));
  REQUIRE(::truncate((folder / "short").c_str(), 1U << 20) == 0);
  const auto identity = os::make_identity("node", {"127.0.0.1"}).value();
  const auto server = serve(identity, [&](const Asked& asked) {
    return Answer{.body = part_of(folder / "short", 0, asked.path == "/whole" ? 1U << 20 : 2U << 20)};
  });
  const Trust trust{.ca = {}, .spki = {pin_of(identity)}};
  const auto cut = client_of({.url = url_of(server), .trust = trust}).ask({}, in(ample));
  REQUIRE_FALSE(cut);
  CHECK(cut.error().kind == ErrorKind::network);
  CHECK_THAT(cut.error().message, ContainsSubstring("of 2.0 MiB"));

  const auto gone = client_of({.url = url_of(server), .trust = trust})
                        .stream({.path = "/whole"}, [](std::span<const std::byte>) { return fail(ErrorKind::io, "enough"); }, ample);
  CHECK(gone.error().message == "enough");
  CHECK(client_of({.url = url_of(server), .trust = trust}).ask({.path = "/whole"}, in(ample))->body.size() == 1U << 20);

  REQUIRE(::truncate((folder / "short").c_str(), 64U << 20) == 0);
  std::optional<Server> ends = secure({}, [&](const Asked&) { return Answer{.body = part_of(folder / "short", 0, 64U << 20)}; });
  const auto wire = greet(ends->port());
  wire.write("GET / HTTP/1.1\r\n\r\n");
  CHECK_THAT(wire.read(), ContainsSubstring("200 OK"));
  ends.reset();
  CHECK(wire.read_to("never").size() < 64U << 20);
}

TEST_CASE("Methods, bodies, headers and paths that a server does not take are refused") {
  std::atomic<int> asked = 0;
  const auto server = secure({}, [&](const Asked& one) {
    ++asked;
    return Answer{.headers =
                      one.path == "/split" ? std::map<std::string, std::string>{{"X", "a\r\nY: b"}} : std::map<std::string, std::string>{}};
  });
  for (const std::string method : {"PUT", "DELETE", "PATCH", "OPTIONS", "BREW"}) {
    const auto said = said_to(server, method + " / HTTP/1.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    CHECK_THAT(said, ContainsSubstring("HTTP/1.1 405") && ContainsSubstring("Allow: GET, HEAD, POST"));
  }
  CHECK_THAT(said_to(server, "POST / HTTP/1.1\r\nContent-Length: 65537\r\n\r\n"), ContainsSubstring("413"));
  CHECK_THAT(said_to(server, "GET / HTTP/1.1\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n"), !ContainsSubstring("200"));
  CHECK_THAT(said_to(server, "GET /a%00b HTTP/1.1\r\nConnection: close\r\n\r\n"), ContainsSubstring("400"));
  CHECK_THAT(said_to(server, "garbage\r\n\r\n"), !ContainsSubstring("200"));
  CHECK(asked == 0);
  CHECK_THAT(said_to(server, "GET /split HTTP/1.1\r\nConnection: close\r\n\r\n"), ContainsSubstring("500") && !ContainsSubstring("Y: b"));
  CHECK_THAT(said_to(server, "POST /x HTTP/1.1\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"), ContainsSubstring("HTTP/1.1 200"));
}

TEST_CASE("A client that never ends its handshake or its request, or stays idle, is shown out") {
  const auto identity = os::make_identity("node", {"127.0.0.1"}).value();
  const auto narrow = Server::start({.address = "127.0.0.1", .identity = identity, .connections = 1, .idle = 2s}, echo);
  REQUIRE(narrow);
  const auto silent = connect_to(narrow->port());
  auto client = client_of({.url = url_of(*narrow), .trust = {.ca = {}, .spki = {pin_of(identity)}}, .connect = ample});
  // There is one place: this is answered once the silent one has lost it.
  const auto answer = client.ask({}, in(ample));
  if (!answer) FAIL(answer.error().text());
  CHECK(silent.read().empty());

  const auto server = secure({.idle = 2s});
  const auto idle = greet(server.port());
  CHECK(idle.read().empty());
  const auto drip = greet(server.port());
  // Each byte is news, but the request must be whole in its time.
  const std::string request = "GET / HTTP/1.1\r\nX: ";
  std::atomic<bool> over = false;
  std::jthread dripping([&] {
    for (std::size_t i = 0; !over; ++i) {
      drip.write(i < request.size() ? request.substr(i, 1) : "x");
      std::this_thread::sleep_for(20ms);
    }
  });
  CHECK_THAT(drip.read_to("never"), !ContainsSubstring("200"));
  over = true;
}

TEST_CASE("More clients than there are places wait, and are served when one goes") {
  const auto server = secure({.connections = 2});
  std::optional<Wire> first = greet(server.port());
  const auto second = greet(server.port());
  for (const Wire* wire : std::initializer_list<const Wire*>{&*first, &second}) {
    wire->write("GET / HTTP/1.1\r\n\r\n");
    CHECK_THAT(wire->read_to("\r\n\r\n"), ContainsSubstring("200 OK"));
  }
  // The third is not served, while the second still is.
  const Trust anybody{.ca = make_ca("nobody").certificate, .spki = {}};
  CHECK(refused(client_of({.url = url_of(server), .trust = anybody, .connect = 500ms})).kind == ErrorKind::timeout);
  second.write("GET / HTTP/1.1\r\n\r\n");
  CHECK_THAT(second.read_to("\r\n\r\n"), ContainsSubstring("200 OK"));
  first.reset();
  CHECK(refused(client_of({.url = url_of(server), .trust = anybody, .connect = ample})).kind == ErrorKind::trust);
}

TEST_CASE("A renewed certificate is shown to new connections, and old ones go on") {
  const auto before = os::make_identity("node", {"127.0.0.1"}).value();
  const auto after = os::make_identity("node", {"127.0.0.1"}).value();
  auto server = serve(before);
  const auto with = [&](const Identity& identity) {
    return client_of({.url = url_of(server), .trust = {.ca = {}, .spki = {pin_of(identity)}}});
  };
  auto old = with(before);
  REQUIRE(old.ask({}, in(ample)));
  REQUIRE(server.renew(after));
  CHECK(old.ask({}, in(ample)));
  CHECK(with(after).ask({}, in(ample)));
  CHECK(with(before).ask({}, in(ample)).error().kind == ErrorKind::trust);
  CHECK(server.renew({.certificate = "x", .key = {}}).error().kind == ErrorKind::input);
  CHECK(with(after).ask({}, in(ample)));
}

TEST_CASE("Plain HTTP is for loopback, and a port that is taken is an error") {
  CHECK(Server::start({.address = "0.0.0.0"}, echo).error().kind == ErrorKind::input);
  CHECK(Server::start({.address = "localhost"}, echo).error().kind == ErrorKind::input);
  const auto server = Server::start({.address = "127.0.0.1"}, echo);
  REQUIRE(server);
  const auto wire = connect_to(server->port());
  wire.write("POST / HTTP/1.1\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
  CHECK_THAT(wire.read_to("never"), ContainsSubstring("200 OK") && ContainsSubstring("ok"));
  const auto taken = Server::start({.address = "127.0.0.1", .port = server->port()}, echo);
  REQUIRE_FALSE(taken);
  CHECK(taken.error().kind == ErrorKind::io);
  CHECK_THAT(taken.error().message, ContainsSubstring(std::to_string(server->port())));
}
