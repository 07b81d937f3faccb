#include "tests/unit/driver/fleet.hpp"

using namespace cloudos;
using test::Fleet;

TEST_CASE("a machine that has the agent is only asked, never written to") {
  Fleet fleet({"a"});
  const auto found = driver::survey(fleet.config(), test::sample_bundle(), fleet.setting());
  CHECK(found.findings.empty());
  REQUIRE(found.seen.contains({"a"}));
  CHECK(found.seen.at({"a"}).facts.hostname == "a");
  for (const auto& command : fleet["a"].commands) CHECK(command.contains("cloudos-agent"));
}

TEST_CASE("a machine without the agent gets it under a temporary name first, and gives it back on request") {
  Fleet fleet({"a"});
  auto& a = fleet["a"];
  a.has_agent = false;
  const auto setting = fleet.setting();
  auto found = driver::survey(fleet.config(), test::sample_bundle(), setting);
  CHECK(found.findings.empty());
  REQUIRE(a.ran("tar -xzf - -C /var/lib/cloudos/agent/"));
  CHECK(a.place_of("tar -xzf") < a.place_of("mv /var/lib/cloudos/agent/"));
  CHECK(a.commands[a.place_of("tar -xzf")].ends_with(".part"));
  driver::remove_uploaded(found, setting);
  CHECK(a.commands.back() == "rmdir /var/lib/cloudos");
  CHECK(a.commands[a.commands.size() - 3].starts_with("rm -rf /var/lib/cloudos/agent/"));
}

TEST_CASE("work that an earlier run left going is waited for, and what the machine is asked again after it") {
  Fleet fleet({"a"});
  fleet["a"].at_work = {"00ab", "00cd"};
  const auto found = driver::survey(fleet.config(), test::sample_bundle(), fleet.setting());
  CHECK(found.findings.empty());
  CHECK(found.seen.at({"a"}).facts.running_apply.empty());
  CHECK(fleet["a"].ran("follow --run 00ab"));
  CHECK(fleet["a"].place_of("follow --run 00ab") < fleet["a"].place_of("follow --run 00cd"));
  const auto events = fleet.events();
  CHECK(std::ranges::count_if(events,
                              [](const auto& event) { return event.machine == MachineId{"a"} && event.text.contains("waiting"); }) == 2);
}

TEST_CASE("a machine that does not answer is left out and named; the others are surveyed") {
  Fleet fleet({"a", "b"});
  fleet["a"].reachable = false;
  const auto found = driver::survey(fleet.config(), test::sample_bundle(), fleet.setting());
  CHECK(found.unreachable.contains({"a"}));
  CHECK(found.seen.contains({"b"}));
  CHECK(found.findings.empty());
}

TEST_CASE("a changed host key or a wrong password refuses the run, with the machine named") {
  Fleet fleet({"a", "b"});
  fleet["a"].connect_error = Error{.kind = ErrorKind::trust, .message = "the host key of a has changed", .hint = "look"};
  fleet["b"].connect_error = Error{.kind = ErrorKind::auth, .message = "b accepts none of the keys"};
  const auto found = driver::survey(fleet.config(), test::sample_bundle(), fleet.setting());
  REQUIRE(found.findings.size() == 2);
  CHECK(found.findings[0].where == "a");
  CHECK(found.findings[0].code == "host-key");
  CHECK(found.findings[0].remedy == "look");
  CHECK(found.findings[1].code == "login");
  CHECK(found.unreachable.empty());
}

TEST_CASE("a worker is not asked for the images of the control plane") {
  const auto& index = test::sample_bundle().index();
  const auto master = driver::blobs_for(index, model::Role::master);
  const auto node = driver::blobs_for(index, model::Role::node);
  CHECK(node.size() < master.size());
  const auto* image = index.images("control-plane").front();
  CHECK(std::ranges::find(master, image->digest) != master.end());
  CHECK(std::ranges::find(node, image->digest) == node.end());
}

TEST_CASE("the agent's garbage is an error that names the machine, not a crash") {
  Fleet fleet({"a"});
  auto setting = fleet.setting();
  setting.connect = [](const model::MachineConfig&) -> Result<std::unique_ptr<ssh::Transport>> {
    auto transport = std::make_unique<test::FakeTransport>("a");
    transport->answer({}, "\x1b[2J{not json");
    return transport;
  };
  const auto found = driver::survey(fleet.config(), test::sample_bundle(), setting);
  REQUIRE(found.findings.size() == 1);
  CHECK(found.findings[0].where == "a");
}
