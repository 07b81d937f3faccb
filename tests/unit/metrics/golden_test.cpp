// fixtures/server.txt is what a look at fixtures/server.tree must give, without what is of the process that looks and of the
// moment. CLOUDOS_ACCEPT=1 writes it anew.
#include <catch2/catch_test_macros.hpp>
#include <cstdlib>

#include "core/base/text.hpp"
#include "core/os/file/file.hpp"
#include "tests/unit/metrics/server.hpp"

using namespace cloudos;
using namespace cloudos::test;

namespace {

std::string only_of_the_machine(const std::string& text) {
  std::string out;
  for (const auto& line : split(text, '\n')) {
    const bool moment = line.contains("node_time_seconds") || line.contains("node_time_zone") || line.contains("node_timex_") ||
                        line.contains("node_uname_") || line.contains("node_scrape_collector_duration") || line.contains("process_") ||
                        line.contains("collector=\"timex\"") || line.contains("cloudos_agent_build_info");
    if (!moment && !line.empty()) out += line + "\n";
  }
  return out;
}

}  // namespace

TEST_CASE("a machine gives the metrics that were agreed on") {
  const Server server;
  metrics::Collectors collectors(server.options());
  const auto report = a_report();
  const auto figures = some_figures();
  const metrics::Inputs inputs{.node = "node-1", .report = &report, .figures = &figures, .own = {.api_writes = 12, .api_errors = 3}};
  const auto text = only_of_the_machine(collectors.render(inputs));
  const auto expected = std::filesystem::path(CLOUDOS_SOURCE_DIR) / "tests/unit/metrics/fixtures/server.txt";
  if (std::getenv("CLOUDOS_ACCEPT") != nullptr) REQUIRE(os::write_atomic(expected, text, 0644));
  CHECK(text == os::read(expected).value_or(""));
  // A second look begins anew.
  CHECK(only_of_the_machine(collectors.render(inputs)) == text);
}

TEST_CASE("a machine that has nothing to tell gives a page all the same") {
  const TemporaryFolder empty;
  metrics::Collectors collectors(
      {.roots = {.root = empty.path(), .procfs = empty / "proc", .sysfs = empty / "sys", .devfs = empty / "dev"}});
  const auto text = collectors.render({});
  CHECK(line(text, "node_scrape_collector_success{collector=\"cpu\"}").ends_with(" 0"));
  CHECK(line(text, "cloudos_agent_root_up") == "cloudos_agent_root_up 0");
  CHECK(lines(text, "node_filesystem").empty());
}

TEST_CASE("without the root half its figures are left out, and all others stay") {
  const Server server;
  metrics::Collectors collectors(server.options());
  const auto report = a_report();
  const auto figures = some_figures();
  const auto with = collectors.render({.report = &report, .figures = &figures});
  const auto without = collectors.render({});
  CHECK(lines(with, "DCGM_FI_DEV_GPU_UTIL{").size() == 1);
  CHECK(lines(without, "DCGM_").empty());
  CHECK(lines(without, "cloudos_condition{").empty());
  CHECK(lines(without, "node_network_").size() == lines(with, "node_network_").size());
  CHECK(line(with, "cloudos_agent_root_up") == "cloudos_agent_root_up 1");
  CHECK(line(without, "cloudos_agent_root_up") == "cloudos_agent_root_up 0");
}

TEST_CASE("a count of idle time that steps back a little stays where it was") {
  const Server server;
  metrics::Collectors collectors(server.options());
  const auto idle = [&](const std::string& ticks) {
    REQUIRE(os::write_atomic(server.root() / "proc/stat", "cpu  1 2 3 4\ncpu0 1 2 3 " + ticks + " 5 6 7 8 9 10\n", 0644));
    return line(collectors.render({}), "node_cpu_seconds_total{cpu=\"0\",mode=\"idle\"}");
  };
  CHECK(idle("100000").ends_with(" 1000"));
  CHECK(idle("99950").ends_with(" 1000"));
  CHECK(idle("100100").ends_with(" 1001"));
  // A CPU that was taken out and put in again counts anew.
  CHECK(idle("50").ends_with(" 0.5"));
}

TEST_CASE("the machine's mounts are told where others' processes are hidden") {
  const Server server;
  std::filesystem::create_directories(server.root() / "proc/self");
  std::filesystem::rename(server.root() / "proc/1/mountinfo", server.root() / "proc/self/mountinfo");
  metrics::Collectors collectors(server.options());
  CHECK(lines(collectors.render({}), "node_filesystem_size_bytes{").size() == 5);
}

TEST_CASE("of mounts that lie over each other the uppermost is told") {
  const Server server;
  REQUIRE(os::write_atomic(server.root() / "proc/1/mountinfo",
                           "30 1 8:1 /a /mnt/twice ro,relatime - ext4 /dev/sda1 rw\n"
                           "31 30 8:1 /a /mnt/twice rw,relatime - ext4 /dev/sda1 rw\n",
                           0644));
  metrics::Collectors collectors(server.options());
  const auto told = lines(collectors.render({}), "node_filesystem_readonly{");
  REQUIRE(told.size() == 1);
  CHECK(told.front().ends_with(" 0"));
}
