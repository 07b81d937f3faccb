#include "agent/join/clock.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

using namespace cloudos;
using Catch::Matchers::ContainsSubstring;

TEST_CASE("a store's date is read, and nothing else is taken for one") {
  CHECK(joining::http_date("Sun, 06 Nov 1994 08:49:37 GMT") == 784'111'777);
  for (const auto* text : {"", "yesterday", "Sun, 06 Nov 1994 08:49:37 GMT and more", "784111777", "Sun, 06 Nov 1994"})
    CHECK_FALSE(joining::http_date(text));
}

TEST_CASE("a clock that is minutes off is told with by how much and which way, one that is seconds off is not") {
  for (const int off : {0, 5, -60, 180}) CHECK(joining::clock_fault(off).empty());
  CHECK_THAT(joining::clock_fault(3600), ContainsSubstring("ahead of"));
  CHECK_THAT(joining::clock_fault(-3600), ContainsSubstring("behind") && ContainsSubstring("60 min"));
  CHECK(joining::date_text(784'111'777) == "1994-11-06 08:49:37 UTC");
}
