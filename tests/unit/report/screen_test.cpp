#include <catch2/catch_test_macros.hpp>

#include "installer/report/screen.hpp"

using namespace cloudos;
using report::Screen;
using Kind = model::Event::Kind;

namespace {

const Screen::Time start{};
const MachineId a{"10.0.0.1"}, b{"10.0.0.2"}, c{"10.0.0.3"};

model::Event event(Kind kind, const MachineId& machine) { return {.kind = kind, .machine = machine}; }

}  // namespace

TEST_CASE("the live view has a line a machine with stage, step, bytes and seconds") {
  Screen screen({a, b});
  auto begun = event(Kind::run_started, a);
  begun.text = "images";
  screen.on(begun, start);
  auto step = event(Kind::step_started, a);
  step.step = {"load-images"};
  screen.on(step, start);
  auto moving = event(Kind::progress, b);
  moving.text = "sending";
  moving.done = 1 << 20;
  moving.total = 4 << 20;
  screen.on(moving, start);
  const auto lines = screen.lines(100, 10, false, start + std::chrono::seconds(12));
  REQUIRE(lines.size() == 2);
  CHECK(lines[0] == "▸ 10.0.0.1  images: load-images  12 s");
  CHECK(lines[1] == "· 10.0.0.2  waiting  [sending 1.0 MiB of 4.0 MiB]");
}

TEST_CASE("no line of the live view is wider than the terminal") {
  Screen screen({a});
  auto begun = event(Kind::run_started, a);
  begun.text = std::string(300, 'x');
  screen.on(begun, start);
  const auto lines = screen.lines(40, 10, false, start);
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].ends_with("…"));
  CHECK(report::clip(lines[0], 40) == lines[0]);
}

TEST_CASE("with more machines than lines, those that failed and those at work are shown and the others counted") {
  Screen screen({a, b, c});
  auto failed = event(Kind::step_failed, c);
  failed.failure.message = "no space left";
  screen.on(failed, start);
  const auto lines = screen.lines(80, 2, false, start);
  REQUIRE(lines.size() == 2);
  CHECK(lines[0] == "✗ 10.0.0.3  waiting: no space left");
  CHECK(lines[1] == "  and 2 more machines");
}

TEST_CASE("a machine cannot send terminal sequences into the live view") {
  Screen screen({a});
  auto step = event(Kind::step_started, a);
  step.step = {"evil\x1b[2J"};
  screen.on(step, start);
  for (const auto& line : screen.lines(80, 5, false, start)) CHECK_FALSE(line.contains('\x1b'));
}

TEST_CASE("text is cut between characters, never inside one") {
  CHECK(report::clip("äöü", 3) == "äöü");
  CHECK(report::clip("äöüß", 3) == "äö…");
  CHECK(report::clip("abc", 0).empty());
}

TEST_CASE("the live view calls a step what people call it") {
  Screen screen({a}, {{{"install:/x/kubelet"}, "kubelet 1.37.2"}});
  auto step = event(Kind::step_started, a);
  step.step = {"install:/x/kubelet"};
  screen.on(step, start);
  CHECK(screen.lines(80, 5, false, start)[0] == "▸ 10.0.0.1  waiting: kubelet 1.37.2  0.0 s");
}
