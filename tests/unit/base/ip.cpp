#include "core/base/ip.hpp"

#include <catch2/catch_test_macros.hpp>

using namespace cloudos;

TEST_CASE("addresses are read as the kernel writes them, and nothing else is taken for one") {
  CHECK(Ip::parse("10.0.0.4")->text() == "10.0.0.4");
  CHECK(Ip::parse("FD00:0::1")->text() == "fd00::1");
  const std::initializer_list<std::string_view> wrong = {
      "", "10.0.0", "10.0.0.256", "010.0.0.1", "10.0.0.4 ", "fd00:::1", "fd00::1%eth0", "1", "::g", std::string_view("10.0.0.1\0x", 10)};
  for (const auto bad : wrong) {
    INFO(bad);
    CHECK_FALSE(Ip::parse(bad));
  }
}

TEST_CASE("the next address carries over byte borders") {
  CHECK(Ip::parse("10.0.0.255")->next().text() == "10.0.1.0");
  CHECK(Ip::parse("255.255.255.255")->next().text() == "0.0.0.0");
  CHECK(Ip::parse("fd00::ffff")->next().text() == "fd00::1:0");
}

TEST_CASE("networks overlap when one holds the other, whatever their host bits say") {
  const auto net = [](std::string_view text) { return *Cidr::parse(text); };
  CHECK(net("10.96.0.0/12").overlaps(net("10.100.1.0/24")));
  CHECK(net("10.100.1.0/24").overlaps(net("10.96.0.0/12")));
  CHECK_FALSE(net("10.96.0.0/12").overlaps(net("10.112.0.0/16")));
  CHECK(net("10.244.3.7/16").overlaps(net("10.244.200.0/24")));
  CHECK(net("0.0.0.0/0").overlaps(net("192.0.2.1/32")));
  CHECK_FALSE(net("::/0").overlaps(net("0.0.0.0/0")));
  CHECK(net("10.0.0.0/25").contains(*Ip::parse("10.0.0.127")));
  CHECK_FALSE(net("10.0.0.0/25").contains(*Ip::parse("10.0.0.128")));
  CHECK(net("10.244.3.7/14").network().text() == "10.244.0.0");
  CHECK(net("10.247.3.7/14").network().text() == "10.244.0.0");
}

TEST_CASE("networks without a sound prefix length are refused") {
  for (const auto* bad : {"10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "fd00::/129", "/8", "x/8"}) {
    INFO(bad);
    CHECK_FALSE(Cidr::parse(bad));
  }
}

TEST_CASE("an IPv6 address stands in brackets before its port") {
  CHECK(host_port("10.0.0.4", 6443) == "10.0.0.4:6443");
  CHECK(host_port("fd00::1", 6443) == "[fd00::1]:6443");
  CHECK(host_port("api.example.com", 443) == "api.example.com:443");
}
