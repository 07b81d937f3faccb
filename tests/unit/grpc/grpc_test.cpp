#include "agent/grpc/grpc.hpp"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <cstring>
#include <fstream>
#include <optional>

#include "agent/grpc/address.hpp"
#include "agent/grpc/frame.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace cloudos;
using namespace std::chrono_literals;

namespace {

struct Fixture {
  test::TemporaryFolder folder;
  loop::Loop loop = *loop::Loop::make();
  NullLog log;
  std::filesystem::path socket = folder / "s.sock";

  // The answer to one call, while the loop runs both ends.
  grpc::Answer ask(const std::string& method, std::string request, Milliseconds patience = 5s) {
    std::optional<grpc::Answer> got;
    const auto call = grpc::Call::start(loop, socket, method, std::move(request), patience, [&](grpc::Answer a) { got = std::move(a); });
    const auto until = in(10s);
    while (!got && std::chrono::steady_clock::now() < until) REQUIRE(loop.step(100ms));
    REQUIRE(got);
    return *got;
  }
  template <class F>
  bool turn_until(F so) {
    const auto until = in(10s);
    while (!so() && std::chrono::steady_clock::now() < until) REQUIRE(loop.step(50ms));
    return so();
  }
};

grpc::Service echo() {
  return {.unary = {{"/t.T/Echo", [](std::string_view r) -> grpc::Answer { return std::string(r); }},
                    {"/t.T/Refuse",
                     [](std::string_view) -> grpc::Answer {
                       return std::unexpected(grpc::Failure{grpc::Code::not_found, "no device \"ü%\""});
                     }}},
          .streaming = {}};
}

}  // namespace

TEST_CASE("a unary call gets its answer, however long the message") {
  Fixture f;
  const auto server = grpc::Server::listen(f.loop, f.socket, echo(), f.log);
  REQUIRE(server);
  // 900 KB is far beyond HTTP/2's first window of 64 KiB, in both directions.
  for (const std::size_t size : {0UL, 1UL, 17'000UL, 900'000UL})
    CHECK(f.ask("/t.T/Echo", std::string(size, 'x')) == std::string(size, 'x'));
}

TEST_CASE("a failure arrives with its code and its text") {
  Fixture f;
  const auto server = grpc::Server::listen(f.loop, f.socket, echo(), f.log);
  REQUIRE(server);
  const auto answer = f.ask("/t.T/Refuse", "");
  REQUIRE_FALSE(answer);
  CHECK(answer.error().code == grpc::Code::not_found);
  CHECK(answer.error().message == "no device \"ü%\"");
  CHECK(f.ask("/t.T/Other", "").error().code == grpc::Code::unimplemented);
  CHECK(f.ask("/t.T/Echo", std::string(grpc::longest_message + 1, 'x')).error().code == grpc::Code::resource_exhausted);
}

TEST_CASE("a server that is not there, goes away or says nothing is told apart") {
  Fixture f;
  CHECK(f.ask("/t.T/Echo", "").error().code == grpc::Code::unavailable);
  const auto listener = grpc::listen_unix(f.socket);
  REQUIRE(listener);
  CHECK(f.ask("/t.T/Echo", "", 50ms).error().code == grpc::Code::deadline_exceeded);
  // It takes the connection and closes it.
  loop::Source source =
      *f.loop.watch(listener->get(), EPOLLIN, [&](std::uint32_t) { ::close(::accept(listener->get(), nullptr, nullptr)); });
  CHECK(f.ask("/t.T/Echo", "").error().code == grpc::Code::unavailable);
}

TEST_CASE("the socket is for root alone and replaces an old one, never a file") {
  Fixture f;
  {
    const auto first = grpc::Server::listen(f.loop, f.socket, echo(), f.log);
    REQUIRE(first);
    struct stat s{};
    REQUIRE(::stat(f.socket.c_str(), &s) == 0);
    CHECK((s.st_mode & 0777U) == 0600U);
    auto second = grpc::Server::listen(f.loop, f.socket, echo(), f.log);
    REQUIRE(second);
    CHECK(f.ask("/t.T/Echo", "a") == "a");
  }
  CHECK_FALSE(std::filesystem::exists(f.socket));
  std::ofstream(f.socket) << "mine";
  CHECK_FALSE(grpc::Server::listen(f.loop, f.socket, echo(), f.log));
}

namespace {

// A client of a streaming method: the raw bytes, framed by hand, because our own client knows unary calls only.
struct Subscriber {
  os::Fd fd;
  std::string got;
  explicit Subscriber(const std::filesystem::path& socket) : fd(*grpc::connect_unix(socket)) {}
  void write(std::string_view bytes) const {
    REQUIRE(::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size()));
  }
  void read() {
    char buffer[4096];
    for (ssize_t n = 0; (n = ::recv(fd.get(), buffer, sizeof buffer, MSG_DONTWAIT)) > 0;) got.append(buffer, static_cast<std::size_t>(n));
  }
  // RFC 9113: preface, empty SETTINGS, HEADERS of literal fields without index (RFC 7541, 6.2.2), DATA with an empty message.
  void subscribe() const {
    using namespace std::string_literals;
    std::string fields;
    for (const auto& [name, value] :
         {std::pair{":method"s, "POST"s}, {":scheme", "http"}, {":path", "/t.T/Watch"}, {":authority", "localhost"}})
      fields += "\x00"s + static_cast<char>(name.size()) + name + static_cast<char>(value.size()) + value;
    write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"s + "\x00\x00\x00\x04\x00\x00\x00\x00\x00"s + "\x00\x00"s + static_cast<char>(fields.size()) +
          "\x01\x04\x00\x00\x00\x01"s + fields + "\x00\x00\x05\x00\x01\x00\x00\x00\x01"s + std::string(5, '\0'));
  }
};

}  // namespace

TEST_CASE("a stream gives the state at once, each change, and the server learns that the client has gone") {
  Fixture f;
  std::shared_ptr<grpc::Stream> stream;
  int ended = 0;
  grpc::Service service{.unary = {},
                        .streaming = {{"/t.T/Watch",
                                       [&](std::string_view, std::shared_ptr<grpc::Stream> s) {
                                         stream = std::move(s);
                                         stream->send("first");
                                       }}},
                        .stream_ended = [&] { ++ended; }};
  const auto server = grpc::Server::listen(f.loop, f.socket, std::move(service), f.log);
  REQUIRE(server);
  {
    Subscriber client(f.socket);
    client.subscribe();
    CHECK(f.turn_until([&] {
      client.read();
      return client.got.contains(grpc::frame("first"));
    }));
    stream->send("second");
    CHECK(f.turn_until([&] {
      client.read();
      return client.got.contains(grpc::frame("second"));
    }));
    CHECK(stream->open());
    CHECK(ended == 0);
  }
  CHECK(f.turn_until([&] { return ended == 1; }));
  CHECK_FALSE(stream->open());
  stream->send("nobody listens");
}

TEST_CASE("a client that does not read costs the latest state only and gets that when it reads again") {
  Fixture f;
  std::shared_ptr<grpc::Stream> stream;
  grpc::Service service{.unary = {},
                        .streaming = {{"/t.T/Watch", [&](std::string_view, std::shared_ptr<grpc::Stream> s) { stream = std::move(s); }}}};
  const auto server = grpc::Server::listen(f.loop, f.socket, std::move(service), f.log);
  REQUIRE(server);
  Subscriber client(f.socket);
  client.subscribe();
  REQUIRE(f.turn_until([&] { return stream != nullptr; }));
  for (int i = 0; i < 2000; ++i) {
    stream->send(std::string(1000, 'a') + std::to_string(i));
    REQUIRE(f.loop.step(0ms));
  }
  client.read();
  // The window of the first 65,535 bytes is used up; open it wide, for the connection and the stream.
  for (const char id : {'\0', '\1'})
    client.write(std::string("\x00\x00\x04\x08\x00\x00\x00\x00", 8) + id + std::string("\x00\x10\x00\x00", 4));
  CHECK(f.turn_until([&] {
    client.read();
    return client.got.contains("a1999");
  }));
  CHECK(client.got.size() < 80'000);
}

TEST_CASE("bytes that are no HTTP/2 end that connection and no other") {
  Fixture f;
  const auto server = grpc::Server::listen(f.loop, f.socket, echo(), f.log);
  REQUIRE(server);
  Subscriber stranger(f.socket);
  stranger.write("GET / HTTP/1.1\r\n\r\n");
  CHECK(f.ask("/t.T/Echo", "still here") == "still here");
  char byte = 0;
  CHECK(f.turn_until([&] { return ::recv(stranger.fd.get(), &byte, 1, MSG_DONTWAIT) == 0; }));
}

TEST_CASE("a hundred connections that are left open do not keep the next one out for ever") {
  Fixture f;
  const auto server = grpc::Server::listen(f.loop, f.socket, echo(), f.log);
  REQUIRE(server);
  {
    std::vector<Subscriber> many;
    for (int i = 0; i < 100; ++i) {
      many.emplace_back(f.socket);
      REQUIRE(f.loop.step(0ms));
    }
  }
  CHECK(f.turn_until([&] { return f.ask("/t.T/Echo", "in").has_value(); }));
}

TEST_CASE("framing") {
  CHECK(grpc::unframe(grpc::frame("abc")) == "abc");
  CHECK(grpc::unframe("").error().code == grpc::Code::internal);
  CHECK(grpc::unframe(grpc::frame("a") + grpc::frame("b")).error().code == grpc::Code::internal);
  CHECK(grpc::unframe(std::string("\1\0\0\0\0", 5)).error().code == grpc::Code::unimplemented);
  CHECK(grpc::percent_decode(grpc::percent_encode("50 %\n ü")) == "50 %\n ü");
  CHECK(grpc::percent_decode("100%, %4") == "100%, %4");
}
