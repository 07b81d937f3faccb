#include <catch2/catch_test_macros.hpp>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <vector>

#include "agent/halves/halves.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace cloudos;

namespace {

// The socket as systemd would hold it.
os::Fd listen_at(const std::filesystem::path& path) {
  os::Fd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.native().size());
  REQUIRE(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  REQUIRE(::listen(fd.get(), 1) == 0);
  return fd;
}
std::pair<halves::Link, halves::Link> two_ends() {
  auto ends = halves::pair();
  REQUIRE(ends);
  return *std::move(ends);
}
std::string received(halves::Link& link) {
  auto message = link.receive();
  if (!message) FAIL(message.error().text());
  REQUIRE(*message);
  return **std::move(message);
}

}  // namespace

TEST_CASE("messages arrive one by one, whole, in both directions") {
  auto [a, b] = two_ends();
  REQUIRE(a.send("one"));
  REQUIRE(a.send("two"));
  REQUIRE(b.send("three"));
  CHECK(received(b) == "one");
  CHECK(received(b) == "two");
  CHECK(received(a) == "three");
  const auto nothing = b.receive();
  REQUIRE(nothing);
  CHECK(!*nothing);
}

TEST_CASE("the longest message goes, one that is longer is refused before it is sent") {
  auto [a, b] = two_ends();
  const std::string longest(halves::longest_message, 'x');
  REQUIRE(a.send(longest));
  CHECK(received(b) == longest);
  const auto longer = a.send(longest + "x");
  REQUIRE(!longer);
  CHECK(longer.error().kind == ErrorKind::input);
  CHECK(longer.error().message.contains("131073"));
  CHECK(a.send("").error().kind == ErrorKind::input);
  CHECK(!*b.receive());
}

TEST_CASE("the longest message goes over a socket that was made with the smallest buffer") {
  std::array<int, 2> ends{};
  REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) == 0);
  const int smallest = 0;
  for (const int end : ends) REQUIRE(::setsockopt(end, SOL_SOCKET, SO_SNDBUF, &smallest, sizeof smallest) == 0);
  halves::Link a{os::Fd(ends[0])};
  halves::Link b{os::Fd(ends[1])};
  REQUIRE(a.send(std::string(halves::longest_message, 'x')));
  CHECK(received(b).size() == halves::longest_message);
  CHECK(!*b.receive());  // and a link never blocks, whatever its socket was
}

TEST_CASE("a peer that sends more than it may is refused, not cut short") {
  auto [a, b] = two_ends();
  const std::string longer(halves::longest_message + 1, 'x');
  REQUIRE(::send(a.fd(), longer.data(), longer.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(longer.size()));
  const auto message = b.receive();
  REQUIRE(!message);
  CHECK(message.error().kind == ErrorKind::input);
  CHECK(message.error().message.contains("131073"));
}

TEST_CASE("a peer that does not read is told as a timeout, and may be tried again") {
  auto [a, b] = two_ends();
  Status sent;
  for (int i = 0; i < 1000 && sent; ++i) sent = a.send(std::string(halves::longest_message, 'x'));
  REQUIRE(!sent);
  CHECK(sent.error().kind == ErrorKind::timeout);
  CHECK(sent.error().retryable);
  while (*b.receive()) {}
  CHECK(a.send("again"));
}

TEST_CASE("a peer that has gone is a network error, for sending and receiving, and kills nobody") {
  auto [a, b] = two_ends();
  REQUIRE(a.send("the last words"));
  { const auto gone = std::move(a); }
  CHECK(received(b) == "the last words");
  CHECK(b.receive().error().kind == ErrorKind::network);
  CHECK(b.send("anyone?").error().kind == ErrorKind::network);
}

TEST_CASE("descriptors that a peer sends along are dropped") {
  auto [a, b] = two_ends();
  std::array<char, CMSG_SPACE(sizeof(int))> control{};
  char letter = 'x';
  iovec data{.iov_base = &letter, .iov_len = 1};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  auto* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  const int sent = b.fd();
  std::memcpy(CMSG_DATA(header), &sent, sizeof sent);
  REQUIRE(::sendmsg(a.fd(), &message, 0) == 1);
  const os::Fd before(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  CHECK(received(b) == "x");
  const os::Fd after(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  CHECK(after.get() == before.get() + 1);
}

TEST_CASE("whoever connects is let in when it is this user") {
  const test::TemporaryFolder folder;
  const auto listening = listen_at(folder / "agent.sock");
  const auto nobody = halves::accept(listening.get(), ::getuid());
  REQUIRE(nobody);
  CHECK(!*nobody);  // and does not wait, though the socket is blocking
  auto there = halves::connect(folder / "agent.sock");
  REQUIRE(there);
  auto here = halves::accept(listening.get(), ::getuid());
  REQUIRE(here);
  REQUIRE(*here);
  REQUIRE(there->send(std::string(halves::longest_message, 'x')));
  CHECK(received(**here).size() == halves::longest_message);
  REQUIRE((*here)->send(std::string(halves::longest_message, 'y')));
  CHECK(received(*there).size() == halves::longest_message);
}

TEST_CASE("another user is turned away, and the next one still gets in") {
  const test::TemporaryFolder folder;
  const auto listening = listen_at(folder / "agent.sock");
  // Only root can become somebody else.
  constexpr uid_t somebody = 65534;
  if (::getuid() == 0) {
    std::filesystem::permissions(folder.path(), std::filesystem::perms::all);
    std::filesystem::permissions(folder / "agent.sock", std::filesystem::perms::all);
    REQUIRE(::seteuid(somebody) == 0);
  }
  auto there = halves::connect(folder / "agent.sock");
  if (::getuid() == 0) REQUIRE(::seteuid(0) == 0);
  REQUIRE(there);
  const auto stranger = halves::accept(listening.get(), 4242);
  REQUIRE(!stranger);
  CHECK(stranger.error().kind == ErrorKind::auth);
  CHECK(stranger.error().message.contains("4242"));
  CHECK(there->receive().error().kind == ErrorKind::network);
  auto next = halves::connect(folder / "agent.sock");
  REQUIRE(next);
  const auto here = halves::accept(listening.get(), ::getuid());
  REQUIRE(here);
  CHECK(*here);
}

TEST_CASE("a root half that is not there, or too busy, is an error that may be tried again") {
  const test::TemporaryFolder folder;
  const auto absent = halves::connect(folder / "agent.sock");
  REQUIRE(!absent);
  CHECK(absent.error().kind == ErrorKind::network);
  CHECK(absent.error().retryable);
  CHECK(absent.error().hint.contains("cloudos-agent-root"));
  CHECK(halves::connect(folder / std::string(200, 'x')).error().kind == ErrorKind::input);
  const auto listening = listen_at(folder / "agent.sock");
  std::vector<halves::Link> waiting;
  Result<halves::Link> link = halves::connect(folder / "agent.sock");
  for (int i = 0; i < 100 && link; ++i) {
    waiting.push_back(*std::move(link));
    link = halves::connect(folder / "agent.sock");
  }
  REQUIRE(!link);
  CHECK(link.error().kind == ErrorKind::timeout);
  CHECK(link.error().retryable);
}
