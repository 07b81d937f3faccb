#include "installer/config/hosts.hpp"

#include <catch2/catch_test_macros.hpp>

using namespace cloudos::config;

namespace {

std::vector<std::string> hosts(std::string_view item) {
  const auto parsed = parse_hosts(item);
  std::vector<std::string> names;
  if (parsed)
    for (const auto& spec : *parsed) names.push_back(spec.host);
  return names;
}
std::string code(std::string_view item) {
  const auto parsed = parse_hosts(item);
  return parsed ? "" : parsed.error().code;
}
using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("a host may be a name or an address, with a user and a port") {
  CHECK(*parse_hosts("db-1.example.com") == std::vector{HostSpec{"", "db-1.example.com", {}}});
  CHECK(*parse_hosts("ops@10.0.0.4:2222") == std::vector{HostSpec{"ops", "10.0.0.4", 2222}});
  CHECK(*parse_hosts("ops@[fd00::1]:2222") == std::vector{HostSpec{"ops", "fd00::1", 2222}});
  CHECK(*parse_hosts("fd00:0::1") == std::vector{HostSpec{"", "fd00::1", {}}});
  CHECK(*parse_hosts("[fd00::1]") == std::vector{HostSpec{"", "fd00::1", {}}});
  CHECK(*parse_hosts(" ops@example.com@10.0.0.4 ") == std::vector{HostSpec{"ops@example.com", "10.0.0.4", {}}});
}

TEST_CASE("a range stands for each of its addresses, both ends included") {
  CHECK(hosts("10.0.0.4-10.0.0.6") == Names{"10.0.0.4", "10.0.0.5", "10.0.0.6"});
  CHECK(hosts("10.0.0.4-6") == Names{"10.0.0.4", "10.0.0.5", "10.0.0.6"});
  CHECK(hosts("10.0.0.254-10.0.1.1") == Names{"10.0.0.254", "10.0.0.255", "10.0.1.0", "10.0.1.1"});
  CHECK(hosts("fd00::9-fd00::b") == Names{"fd00::9", "fd00::a", "fd00::b"});
  CHECK(hosts("fd00::9-b") == Names{"fd00::9", "fd00::a", "fd00::b"});
  CHECK(hosts("10.0.0.4-10.0.0.4") == Names{"10.0.0.4"});
  CHECK(*parse_hosts("ops@[fd00::1-2]:2222") == std::vector{HostSpec{"ops", "fd00::1", 2222}, HostSpec{"ops", "fd00::2", 2222}});
  CHECK(hosts("db-1").front() == "db-1");
}

TEST_CASE("a range that cannot be meant is refused: backwards, endless, of two kinds") {
  for (const auto* bad : {"10.0.0.9-10.0.0.4", "10.0.0.9-4", "10.0.0.1-10.255.0.1", "10.0.0.1-fd00::1", "10.0.0.1-256", "10.0.0.1-",
                          "10.0.0.1-x", "fd00::1-fffff"}) {
    INFO(bad);
    CHECK(code(bad) == "bad-range");
  }
}

TEST_CASE("a malformed IPv6 address is refused") {
  for (const auto* bad : {"fd00:::1", "fd00::1::2", "[fd00::g]", "[fd00::1", "[fd00::1]x", "1:2:3", "fd00::1%eth0"}) {
    INFO(bad);
    CHECK(code(bad) == "bad-address");
  }
}

TEST_CASE("a malformed IPv4 address is not taken for a name") {
  for (const auto* bad : {"10.0.0.256", "10.0.0", "010.0.0.1", "10.0.0.1.1"}) {
    INFO(bad);
    CHECK(code(bad) == "bad-address");
  }
}

TEST_CASE("an address that no machine can have is refused") {
  for (const auto* bad : {"0.0.0.0", "0.1.2.3", "224.0.0.1", "255.255.255.255", "::", "[ff02::1]:22"}) {
    INFO(bad);
    CHECK(code(bad) == "bad-address");
  }
}

TEST_CASE("ports 0 and 65536, and what is no number, are refused") {
  for (const auto* bad :
       {"10.0.0.4:0", "10.0.0.4:65536", "10.0.0.4:", "10.0.0.4:ssh", "[fd00::1]:0", "10.0.0.4:-1", "10.0.0.4:99999999999999999999"}) {
    INFO(bad);
    CHECK(code(bad) == "bad-port");
  }
  CHECK(code("10.0.0.4:65535").empty());
}

TEST_CASE("host names with upper case, underscores or shell metacharacters are refused") {
  for (const auto* bad : {"Web1", "my_host", "a;reboot", "$(id)", "`id`", "a b", "a/b", "a|b", "b\xc3\xbcro", "a..b", "a-", "*", "a\nb"}) {
    INFO(bad);
    CHECK(code(bad) == "bad-host");
  }
}

TEST_CASE("hosts and users that could be taken for options are refused") {
  CHECK(code("-oProxyCommand=reboot") == "bad-host");
  CHECK(code("ops@-oProxyCommand=reboot") == "bad-host");
  CHECK(code("-l@10.0.0.4") == "bad-user");
  CHECK(code("@10.0.0.4") == "bad-user");
  CHECK(code("a b@10.0.0.4") == "bad-user");
  CHECK(code("$(id)@10.0.0.4") == "bad-user");
  CHECK(code("") == "bad-host");
  CHECK(code("ops@") == "bad-host");
}
