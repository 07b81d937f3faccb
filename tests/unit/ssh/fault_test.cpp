// Peers that are gone, silent, slow or not what they should be.
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <csignal>
#include <functional>
#include <thread>

#include "core/os/file/file.hpp"
#include "sshd.hpp"

using namespace cloudos;
using namespace cloudos::ssh::test;

namespace {

// Listens, and treats one connection as the test wants.
class Listener {
 public:
  explicit Listener(std::function<void(int fd, const std::stop_token&)> treat) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    REQUIRE(::listen(fd_.get(), 4) == 0);
    socklen_t size = sizeof address;
    REQUIRE(::getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::jthread([this, treat = std::move(treat)](const std::stop_token& stop) {
      const os::Fd peer(::accept(fd_.get(), nullptr, nullptr));
      if (peer) treat(peer.get(), stop);
    });
  }
  ~Listener() { ::shutdown(fd_.get(), SHUT_RDWR); }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  [[nodiscard]] std::uint16_t port() const { return port_; }

 private:
  os::Fd fd_;
  std::uint16_t port_ = 0;
  std::jthread thread_;
};

struct Failed {
  Error error;
  Milliseconds took{0};
};

Failed fails(std::uint16_t port) {
  const Folder folder;
  write(folder / "config", "");
  ssh::Options options{.host = "127.0.0.1", .port = port, .user = "root"};
  options.ssh_config_file = (folder / "config").string();
  options.known_hosts_file = (folder / "known_hosts").string();
  options.connect_timeout = Milliseconds{800};
  NullLog log;
  const auto begun = std::chrono::steady_clock::now();
  auto transport = ssh::connect(options, {}, log);
  const auto took = std::chrono::duration_cast<Milliseconds>(std::chrono::steady_clock::now() - begun);
  REQUIRE_FALSE(transport);
  INFO(transport.error().text());
  CHECK(transport.error().message.contains("127.0.0.1"));
  return {transport.error(), took};
}

void say(int fd, std::string_view text) { [[maybe_unused]] const auto n = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL); }
void wait_for(const std::stop_token& stop, Milliseconds most) {
  for (auto left = most; left.count() > 0 && !stop.stop_requested(); left -= Milliseconds{20})
    std::this_thread::sleep_for(Milliseconds{20});
}

}  // namespace

TEST_CASE("a port that nobody listens on is a network error that may pass") {
  const auto failed = fails(free_port());
  CHECK(failed.error.kind == ErrorKind::network);
  CHECK(failed.error.retryable);
}

TEST_CASE("a machine that takes the connection and says nothing is a timeout that names the step") {
  const Listener blackhole([](int, const std::stop_token& stop) { wait_for(stop, Milliseconds{4000}); });
  const auto failed = fails(blackhole.port());
  CHECK(failed.error.kind == ErrorKind::timeout);
  CHECK(failed.error.message.contains("the SSH handshake"));
  CHECK(failed.took < Milliseconds{2500});
}

TEST_CASE("a slow drip does not stretch the deadline") {
  const Listener drip([](int fd, const std::stop_token& stop) {
    for (const char c : std::string("SSH-2.0-OpenSSH_9.9") + std::string(100, 'x')) {
      say(fd, std::string_view(&c, 1));
      wait_for(stop, Milliseconds{60});
      if (stop.stop_requested()) return;
    }
  });
  const auto failed = fails(drip.port());
  CHECK(failed.error.kind == ErrorKind::timeout);
  CHECK(failed.took < Milliseconds{2500});
}

TEST_CASE("something that is not an sshd is told within the deadline") {
  const Listener web([](int fd, const std::stop_token&) { say(fd, "HTTP/1.1 400 Bad Request\r\n\r\n"); });
  CHECK(fails(web.port()).error.kind == ErrorKind::network);
}

TEST_CASE("no algorithm in common says what this side offers") {
  const Sshd sshd({.config = "KexAlgorithms sntrup761x25519-sha512\n"});
  NullLog log;
  auto transport = ssh::connect(sshd.options(), {}, log);
  REQUIRE_FALSE(transport);
  CHECK(transport.error().kind == ErrorKind::network);
  CHECK_FALSE(transport.error().retryable);
  CHECK(transport.error().hint.contains("curve25519"));
}

TEST_CASE("a machine without SFTP is no worse for it") {
  const Sshd sshd({.config = "Subsystem sftp /nonexistent\n"});
  NullLog log;
  auto transport = ssh::connect(sshd.options(), {}, log);
  REQUIRE(transport);
  CHECK(run(**transport, {"cat"}, std::string(1 << 20, 'x'))->out.size() == 1 << 20);
}

TEST_CASE("a peer that falls silent in the middle of a command is noticed by its missing signs of life") {
  const Sshd sshd;
  auto options = sshd.options();
  options.keepalive = Milliseconds{2000};
  NullLog log;
  auto transport = ssh::connect(options, {}, log);
  REQUIRE(transport);
  std::jthread freeze([&] {
    std::this_thread::sleep_for(Milliseconds{600});
    sshd.freeze();
  });
  const auto ran = run(**transport, {"sleep", "60"}, {}, Milliseconds{30'000});
  freeze.join();
  sshd.thaw();
  REQUIRE_FALSE(ran);
  INFO(ran.error().text());
  CHECK(ran.error().kind == ErrorKind::network);
  CHECK(ran.error().retryable);
  CHECK(ran.error().message.contains("no sign of life"));
  CHECK(ran.error().message.contains("root@127.0.0.1"));
}

TEST_CASE("a peer that falls silent in the middle of an upload is noticed, too") {
  const Sshd sshd;
  auto options = sshd.options();
  options.keepalive = Milliseconds{2000};
  NullLog log;
  auto transport = ssh::connect(options, {}, log);
  REQUIRE(transport);
  std::jthread freeze([&] {
    std::this_thread::sleep_for(Milliseconds{600});
    sshd.freeze();
  });
  ssh::Streams streams{.in = [](std::span<std::byte> room) -> Result<std::size_t> { return room.size(); }};
  const auto ended = (*transport)->run({"sh", "-c", "cat > /dev/null"}, std::move(streams), in(Milliseconds{40'000}));
  freeze.join();
  sshd.thaw();
  REQUIRE_FALSE(ended);
  INFO(ended.error().text());
  CHECK(ended.error().kind == ErrorKind::network);
  CHECK(ended.error().message.contains("no sign of life"));
}

TEST_CASE("a quiet command outlives many keepalive spans") {
  const Sshd sshd;
  auto options = sshd.options();
  options.keepalive = Milliseconds{4000};
  NullLog log;
  auto transport = ssh::connect(options, {}, log);
  REQUIRE(transport);
  const auto ran = run(**transport, {"sleep", "17"}, {}, Milliseconds{60'000});
  INFO((ran ? std::string() : ran.error().text()));
  REQUIRE(ran);
  CHECK(ran->exit.ok());
}

TEST_CASE("an sshd that ends in the middle of a command is a network error that may pass") {
  Sshd sshd;
  NullLog log;
  auto transport = ssh::connect(sshd.options(), {}, log);
  REQUIRE(transport);
  std::jthread stop([&] {
    std::this_thread::sleep_for(Milliseconds{400});
    sshd.stop();
  });
  const auto ran = run(**transport, {"sleep", "60"}, {}, Milliseconds{20'000});
  REQUIRE_FALSE(ran);
  CHECK(ran.error().kind == ErrorKind::network);
  CHECK(ran.error().retryable);
}

TEST_CASE("hosts and users that a program could take for options are refused before anything is dialled") {
  NullLog log;
  for (const std::string host : {"-oProxyCommand=x", "a b", "a;b", "", "a$(id)"}) {
    const auto transport = ssh::connect({.host = host, .user = "root"}, {}, log);
    REQUIRE_FALSE(transport);
    CHECK(transport.error().kind == ErrorKind::input);
  }
  for (const std::string user : {"-root", "a b", "a;b", "`id`"}) {
    const auto transport = ssh::connect({.host = "127.0.0.1", .user = user}, {}, log);
    REQUIRE_FALSE(transport);
    CHECK(transport.error().kind == ErrorKind::input);
  }
}
