#include <catch2/catch_test_macros.hpp>
#include <chrono>

#include <netinet/in.h>
#include <sys/socket.h>

#include "agent/facts/facts.hpp"
#include "core/os/file/file.hpp"

using namespace cloudos;

namespace {

// A listening socket on a free port of the loopback.
struct Listening {
  os::Fd fd{socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  std::uint16_t port = 0;
  explicit Listening(int backlog = 8) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* const raw = static_cast<sockaddr*>(static_cast<void*>(&address));
    socklen_t size = sizeof address;
    REQUIRE(bind(fd.get(), raw, size) == 0);
    REQUIRE(listen(fd.get(), backlog) == 0);
    REQUIRE(getsockname(fd.get(), raw, &size) == 0);
    port = ntohs(address.sin_port);
  }
};

}  // namespace

TEST_CASE("each target gets its own answer, in order: reached, refused, not an address") {
  const Listening listening;
  std::uint16_t closed = 0;
  {
    const Listening gone;
    closed = gone.port;
  }
  const auto answers = facts::reach({.from = {"a"},
                                     .targets = {{.id = {"b"}, .host = "127.0.0.1", .port = listening.port, .mtu_probe = true},
                                                 {.id = {"c"}, .host = "127.0.0.1", .port = closed},
                                                 {.id = {"d"}, .host = "no address", .port = 1}}});
  REQUIRE(answers.size() == 3);
  CHECK(answers[0].from == MachineId{"a"});
  CHECK(answers[0].to == MachineId{"b"});
  CHECK(answers[0].tcp);
  CHECK(answers[0].source == "127.0.0.1");
  CHECK(answers[0].mtu >= 1280);
  CHECK(answers[0].reason.empty());
  CHECK_FALSE(answers[1].tcp);
  CHECK(answers[1].reason.contains("refused"));
  CHECK(answers[1].mtu == 0);
  CHECK(answers[2].reason.contains("no address"));
}

TEST_CASE("silent targets are waited for together, not one after the other") {
  // A full backlog drops further connections silently, as a firewall does.
  const Listening silent(0);
  std::vector<facts::ReachTarget> targets(6, {.id = {"x"}, .host = "127.0.0.1", .port = silent.port});
  const auto start = std::chrono::steady_clock::now();
  const auto answers = facts::reach({.from = {}, .targets = targets}, Milliseconds{400});
  const auto took = std::chrono::steady_clock::now() - start;
  CHECK(took >= Milliseconds{400});
  CHECK(took < Milliseconds{1500});
  CHECK_FALSE(answers.back().tcp);
  CHECK(answers.back().reason.contains("did not answer within 0.4 s"));
}

TEST_CASE("a reach request is read, and a wrong one is refused with what is wrong") {
  const auto request = facts::parse_reach_request(
      R"({"from":"10.0.0.1","targets":[{"id":"m2","host":"10.0.0.2","port":2222,"mtu_probe":true},{"id":"m3","host":"10.0.0.3"}]})");
  REQUIRE(request);
  CHECK(request->from.value == "10.0.0.1");
  REQUIRE(request->targets.size() == 2);
  CHECK(request->targets[0].port == 2222);
  CHECK(request->targets[0].mtu_probe);
  CHECK(request->targets[1].port == 22);
  for (const auto* text : {"", "[]", "{}", R"({"targets":1})", R"({"targets":[{"id":"x"}]})", R"({"from":3,"targets":[]})"}) {
    const auto wrong = facts::parse_reach_request(text);
    REQUIRE_FALSE(wrong);
    CHECK(wrong.error().kind == ErrorKind::input);
  }
}
