// The installed programs carry their libraries and loader: they run where the system's own are older.
#include <catch2/catch_test_macros.hpp>
#include <filesystem>

#include "core/base/text.hpp"
#include "core/model/facts.hpp"
#include "tests/machines/machines.hpp"

using namespace cloudos;
using namespace cloudos::machines;

namespace {

// build/cloudos as it is, anywhere on the machine.
void carry_programs(const Sandbox& sandbox, const Machine& machine) {
  const auto folder = std::filesystem::path(program()).parent_path().parent_path();
  const auto packed = os::must({"tar", "-C", folder.parent_path().string(), "-cf", "-", folder.filename().string()});
  REQUIRE(packed);
  REQUIRE(sandbox.on(machine, {"sh", "-euc", "mkdir /opt/elsewhere; tar -C /opt/elsewhere --strip-components=1 -xf -"}, *packed).code == 0);
}

void check_programs(const Sandbox& sandbox, const Machine& machine, const std::string& version) {
  carry_programs(sandbox, machine);
  CHECK(trim(sandbox.sh(machine, "/opt/elsewhere/bin/cloudos --version")) == trim(machines::cloudos({"--version"}).out));
  const auto facts = model::decode_facts(trim(sandbox.sh(machine, "/opt/elsewhere/bin/cloudos-agent facts")));
  REQUIRE(facts);
  CHECK(facts->hostname == machine.name);
  CHECK(facts->os.version_id == version);
  // By a link, too, as from /usr/local/bin.
  sandbox.sh(machine, "ln -s /opt/elsewhere/bin/cloudos /usr/local/bin/; cloudos install --help > /dev/null");
}

}  // namespace

TEST_CASE("the programs run on Debian 12 wherever they are put", "[releases]") {
  const Sandbox sandbox("t-deb12", 1, 0, {"--release", "bookworm"});
  check_programs(sandbox, sandbox.named("master-1"), "12");
}

TEST_CASE("the programs run on Debian 11, and make a cluster of it", "[releases]") {
  const Sandbox sandbox("t-deb11", 1, 0, {"--release", "bullseye"});
  const auto& master = sandbox.named("master-1");
  check_programs(sandbox, master, "11");
  const auto installed = sandbox.install(sandbox.addresses("master"), "");
  INFO(installed.out.substr(installed.out.size() > 4000 ? installed.out.size() - 4000 : 0) << installed.err);
  REQUIRE(installed.code == 0);
  CHECK(all_ready(sandbox, master, 1));
}
