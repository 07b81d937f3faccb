#include "tests/unit/driver/fleet.hpp"

using namespace cloudos;
using namespace cloudos::test;

namespace {

const std::vector<std::string> words{"token", "create"};

struct Masters : Fleet {
  Masters() : Fleet({"10.0.0.1", "10.0.0.2", "10.0.0.3"}) {}
};
model::ClusterConfig all_masters(Fleet& fleet) {
  auto config = fleet.config();
  for (auto& machine : config.machines) machine.role = model::Role::master;
  return config;
}
std::function<Result<ssh::RemoteExit>(FakeCall&)> says(std::string out, std::string err, int code) {
  return [=](FakeCall& call) -> Result<ssh::RemoteExit> {
    CLOUDOS_TRY(call.input());
    CLOUDOS_TRY(call.print(out));
    CLOUDOS_TRY(call.complain(err));
    return exited(code);
  };
}

}  // namespace

TEST_CASE("what must not be done twice is told to one master, the first that is there") {
  Masters fleet;
  fleet["10.0.0.1"].reachable = false;
  fleet["10.0.0.2"].on_token = says("the secret", "", 0);
  const auto told = driver::tell_master(all_masters(fleet), words, fleet.setting());
  REQUIRE(told);
  CHECK(told->reveal() == "the secret");
  CHECK_FALSE(fleet["10.0.0.3"].ran("token"));
}

TEST_CASE("after a connection was lost nobody else is told, since it may have been done") {
  Masters fleet;
  fleet["10.0.0.1"].on_token = [](FakeCall&) -> Result<ssh::RemoteExit> { return cut(); };
  const auto told = driver::tell_master(all_masters(fleet), words, fleet.setting());
  REQUIRE_FALSE(told);
  CHECK(told.error().kind == ErrorKind::network);
  CHECK(fleet["10.0.0.1"].connections == 1);
  CHECK_FALSE(fleet["10.0.0.2"].ran("token"));
}

TEST_CASE("the agent's own sentence and advice are the error, without what it printed") {
  Masters fleet;
  fleet["10.0.0.1"].on_token = says("half a secret", "there is no join token aaaaab\ndid you mean aaaaaa?\n", 2);
  const auto told = driver::tell_master(all_masters(fleet), words, fleet.setting());
  REQUIRE_FALSE(told);
  CHECK(told.error().kind == ErrorKind::input);
  CHECK(told.error().message == "there is no join token aaaaab");
  CHECK(told.error().hint == "did you mean aaaaaa?");
  CHECK_FALSE(told.error().text().contains("secret"));
  CHECK_FALSE(fleet["10.0.0.2"].ran("token"));
}

TEST_CASE("a master that refuses changed nothing: another is told") {
  Masters fleet;
  fleet["10.0.0.1"].on_token = says("", "this machine is not a master of a cluster\n", 3);
  fleet["10.0.0.2"].on_token = says("the secret", "", 0);
  CHECK(driver::tell_master(all_masters(fleet), words, fleet.setting()));
}

TEST_CASE("masters of which none can be reached are all named") {
  Masters fleet;
  for (const auto* id : {"10.0.0.1", "10.0.0.2", "10.0.0.3"}) fleet[id].reachable = false;
  const auto told = driver::tell_master(all_masters(fleet), words, fleet.setting());
  REQUIRE_FALSE(told);
  CHECK(told.error().kind == ErrorKind::network);
  for (const auto* id : {"10.0.0.1", "10.0.0.2", "10.0.0.3"}) CHECK(told.error().message.contains(id));
}
