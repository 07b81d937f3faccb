#include "tests/unit/driver/fleet.hpp"

using namespace cloudos;
using Kind = model::Event::Kind;
using test::Fleet;

namespace {

std::vector<driver::Undone> undo(Fleet& fleet, bool whole) {
  const auto setting = fleet.setting();
  auto found = driver::connect_all(fleet.config().machines, setting);
  return driver::undo_all(found, whole, setting);
}

}  // namespace

TEST_CASE("the agent's folder goes last, when nothing else is left") {
  Fleet fleet({"a"});
  const auto undone = undo(fleet, true);
  REQUIRE(undone.size() == 1);
  CHECK(undone[0].clean());
  auto& a = fleet["a"];
  CHECK(a.place_of("undo --whole-cluster") < a.place_of("rm -rf /var/lib/cloudos/agent"));
}

TEST_CASE("residue is listed, and the agent stays so that it can be looked at") {
  Fleet fleet({"a"});
  fleet["a"].on_undo = [](test::FakeCall& call) -> Result<ssh::RemoteExit> {
    CLOUDOS_TRY(call.print(test::event_line({.kind = Kind::finding, .text = "mount /var/lib/kubelet/x"})));
    return test::exited(1);
  };
  const auto undone = undo(fleet, false);
  CHECK(undone[0].residue == std::vector<std::string>{"mount /var/lib/kubelet/x"});
  CHECK_FALSE(undone[0].clean());
  CHECK_FALSE(fleet["a"].ran("rm -rf"));
}

TEST_CASE("a machine that cloudos never touched is clean, not an error") {
  Fleet fleet({"a"});
  fleet["a"].has_agent = false;
  const auto undone = undo(fleet, true);
  CHECK(undone[0].clean());
  CHECK(undone[0].nothing_here);
}

TEST_CASE("workers are undone before masters, and masters of a cluster that stays one after the other") {
  Fleet fleet({"a", "b"}, "a");
  std::mutex mutex;
  std::vector<std::string> order;
  for (const auto* id : {"a", "b"})
    fleet[id].on_undo = [&, id](test::FakeCall&) -> Result<ssh::RemoteExit> {
      const std::lock_guard lock(mutex);
      order.emplace_back(id);
      return test::exited(0);
    };
  CHECK(undo(fleet, false).size() == 2);
  CHECK(order == std::vector<std::string>{"b", "a"});
}

TEST_CASE("the masters that stay are told who is gone and what is wanted from now on") {
  Fleet fleet({"m", "n"}, "m");
  auto rest = fleet.config();
  std::erase_if(rest.machines, [](const auto& machine) { return machine.id == MachineId{"n"}; });
  CHECK(driver::forget_nodes({"node-n"}, rest, fleet.setting()));
  CHECK(fleet["m"].ran("delete node --ignore-not-found --wait=false node-n"));
  CHECK(fleet["m"].ran("patch configmap cluster"));
}
