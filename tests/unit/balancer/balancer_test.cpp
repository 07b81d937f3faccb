#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <ctime>
#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "agent/balancer/balancer.hpp"

using namespace cloudos;
using namespace cloudos::balancer;

namespace {

os::Fd listen_on(const char* address, std::uint16_t port, int backlog = 64) {
  os::Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int one = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  sockaddr_in at{.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {}, .sin_zero = {}};
  inet_pton(AF_INET, address, &at.sin_addr);
  REQUIRE(bind(fd.get(), reinterpret_cast<sockaddr*>(&at), sizeof at) == 0);
  REQUIRE(listen(fd.get(), backlog) == 0);
  return fd;
}

std::uint16_t port_of(const os::Fd& fd) {
  sockaddr_in at{};
  socklen_t size = sizeof at;
  getsockname(fd.get(), reinterpret_cast<sockaddr*>(&at), &size);
  return ntohs(at.sin_port);
}

// A master that greets with its name and then echoes. Its connections can be cut off.
class Greeter {
 public:
  Greeter(std::string name, const char* address, std::uint16_t port = 0) : name_(std::move(name)), listener_(listen_on(address, port)) {
    address_ = address;
    port_ = port_of(listener_);
    thread_ = std::thread([this] { serve(); });
  }
  ~Greeter() { stop(); }
  void stop() {
    if (!thread_.joinable()) return;
    stopping_ = true;
    shutdown(listener_.get(), SHUT_RDWR);
    {
      const std::lock_guard hold(mutex_);
      for (const int fd : open_) shutdown(fd, SHUT_RDWR);
    }
    thread_.join();
    for (auto& t : talks_) t.join();
    listener_.reset();
  }
  [[nodiscard]] Master master() const { return {.address = address_, .port = port_}; }

 private:
  void serve() {
    while (!stopping_) {
      const int fd = accept(listener_.get(), nullptr, nullptr);
      if (fd < 0) continue;
      const std::lock_guard hold(mutex_);
      open_.insert(fd);
      talks_.emplace_back([this, fd] {
        (void)!::send(fd, name_.data(), name_.size(), MSG_NOSIGNAL);  // the balancer's look is gone by then
        std::array<char, 4096> buffer{};
        for (ssize_t n = 0; (n = ::read(fd, buffer.data(), buffer.size())) > 0;)
          (void)!::send(fd, buffer.data(), static_cast<std::size_t>(n), MSG_NOSIGNAL);
        const std::lock_guard inner(mutex_);
        open_.erase(fd);
        close(fd);
      });
    }
  }
  std::string name_, address_;
  os::Fd listener_;
  std::uint16_t port_ = 0;
  std::atomic<bool> stopping_ = false;
  std::mutex mutex_;
  std::set<int> open_;
  std::vector<std::thread> talks_;
  std::thread thread_;
};

// A balancer at work in a thread of its own.
class Running {
 public:
  // `buffer`: the most bytes that the kernel keeps for a client that does not read; 0: as it likes.
  explicit Running(const std::vector<Master>& masters, int buffer = 0, Milliseconds settle = Milliseconds(0))
      : wake_(eventfd(0, EFD_CLOEXEC)) {
    os::Fd listener = listen_on("127.0.0.1", 0);
    if (buffer > 0) {
      setsockopt(listener.get(), SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
      setsockopt(listener.get(), SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
    }
    fcntl(listener.get(), F_SETFL, O_NONBLOCK);
    port_ = port_of(listener);
    auto made =
        Balancer::make(std::move(listener), masters,
                       {.connect = Milliseconds(200), .probe = Milliseconds(50), .silence = Milliseconds(2000), .settle = settle}, log_);
    REQUIRE(made);
    balancer_.emplace(std::move(*made));
    thread_ = std::thread([this] {
      (void)balancer_->serve(wake_.get(), [this] {
        std::uint64_t n = 0;
        (void)!::read(wake_.get(), &n, sizeof n);
        const std::lock_guard hold(mutex_);
        if (fresh_) balancer_->set_masters(*fresh_);
        fresh_.reset();
        return !stop_;
      });
    });
  }
  ~Running() {
    {
      const std::lock_guard hold(mutex_);
      stop_ = true;
    }
    poke();
    thread_.join();
  }
  void reload(std::vector<Master> masters) {
    {
      const std::lock_guard hold(mutex_);
      fresh_ = std::move(masters);
    }
    poke();
  }
  [[nodiscard]] std::uint16_t port() const { return port_; }

 private:
  void poke() const {
    const std::uint64_t one = 1;
    (void)!::write(wake_.get(), &one, sizeof one);
  }
  NullLog log_;
  os::Fd wake_;
  std::uint16_t port_ = 0;
  std::optional<Balancer> balancer_;
  std::mutex mutex_;
  std::optional<std::vector<Master>> fresh_;
  bool stop_ = false;
  std::thread thread_;
};

// A connection, or one on which nothing can be read: Catch2's assertions are for the test's own thread, and this is
// called from a hundred others.
os::Fd dial(std::uint16_t port, int buffer = 0) {
  os::Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (buffer > 0) setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
  sockaddr_in at{.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
  if (connect(fd.get(), reinterpret_cast<sockaddr*>(&at), sizeof at) != 0) fd.reset();
  const timeval patience{.tv_sec = 10, .tv_usec = 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  return fd;
}

// Exactly n bytes, or fewer at the end of the stream.
std::string take(const os::Fd& fd, std::size_t n) {
  std::string out(n, '\0');
  std::size_t got = 0;
  while (got < n) {
    const auto r = ::read(fd.get(), out.data() + got, n - got);
    if (r <= 0) break;
    got += static_cast<std::size_t>(r);
  }
  out.resize(got);
  return out;
}

std::string greeting(std::uint16_t port) { return take(dial(port), 1); }

// A port on which nobody listens.
std::uint16_t dead_port() { return port_of(listen_on("127.0.0.1", 0)); }

bool soon(const std::function<bool()>& so) {
  for (int i = 0; i < 500; ++i) {
    if (so()) return true;
    std::this_thread::sleep_for(Milliseconds(10));
  }
  return false;
}

}  // namespace

TEST_CASE("clients are spread over the masters") {
  const Greeter a("a", "127.0.0.2"), b("b", "127.0.0.3");
  const Running balancer({a.master(), b.master()});
  std::set<std::string> seen;
  for (int i = 0; i < 4; ++i) seen.insert(greeting(balancer.port()));
  CHECK(seen == std::set<std::string>{"a", "b"});
}

TEST_CASE("a master on this machine is asked first") {
  const Greeter remote("r", "127.0.0.2"), here("h", "127.0.0.1");
  const Running balancer({remote.master(), here.master()});
  for (int i = 0; i < 5; ++i) CHECK(greeting(balancer.port()) == "h");
}

TEST_CASE("a master that refuses is passed over, and used again once it answers") {
  const auto port = dead_port();
  const Greeter b("b", "127.0.0.2");
  const Running balancer({{"127.0.0.1", port}, b.master()});
  for (int i = 0; i < 3; ++i) CHECK(greeting(balancer.port()) == "b");
  const Greeter back("a", "127.0.0.1", port);
  CHECK(soon([&] { return greeting(balancer.port()) == "a"; }));
}

TEST_CASE("a master that has just begun to answer gets clients only when no other answers") {
  const auto port = dead_port();
  auto b = std::make_unique<Greeter>("b", "127.0.0.2");
  const Running balancer({{"127.0.0.1", port}, b->master()}, 0, Milliseconds(600'000));
  CHECK(greeting(balancer.port()) == "b");
  const Greeter starting("a", "127.0.0.1", port);
  std::this_thread::sleep_for(Milliseconds(300));  // six looks at it
  CHECK(greeting(balancer.port()) == "b");
  b.reset();
  CHECK(soon([&] { return greeting(balancer.port()) == "a"; }));
}

TEST_CASE("a balancer out of file descriptors lets clients wait, at no cost, and gives up no master") {
  const Greeter a("a", "127.0.0.2");
  const Running balancer({a.master()});
  const auto first = dial(balancer.port());
  REQUIRE(take(first, 1) == "a");
  const os::Fd late(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));  // made while there are descriptors
  const timeval patience{.tv_sec = 10, .tv_usec = 0};
  setsockopt(late.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  const sockaddr_in at{.sin_family = AF_INET, .sin_port = htons(balancer.port()), .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_NOFILE, &before) == 0);
  const rlimit none{.rlim_cur = 3, .rlim_max = before.rlim_max};
  REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
  const bool waits = connect(late.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0;
  const auto spent = std::clock();
  std::this_thread::sleep_for(Milliseconds(500));
  const auto used = static_cast<double>(std::clock() - spent) / CLOCKS_PER_SEC;
  setrlimit(RLIMIT_NOFILE, &before);
  REQUIRE(waits);
  CHECK(used < 0.02);
  shutdown(first.get(), SHUT_RDWR);  // its place is free
  CHECK(take(late, 1) == "a");
}

TEST_CASE("a master that never answers costs one connect timeout, not the connection") {
  // A full backlog drops SYNs, as a machine without power does.
  const os::Fd silent = listen_on("127.0.0.1", 0, 0);
  std::vector<os::Fd> fill;
  for (int i = 0; i < 3; ++i) {
    fill.emplace_back(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    sockaddr_in at{.sin_family = AF_INET, .sin_port = htons(port_of(silent)), .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
    connect(fill.back().get(), reinterpret_cast<sockaddr*>(&at), sizeof at);
  }
  const Greeter b("b", "127.0.0.2");
  const Running balancer({{"127.0.0.1", port_of(silent)}, b.master()});
  CHECK(greeting(balancer.port()) == "b");
}

TEST_CASE("with no master at all the client learns it at once") {
  const Running balancer({{"127.0.0.1", dead_port()}});
  CHECK(greeting(balancer.port()).empty());
  const Running none({});
  CHECK(greeting(none.port()).empty());
}

TEST_CASE("a master that dies takes its connections with it and new ones go elsewhere") {
  auto a = std::make_unique<Greeter>("a", "127.0.0.1");
  const Greeter b("b", "127.0.0.2");
  const Running balancer({a->master(), b.master()});
  const auto open = dial(balancer.port());
  CHECK(take(open, 1) == "a");
  a.reset();
  CHECK(take(open, 1).empty());
  CHECK(soon([&] { return greeting(balancer.port()) == "b"; }));
}

TEST_CASE("a new list of masters counts for new connections and leaves open ones alone") {
  const Greeter a("a", "127.0.0.2"), b("b", "127.0.0.3");
  Running balancer({a.master()});
  const auto open = dial(balancer.port());
  CHECK(take(open, 1) == "a");
  balancer.reload({b.master()});
  CHECK(soon([&] { return greeting(balancer.port()) == "b"; }));
  REQUIRE(::write(open.get(), "still", 5) == 5);
  CHECK(take(open, 5) == "still");
}

TEST_CASE("a hundred clients at once each get all of their bytes, in order") {
  const Greeter a("a", "127.0.0.2"), b("b", "127.0.0.3");
  const Running balancer({a.master(), b.master()});
  std::vector<std::thread> clients;
  std::atomic<int> whole = 0;
  for (int c = 0; c < 100; ++c)
    clients.emplace_back([&, c] {
      const auto fd = dial(balancer.port());
      if (take(fd, 1).size() != 1) return;
      std::string sent;
      for (int i = 0; i < 20'000; ++i) sent += static_cast<char>('a' + (i * (c + 1)) % 26);
      std::thread writer([&] {
        for (std::size_t at = 0; at < sent.size();) {
          const auto n = send(fd.get(), sent.data() + at, sent.size() - at, MSG_NOSIGNAL);
          if (n <= 0) break;
          at += static_cast<std::size_t>(n);
        }
        shutdown(fd.get(), SHUT_WR);
      });
      // More than was sent is asked for: the half-close must come back as the end.
      if (take(fd, sent.size() + 1) == sent) ++whole;
      writer.join();
    });
  for (auto& client : clients) client.join();
  CHECK(whole == 100);
}

TEST_CASE("the list of masters is read strictly") {
  CHECK(parse_config(R"({"schema":1,"masters":["10.0.0.1:6443","[fd00::1]:6443"]})") ==
        std::vector<Master>{{"10.0.0.1", 6443}, {"fd00::1", 6443}});
  for (const auto* bad :
       {"", "[]", R"({"schema":2,"masters":[]})", R"({"schema":1,"masters":["10.0.0.1"]})", R"({"schema":1,"masters":["fd00::1:6443"]})",
        R"({"schema":1,"masters":["10.0.0.1:0"]})", R"({"schema":1,"masters":["host:6443"]})", R"({"schema":1,"masters":[7]})"}) {
    INFO(bad);
    const auto masters = parse_config(bad);
    REQUIRE_FALSE(masters);
    CHECK(masters.error().kind == ErrorKind::input);
  }
}

TEST_CASE("a client that does not read costs no time while it waits, and still gets every byte") {
  const std::string much(90'000, 'x');
  const auto listener = listen_on("127.0.0.1", 0);
  std::thread master([&] {
    { const os::Fd look(accept(listener.get(), nullptr, nullptr)); }  // the balancer's own, when it learns of a master
    const os::Fd fd(accept(listener.get(), nullptr, nullptr));
    char byte = 0;
    while (::read(fd.get(), &byte, 1) > 0) continue;
    for (std::size_t sent = 0; sent < much.size();) {
      const auto n = ::write(fd.get(), much.data() + sent, much.size() - sent);
      if (n <= 0) break;
      sent += static_cast<std::size_t>(n);
    }
  });
  const Running running({{.address = "127.0.0.1", .port = port_of(listener)}}, 8192);
  const auto client = dial(running.port(), 8192);
  // The client has said all it had to say: both directions of the master's connection are then shut down.
  shutdown(client.get(), SHUT_WR);
  std::this_thread::sleep_for(Milliseconds(300));
  const auto before = std::clock();
  std::this_thread::sleep_for(Milliseconds(500));
  const auto used = static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC;
  CHECK(used < 0.02);
  CHECK(take(client, much.size()) == much);
  master.join();
}
