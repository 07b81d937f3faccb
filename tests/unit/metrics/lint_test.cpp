// promtool's lint of the whole page: what it says is known, name by name.
#include <catch2/catch_test_macros.hpp>

#include "core/base/text.hpp"
#include "core/os/process/process.hpp"
#include "tests/unit/metrics/server.hpp"

using namespace cloudos;
using namespace cloudos::test;

namespace {

std::string everything() {
  const Server server;
  metrics::Collectors collectors(server.options());
  const auto report = a_report();
  const auto figures = some_figures();
  return collectors.render({.node = "node-1", .report = &report, .figures = &figures});
}

os::Output lint(const std::string& text) {
  auto linted = os::capture({"/usr/bin/promtool", "check", "metrics"}, {.stdin_source = bytes_of(text)});
  REQUIRE(linted);
  return *linted;
}

// These names are the kernel's own fields, and the label is DCGM's, as dashboards have them.
bool known(std::string_view complaint) {
  if (complaint.starts_with("DCGM_FI_DEV_")) return complaint.ends_with(" label names should be written in 'snake_case' not 'camelCase'");
  const bool field =
      complaint.starts_with("node_memory_") || complaint.starts_with("node_netstat_") || complaint.starts_with("node_sockstat_");
  return (field && complaint.ends_with(" metric names should be written in 'snake_case' not 'camelCase'")) ||
         complaint == "node_entropy_available_bits use base unit \"bytes\" instead of \"bits\"" ||
         complaint == "node_entropy_pool_size_bits use base unit \"bytes\" instead of \"bits\"";
}

}  // namespace

TEST_CASE("promtool finds nothing to say but what it says of node_exporter's and DCGM's own names") {
  const auto linted = lint(everything());
  INFO(linted.out << linted.err);
  // 1 would be a page that cannot be parsed.
  CHECK((linted.exit.code == 0 || linted.exit.code == 3));
  for (const auto& complaint : split(linted.out + linted.err, '\n'))
    if (!trim(complaint).empty()) CHECK(known(complaint));
}

TEST_CASE("promtool has nothing to say of our own names") {
  std::string text;
  for (const auto& line : split(everything(), '\n'))
    if (line.contains("cloudos_") || line.contains("process_")) text += line + "\n";
  const auto linted = lint(text);
  CHECK(linted.out + linted.err == "");
  CHECK(linted.exit.code == 0);
}
