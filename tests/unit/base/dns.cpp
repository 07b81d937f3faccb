#include "core/base/dns.hpp"

#include <catch2/catch_test_macros.hpp>

using namespace cloudos;

TEST_CASE("host names that Kubernetes takes pass") {
  for (const auto* good : {"a", "db-1", "web1.example.com", "0x"}) {
    INFO(good);
    CHECK(why_not_dns_name(good).empty());
  }
  CHECK(why_not_dns_label(std::string(63, 'a')).empty());
}

TEST_CASE("each host name that cannot be one is refused with its own reason") {
  CHECK(why_not_dns_name("") == "is empty");
  CHECK(why_not_dns_name("Web") == "has an upper-case letter ('W')");
  CHECK(why_not_dns_name("my_host") == "has an underscore");
  CHECK(why_not_dns_name("a;reboot") == "has a character that no host name may have (';')");
  CHECK(why_not_dns_name("a b") == "has a character that no host name may have (byte 0x20)");
  CHECK(why_not_dns_name("b\xc3\xbcro") == "has a character that no host name may have (byte 0xc3)");
  CHECK(why_not_dns_name("a..b") == "has an empty part between dots");
  CHECK(why_not_dns_name("a.-b") == "begins or ends with '-'");
  CHECK(why_not_dns_label("a.b") == "has a character that no host name may have ('.')");
  CHECK(why_not_dns_label(std::string(64, 'a')) == "has 64 characters where at most 63 are allowed");
}
