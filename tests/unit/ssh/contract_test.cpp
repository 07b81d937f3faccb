// Transport's promises, held against all that fulfil it: a real sshd as root, a real sshd through sudo, a local process and
// the fake.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <memory>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

#include "core/os/crypto/crypto.hpp"
#include "sshd.hpp"
#include "tests/support/fake_transport.hpp"

using namespace cloudos;
using namespace cloudos::ssh::test;
using test::FakeCall;
using test::FakeTransport;

namespace {

using Exit = Result<ssh::RemoteExit>;

// The commands of this file, as the fake machine knows them.
std::unique_ptr<ssh::Transport> scripted() {
  auto fake = std::make_unique<FakeTransport>();
  fake->on({"cat"}, [](FakeCall& call) -> Exit {
    CLOUDOS_ASSIGN(const std::string in, call.input());
    CLOUDOS_TRY(call.print(in));
    return ssh::RemoteExit{.code = 0, .signal = {}};
  });
  fake->on({"printf", "%s|"}, [](FakeCall& call) -> Exit {
    for (std::size_t i = 2; i < call.argv.words.size(); ++i) CLOUDOS_TRY(call.print(call.argv.words[i] + "|"));
    return ssh::RemoteExit{.code = 0, .signal = {}};
  });
  fake->on({"sleep"}, [](FakeCall&) -> Exit { return fail(ErrorKind::timeout, "root@fake:22: running a command did not end in time"); });
  fake->on({"sh", "-c", "kill -TERM $$"}, [](FakeCall&) -> Exit { return ssh::RemoteExit{.code = {}, .signal = "TERM"}; });
  fake->on({"yes"}, [](FakeCall& call) -> Exit {
    for (;;) CLOUDOS_TRY(call.print("y\n"));
  });
  fake->on({"true"}, [](FakeCall&) -> Exit { return ssh::RemoteExit{.code = 0, .signal = {}}; });
  fake->answer({"sh", "-c", "exit 3"}, "", 3)
      .answer({"sh", "-c", "echo out; echo err >&2"}, "out\n", 0, "err\n")
      .answer({"cloudos-no-such-program"}, "", 127, "not found\n");
  return fake;
}

struct Subject {
  std::unique_ptr<Sshd> sshd;
  std::unique_ptr<Folder> folder;
  std::unique_ptr<ssh::Transport> transport;
};

Subject subject(const std::string& kind) {
  Subject s;
  NullLog log;
  if (kind == "fake") s.transport = scripted();
  else if (kind == "local") s.transport = ssh::local();
  else {
    s.sshd = std::make_unique<Sshd>(kind == "ssh, sudo" ? with_sudo("opensesame") : SshdOptions{});
    auto options = s.sshd->options();
    if (kind == "ssh, sudo") {
      options.user = "ops";
      options.sudo_password = Secret{"opensesame"};
    }
    auto transport = ssh::connect(options, {}, log);
    INFO((transport ? std::string() : transport.error().text()) << s.sshd->log());
    REQUIRE(transport);
    s.transport = std::move(*transport);
  }
  return s;
}

Ran good(ssh::Transport& transport, const Argv& argv, std::string in = {}) {
  auto ran = run(transport, argv, std::move(in));
  INFO((ran ? std::string() : ran.error().text()));
  REQUIRE(ran);
  return *ran;
}

// What libssh2 loses of an AES-GCM session (see write_config) is not counted.
struct LeaksOfLibssh2 {
#ifdef __SANITIZE_ADDRESS__
  LeaksOfLibssh2() { __lsan_disable(); }
  ~LeaksOfLibssh2() { __lsan_enable(); }
#else
  LeaksOfLibssh2() {}
#endif
  LeaksOfLibssh2(const LeaksOfLibssh2&) = delete;
  LeaksOfLibssh2& operator=(const LeaksOfLibssh2&) = delete;
};

}  // namespace

TEST_CASE("every transport keeps the same promises") {
  const std::string kind = GENERATE("ssh, root", "ssh, sudo", "local", "fake");
  CAPTURE(kind);
  const Subject s = subject(kind);
  auto& transport = *s.transport;

  SECTION("a non-zero exit is not an error, and one command follows the other") {
    CHECK(good(transport, {"sh", "-c", "exit 3"}).exit.code == 3);
    CHECK(good(transport, {"true"}).exit.ok());
    CHECK(good(transport, {"cloudos-no-such-program"}).exit.code == 127);
    CHECK(good(transport, {"true"}).exit.ok());
  }
  SECTION("the two streams stay apart") {
    const auto ran = good(transport, {"sh", "-c", "echo out; echo err >&2"});
    CHECK(ran.out == "out\n");
    CHECK(ran.err == "err\n");
  }
  SECTION("words arrive as they are") {
    const std::vector<std::string> words{"",     "a b",   "it's", "$HOME `id`", "back\\slash\\", "two\nlines", "-rf", "*",
                                         "\"",   "grüße", "!x",   "~",          "=cat",          "%1",         ";",   "#",
                                         "{a,b}"};
    Argv argv{"printf", "%s|"};
    std::string expected;
    for (const auto& word : words) {
      argv += word;
      expected += word + "|";
    }
    CHECK(good(transport, argv).out == expected);
  }
  SECTION("stdin arrives to the last byte, and its end is seen") {
    CHECK(good(transport, {"cat"}, "no newline at the end").out == "no newline at the end");
    CHECK(good(transport, {"cat"}).out.empty());
    std::string every(256 * 1024, '\0');
    for (std::size_t i = 0; i < every.size(); ++i) every[i] = static_cast<char>(i * 31 >> 3);
    CHECK(good(transport, {"cat"}, every).out == every);
  }
  SECTION("a command that leaves its stdin unread ends as it would otherwise") {
    CHECK(good(transport, {"sh", "-c", "exit 3"}, std::string(8 << 20, 'x')).exit.code == 3);
  }
  SECTION("an end by a signal is told by its name") {
    const auto ran = good(transport, {"sh", "-c", "kill -TERM $$"});
    CHECK_FALSE(ran.exit.code);
    CHECK(ran.exit.signal == "TERM");
  }
  SECTION("a deadline ends a command that does not") {
    const auto begun = std::chrono::steady_clock::now();
    const auto ran = run(transport, {"sleep", "60"}, {}, Milliseconds{700});
    REQUIRE_FALSE(ran);
    CHECK(ran.error().kind == ErrorKind::timeout);
    CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(30));
  }
  SECTION("endless output ends with the sink's error") {
    std::string out;
    const auto ended = transport.run({"yes"}, {.out = into(out, 1 << 20)}, in(Milliseconds{20'000}));
    REQUIRE_FALSE(ended);
    CHECK(ended.error().kind == ErrorKind::failed);
    CHECK(ended.error().message.contains("more than"));
  }
  SECTION("an error of the source ends the command with it") {
    ssh::Streams streams{.in = [](std::span<std::byte>) -> Result<std::size_t> { return fail(ErrorKind::io, "the disk is gone"); }};
    const auto ended = transport.run({"cat"}, std::move(streams), in(Milliseconds{20'000}));
    REQUIRE_FALSE(ended);
    CHECK(ended.error().message == "the disk is gone");
  }
  SECTION("closed is closed") {
    transport.close();
    const auto ran = run(transport, {"true"});
    REQUIRE_FALSE(ran);
    CHECK(ran.error().kind == ErrorKind::network);
  }
}

TEST_CASE("200 MB stream both ways at once and arrive whole") {
  const std::string config = GENERATE("Ciphers aes128-gcm@openssh.com\n", "Ciphers aes128-gcm@openssh.com\nRekeyLimit 16M\n",
                                      "Ciphers chacha20-poly1305@openssh.com\nRekeyLimit 16M\n", "Ciphers aes128-ctr\n");
  CAPTURE(config);
  const LeaksOfLibssh2 ignored;
  const Sshd sshd({.config = config});
  NullLog log;
  auto transport = ssh::connect(sshd.options(), {}, log);
  REQUIRE(transport);
  constexpr std::size_t total = 200U << 20;
  os::Sha256 sent, got;
  std::size_t given = 0, taken = 0;
  std::uint64_t seed = 88172645463325252;
  ssh::Streams streams;
  streams.in = [&](std::span<std::byte> room) -> Result<std::size_t> {
    const auto n = std::min(room.size(), total - given);
    for (std::size_t i = 0; i < n; i += 64) {
      seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
      room[i] = static_cast<std::byte>(seed);
    }
    sent.update(room.first(n));
    given += n;
    return n;
  };
  streams.out = [&](std::span<const std::byte> bytes) -> Status {
    got.update(bytes);
    taken += bytes.size();
    return {};
  };
  const auto exit = (*transport)->run({"cat"}, std::move(streams), in(std::chrono::seconds(120)));
  INFO((exit ? std::string() : exit.error().text()) << " sent " << given << ", got " << taken);
  REQUIRE(exit);
  CHECK(exit->ok());
  CHECK(taken == total);
  CHECK(got.finish() == sent.finish());
}
