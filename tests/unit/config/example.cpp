#include <catch2/catch_test_macros.hpp>

#include <array>

#include "core/os/file/file.hpp"
#include "installer/config/draft.hpp"

using namespace cloudos;

TEST_CASE("the example in docs/ shows every key, and each is understood") {
  const auto text = os::read(std::string(CLOUDOS_SOURCE_DIR) + "/docs/cluster.toml");
  REQUIRE(text);
  config::Findings findings;
  const auto draft = config::read_document(*text, "cluster.toml", findings);
  for (const auto& finding : findings) UNSCOPED_INFO(finding.where << ": " << finding.message);
  CHECK(findings.empty());
  // A value that is there was read; what the document reader knows and the example lacks is empty here.
  CHECK((draft.name && draft.endpoint && draft.pod_cidr && draft.service_cidr && draft.dns_domain));
  CHECK((draft.user && draft.port && draft.identity && draft.password_file && draft.sudo_password_file));
  REQUIRE(draft.machines.size() == 2);
  const auto& machine = draft.machines[1];
  CHECK((machine.user && machine.port && machine.identity && machine.host_key && machine.hostname && machine.address));
  CHECK_FALSE(machine.labels.empty());
  CHECK_FALSE(machine.taints.empty());
}
