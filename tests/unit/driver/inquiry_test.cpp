#include "installer/driver/inquiry.hpp"

#include "tests/unit/driver/fleet.hpp"

using namespace cloudos;
using namespace cloudos::test;

TEST_CASE("machines answer each its own questions, over connections that stay open for the next round") {
  Fleet fleet({"10.0.0.1", "10.0.0.2"}, "10.0.0.1");
  const auto setting = fleet.setting();
  driver::Inquiry inquiry(setting);
  inquiry.know(fleet.config().machines);
  inquiry.know(fleet.config().machines);
  CHECK(inquiry.machines().size() == 2);
  for (int round = 1; round <= 2; ++round) {
    const auto answers =
        inquiry.ask({{{"10.0.0.1"}, {{"query", "pool"}, {"facts"}}}, {{"10.0.0.2"}, {{"facts"}}}, {{"10.0.0.9"}, {{"facts"}}}});
    REQUIRE(answers.size() == 2);
    REQUIRE(answers.at({"10.0.0.1"}).size() == 2);
    CHECK(answers.at({"10.0.0.1"})[1]->contains("\"hostname\":\"10.0.0.1\""));
    CHECK(answers.at({"10.0.0.2"})[0]->contains("\"hostname\":\"10.0.0.2\""));
  }
  CHECK(fleet["10.0.0.1"].connections == 1);
  CHECK(fleet["10.0.0.2"].connections == 1);
}

TEST_CASE("a machine that is away is tried once, says why to every question, and keeps nobody else from answering") {
  Fleet fleet({"10.0.0.1", "10.0.0.2"});
  fleet["10.0.0.2"].reachable = false;
  const auto setting = fleet.setting();
  driver::Inquiry inquiry(setting);
  inquiry.know(fleet.config().machines);
  const auto answers = inquiry.ask({{{"10.0.0.1"}, {{"facts"}}}, {{"10.0.0.2"}, {{"facts"}, {"sample"}}}});
  CHECK(answers.at({"10.0.0.1"})[0]);
  REQUIRE(answers.at({"10.0.0.2"}).size() == 2);
  for (const auto& answer : answers.at({"10.0.0.2"})) {
    REQUIRE_FALSE(answer);
    CHECK(answer.error().message == "no route to host");
  }
  CHECK(fleet["10.0.0.2"].connections == 1);
  // It is back: the next round finds it.
  fleet["10.0.0.2"].reachable = true;
  CHECK(inquiry.ask({{{"10.0.0.2"}, {{"facts"}}}}).at({"10.0.0.2"})[0]);
}
