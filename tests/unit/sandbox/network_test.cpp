#include "installer/sandbox/network.hpp"

#include <catch2/catch_test_macros.hpp>

using namespace cloudos;
using namespace cloudos::sandbox;

namespace {

constexpr auto snmp =
    "Ip: Forwarding DefaultTTL InReceives InHdrErrors InAddrErrors ForwDatagrams\n"
    "Ip: 1 64 90 0 4 0\n"
    "Udp: InDatagrams NoPorts InErrors OutDatagrams\n"
    "Udp: 7 2 0 9\n"
    "UdpLite: InDatagrams NoPorts InErrors OutDatagrams\n"
    "UdpLite: 0 1000 0 0\n";
constexpr auto netstat =
    "TcpExt: SyncookiesSent SyncookiesRecv\n"
    "TcpExt: 5 6\n"
    "IpExt: InNoRoutes InTruncatedPkts InMcastPkts\n"
    "IpExt: 3 0 8\n";

}  // namespace

TEST_CASE("a sandbox gets the same network every time, and two sandboxes differ") {
  const auto first = choose_subnet("dev", {});
  const auto again = choose_subnet("dev", {});
  const auto other = choose_subnet("ci", {});
  REQUIRE(first);
  CHECK(first->cidr().starts_with("10.77."));
  CHECK(*first == *again);
  CHECK_FALSE(*first == *other);
}

TEST_CASE("a sandbox never takes a network that this computer already reaches") {
  const auto usual = choose_subnet("dev", {});
  REQUIRE(usual);
  for (const auto& taken : {usual->cidr(), usual->address(200), usual->prefix + ".128/25"}) {
    const std::vector<std::string> all{"default", "192.0.2.0/24", taken};
    const auto chosen = choose_subnet("dev", all);
    REQUIRE(chosen);
    CHECK_FALSE(*chosen == *usual);
  }
  const std::vector<std::string> neighbours{"10.76.0.0/16", "10.78.0.0/15", "127.0.0.0/8"};
  CHECK(*choose_subnet("dev", neighbours) == *usual);
}

TEST_CASE("a computer whose routes cover 10.0.0.0/8 gets a network elsewhere, one that covers both is told") {
  const std::vector<std::string> vpn{"10.0.0.0/8"};
  const auto elsewhere = choose_subnet("dev", vpn);
  REQUIRE(elsewhere);
  CHECK(elsewhere->cidr().starts_with("172.28."));
  const std::vector<std::string> everything{"10.0.0.0/8", "172.16.0.0/12"};
  const auto none = choose_subnet("dev", everything);
  REQUIRE_FALSE(none);
  CHECK(none.error().kind == ErrorKind::refused);
}

TEST_CASE("whatever tried to leave the sandbox is counted: no route, refused addresses, look-ups of names") {
  CHECK(count_escapes(snmp, netstat) == Escapes{.packets = 3 + 4 + 2, .name_lookups = 2});
  CHECK(count_escapes("", "") == Escapes{});
}
