// Here: where there is no systemd. Where there is one, see tests/machines/systemd.
#include "core/os/bus/bus.hpp"

#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <cstdlib>

using namespace cloudos;
using Catch::Matchers::ContainsSubstring;

TEST_CASE("A machine without systemd is told in one sentence, with what must be there") {
  // ./dev gives the build root a /run of its own.
  REQUIRE(::access("/run/systemd/private", F_OK) != 0);
  ::setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus", 1);
  const auto systemd = os::Systemd::connect();
  REQUIRE_FALSE(systemd);
  CHECK(systemd.error().kind == ErrorKind::io);
  CHECK_THAT(systemd.error().message, ContainsSubstring("systemd cannot be reached over D-Bus: No such file or directory"));
  CHECK_THAT(systemd.error().hint, ContainsSubstring("PID 1"));
}
