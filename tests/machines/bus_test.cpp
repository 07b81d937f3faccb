// The bus room's promises, kept on a machine: its tests are carried there and run.
#include <catch2/catch_test_macros.hpp>
#include <cstdlib>

#include "core/os/file/file.hpp"
#include "tests/machines/machines.hpp"

using namespace cloudos;
using namespace cloudos::machines;

TEST_CASE("units are started, told of, enabled and stopped through a real systemd", "[bus]") {
  const char* tests = std::getenv("CLOUDOS_SYSTEMD_TESTS");
  REQUIRE(tests != nullptr);
  const Sandbox sandbox("t-bus", 1, 0);
  const auto program = os::read(tests);
  REQUIRE(program);
  const auto& machine = sandbox.named("master-1");
  REQUIRE(sandbox.on(machine, {"sh", "-euc", "cat > /run/tests; chmod 755 /run/tests"}, *program).code == 0);
  const auto ran = sandbox.on(machine, {"/run/tests"});
  INFO(ran.out << ran.err);
  CHECK(ran.code == 0);
}
