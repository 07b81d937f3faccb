#include "agent/metrics/page.hpp"

#include <catch2/catch_test_macros.hpp>
#include <limits>

using namespace cloudos;
using namespace cloudos::metrics;

namespace {

std::string escaped(std::string_view value) {
  std::string out;
  append_escaped(out, value);
  return out;
}

}  // namespace

TEST_CASE("a label's value comes through whatever is in it") {
  CHECK(escaped("/var/lib") == "/var/lib");
  CHECK(escaped("a\"b\\c\nd") == "a\\\"b\\\\c\\nd");
  CHECK(escaped("größe €") == "größe €");
  // What is no UTF-8 would have the whole scrape refused.
  CHECK(escaped("a\xff\xfe"
                "b\xc3") ==
        "a\xEF\xBF\xBD"
        "b\xEF\xBF\xBD");
  CHECK(escaped("\xed\xa0\x80") == "\xEF\xBF\xBD");
  CHECK(escaped("").empty());
}

TEST_CASE("lines of one name stand together, under their help and type, however they come") {
  Page page;
  for (const char* device : {"a", "b"}) {
    page.counter("x_total", "X.").add(1U, {{"device", device}});
    page.gauge("a_bytes", "A.").add(2.5, {{"device", device}, {"way", "in"}});
  }
  page.gauge("never", "Not told.");
  const std::string expected =
      "# HELP a_bytes A.\n# TYPE a_bytes gauge\na_bytes{device=\"a\",way=\"in\"} 2.5\na_bytes{device=\"b\",way=\"in\"} 2.5\n"
      "# HELP x_total X.\n# TYPE x_total counter\nx_total{device=\"a\"} 1\nx_total{device=\"b\"} 1\n";
  CHECK(page.text() == expected);
  page.clear();
  CHECK(page.text().empty());
}

TEST_CASE("numbers are written so that nothing of them is lost") {
  Page page;
  auto& family = page.family("n", Kind::untyped, "N.");
  family.add(18446744073709551615U);
  family.add(-1);
  family.add(0.1);
  family.add(1e300);
  family.add(std::numeric_limits<double>::quiet_NaN());
  family.add(-std::numeric_limits<double>::infinity());
  CHECK(page.text() == "# HELP n N.\n# TYPE n untyped\nn 18446744073709551615\nn -1\nn 0.1\nn 1e+300\nn NaN\nn -Inf\n");
}
