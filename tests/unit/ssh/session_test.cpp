#include <catch2/catch_test_macros.hpp>

#include "sshd.hpp"

using namespace cloudos;
using namespace cloudos::ssh::test;

TEST_CASE("a key logs in and a command gives its output and exit status") {
  const Sshd sshd;
  NullLog log;
  auto transport = ssh::connect(sshd.options(), {}, log);
  INFO((transport ? std::string() : transport.error().text()) << sshd.log());
  REQUIRE(transport);
  const auto ran = run(**transport, {"sh", "-c", "cat; echo err >&2; exit 3"}, "in\n");
  INFO((ran ? std::string() : ran.error().text()) << sshd.log());
  REQUIRE(ran);
  CHECK(ran->exit.code == 3);
  CHECK(ran->out == "in\n");
  CHECK(ran->err == "err\n");
}
