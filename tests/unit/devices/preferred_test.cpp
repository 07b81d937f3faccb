#include "agent/devices/preferred.hpp"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <format>

using namespace cloudos::devices;

namespace {

using Ids = std::vector<std::string>;

Ids ids(const std::vector<Unit>& units) {
  Ids out;
  for (const auto& unit : units) out.push_back(unit.id);
  return out;
}
Ids sorted(Ids list) {
  std::ranges::sort(list);
  return list;
}

// Eight GPUs on one fabric of switches, four on each of two sockets: the usual large server.
std::vector<Unit> server() {
  std::vector<Unit> out;
  for (int i = 0; i < 8; ++i)
    out.push_back({.id = std::format("g{}", i), .card = std::format("g{}", i), .device = "", .numa = i / 4, .island = "fabric"});
  return out;
}
// Four GPUs on one socket, linked by bridges in pairs: 0-2 and 1-3.
std::vector<Unit> workstation() {
  std::vector<Unit> out;
  for (int i = 0; i < 4; ++i)
    out.push_back(
        {.id = std::format("g{}", i), .card = std::format("g{}", i), .device = "", .numa = 0, .island = std::format("p{}", i % 2)});
  return out;
}

}  // namespace

TEST_CASE("four of eight GPUs come from one socket, whatever order kubelet names them in") {
  const auto units = server();
  auto available = ids(units);
  std::ranges::reverse(available);
  CHECK(sorted(prefer(units, available, {}, 4)) == Ids{"g0", "g1", "g2", "g3"});
}

TEST_CASE("a small request takes from the socket that is already in use, so that the other stays whole") {
  const auto units = server();
  const Ids available = {"g0", "g1", "g2", "g3", "g6", "g7"};
  CHECK(sorted(prefer(units, available, {}, 2)) == Ids{"g6", "g7"});
  CHECK(sorted(prefer(units, available, {}, 4)) == Ids{"g0", "g1", "g2", "g3"});
}

TEST_CASE("a request beyond one socket takes all of one and the rest of the other") {
  const auto units = server();
  const auto six = sorted(prefer(units, ids(units), {}, 6));
  CHECK(std::ranges::count_if(six, [](const auto& id) { return id < "g4"; }) == 4);
}

TEST_CASE("two GPUs are a pair that a bridge links") {
  const auto units = workstation();
  CHECK(sorted(prefer(units, ids(units), {}, 2)) == Ids{"g0", "g2"});
  CHECK(sorted(prefer(units, Ids{"g0", "g1", "g3"}, {}, 2)) == Ids{"g1", "g3"});
}

TEST_CASE("a single GPU is not torn from a whole pair while another is alone") {
  const auto units = workstation();
  CHECK(prefer(units, Ids{"g0", "g1", "g3"}, {}, 1) == Ids{"g0"});
}

TEST_CASE("the rest goes to the ones that must be there") {
  const auto units = server();
  CHECK(sorted(prefer(units, ids(units), Ids{"g5"}, 4)) == Ids{"g4", "g5", "g6", "g7"});
  CHECK(prefer(units, ids(units), Ids{"g5", "g1"}, 2) == Ids{"g5", "g1"});
}

TEST_CASE("shares are taken from different GPUs, the least shared first") {
  std::vector<Unit> units;
  for (const auto* card : {"a", "b"})
    for (int i = 0; i < 4; ++i)
      units.push_back({.id = std::format("{}::{}", card, i), .card = card, .device = card, .numa = 0, .island = "x"});
  const auto two = prefer(units, ids(units), {}, 2);
  REQUIRE(two.size() == 2);
  CHECK(two[0][0] != two[1][0]);
  // Three shares of a are given already.
  CHECK(prefer(units, Ids{"a::3", "b::0", "b::1", "b::2", "b::3"}, {}, 1)[0].starts_with("b"));
}

TEST_CASE("what cannot be given is not made up") {
  const auto units = server();
  CHECK(prefer(units, Ids{"g1", "unknown"}, {}, 3) == Ids{"g1"});
  CHECK(prefer(units, {}, {}, 2).empty());
  CHECK(prefer(units, Ids{"g1", "g1"}, Ids{"g1"}, 2) == Ids{"g1"});
  CHECK(prefer({}, Ids{"g1"}, {}, 1).empty());
  CHECK(prefer(units, ids(units), {}, 0).empty());
}
