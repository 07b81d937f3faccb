#include "agent/settings/settings.hpp"

#include <catch2/catch_test_macros.hpp>

#include <format>
#include <set>

#include "core/base/text.hpp"
#include "core/os/file/file.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace cloudos;
using settings::Settings;

namespace {

Settings taken(std::string_view text) {
  auto read = settings::parse(text, "agent.toml");
  if (!read) FAIL(read.error().text());
  return *std::move(read);
}
std::string refused(std::string_view text) {
  const auto read = settings::parse(text, "agent.toml");
  if (read) FAIL("taken: " << text);
  CHECK(read.error().kind == ErrorKind::input);
  return read.error().message;
}
// "health.every" of every line that sets a key.
std::set<std::string> keys_of(std::string_view text) {
  std::set<std::string> out;
  std::string section;
  for (const auto& line : split(text, '\n')) {
    if (line.starts_with('[')) section = line.substr(1, line.find(']') - 1);
    else if (const auto equals = line.find(" = "); equals != std::string::npos && !line.starts_with('#'))
      CHECK(out.insert(section + "." + line.substr(0, equals)).second);
  }
  return out;
}
// "#port = 9633" is a key, "# Text." is not.
std::string uncommented(std::string_view text) {
  std::string out;
  for (const auto& line : split(text, '\n')) out += (line.size() > 1 && line[0] == '#' && line[1] != ' ' ? line.substr(1) : line) + "\n";
  return out;
}

}  // namespace

TEST_CASE("an agent without settings, or with an empty file, has the defaults") {
  const test::TemporaryFolder folder;
  const auto absent = settings::read(folder / "agent.toml");
  REQUIRE(absent);
  CHECK(settings::print(*absent) == settings::print(Settings{}));
  CHECK(settings::print(taken("")) == settings::print(Settings{}));
}

TEST_CASE("the file as it is laid down sets nothing, and un-commenting every line of it gives exactly the defaults") {
  const auto text = settings::commented_defaults();
  CHECK(keys_of(text).empty());
  CHECK(settings::print(taken(text)) == settings::print(Settings{}));
  CHECK(settings::print(taken(uncommented(text))) == settings::print(Settings{}));
}

TEST_CASE("the file as it is laid down has every key that is understood, and no other") {
  const auto shown = keys_of(uncommented(settings::commented_defaults()));
  CHECK(shown == keys_of(settings::print(Settings{})));
  CHECK(shown.size() == 36);
}

TEST_CASE("what is printed is read again as the same") {
  const auto some = taken(R"([metrics]
enabled = false
port = 19633
loopback = 9100
[supply]
enabled = false
port = 1
[labels]
enabled = false
every = "90s"
[health]
enabled = false
every = 20
measure-sync = 0
restart = false
[health.restarts]
failures = 5
first-pause = "1500ms"
longest-pause = "1h"
an-hour = 6
[health.thresholds]
clock-bad = "2s"
clock-good = "1500us"
full-bad = 90
full-good = 80
full-within = "2d"
certificate-bad = "36h"
certificate-good = "2d"
corrected-an-hour = 7
[gpus]
mig-strategy = "mixed"
share = { "nvidia.com/gpu" = 4, "amd.com/gpu" = 2 }
rename-shared = true
probe = "5s"
recover = "2m"
nvml = "/opt/lib \"x\"/libnvidia-ml.so.1"
)");
  CHECK(some.metrics == Settings::Metrics{.enabled = false, .port = 19633, .loopback = 9100});
  CHECK(some.supply == Settings::Supply{.enabled = false, .port = 1});
  CHECK(some.labels == Settings::Labels{.enabled = false, .every = Milliseconds(90'000)});
  CHECK(some.health.every == Milliseconds(20'000));
  CHECK(some.health.measure_sync == Milliseconds(0));
  CHECK(some.health.restarts.first_pause_ms == 1500);
  CHECK(some.health.thresholds.clock_good_us == 1500);
  CHECK(some.health.thresholds.certificate_bad_s == 36 * 3600);
  CHECK(some.health.thresholds.sync_bad_us == 10'000);
  CHECK(some.gpus.mig == devices::MigStrategy::mixed);
  CHECK(some.gpus.replicas == std::map<std::string, unsigned>{{"nvidia.com/gpu", 4}, {"amd.com/gpu", 2}});
  CHECK(some.gpus.nvml == "/opt/lib \"x\"/libnvidia-ml.so.1");
  CHECK(settings::print(taken(settings::print(some))) == settings::print(some));
}

TEST_CASE("all that is wrong is told at once, each with its line and key, in the order of the lines") {
  const auto text = refused(R"([metrics]
port = 0
prot = 1
[health]
every = "10 s"
restart = "yes"
[gpus]
mig-strategy = "mixd"
[heath]
)");
  const auto at = [&](std::string_view what) {
    INFO(what << " in " << text);
    CHECK(text.contains(what));
    return text.find(what);
  };
  CHECK(at("6 mistakes in agent.toml") < at("agent.toml:2:1 metrics.port: found 0, expected a number from 1 to 65535"));
  CHECK(at("agent.toml:3:1 metrics.prot: unknown key 'prot'; did you mean 'port'?") < at("agent.toml:5:1 health.every: found '10 s'"));
  CHECK(at("agent.toml:6:1 health.restart: found a string, expected a boolean") < at("agent.toml:8:1 gpus.mig-strategy"));
  CHECK(at("did you mean 'mixed'?") < at("unknown key 'heath'; did you mean 'health'?"));
}

TEST_CASE("a duration needs a unit or is whole seconds, and has bounds") {
  CHECK(taken("[labels]\nevery = 90\n").labels.every == Milliseconds(90'000));
  CHECK(taken("[labels]\nevery = \"1500ms\"\n").labels.every == Milliseconds(1500));
  for (const auto* bad : {"\"10\"", "\"s\"", "\"1.5s\"", "\"-1s\"", "\"1w\"", "\"999999999999s\"", "1.5", "true", "\"\"", "-1", "0",
                          "9223372036854775807", "\"999ms\"", "\"1000001us\"", "\"25h\""}) {
    INFO(bad);
    CHECK(refused(std::format("[labels]\nevery = {}\n", bad)).contains("agent.toml:2:1 labels.every: found"));
  }
  CHECK(taken("[health]\nmeasure-sync = 0\n").health.measure_sync == Milliseconds(0));
  CHECK(refused("[health]\nmeasure-sync = \"1s\"\n").contains("expected 0 (never), or 10s to 7d"));
}

TEST_CASE("what is good lies on the good side of what is bad, also against the other's default") {
  for (const auto* wrong : {"clock-bad = \"1s\"\nclock-good = \"1s\"", "clock-good = \"600ms\"", "full-bad = 90", "full-good = 96",
                            "used-good = 90", "sync-bad = \"7ms\"", "certificate-bad = \"21d\"", "certificate-good = \"7d\""}) {
    INFO(wrong);
    CHECK(refused(std::format("[health.thresholds]\n{}\n", wrong)).contains("must be below"));
  }
  CHECK(refused("[health.thresholds]\nfull-bad = 90\n").contains("'full-good' must be below 'full-bad'; 'full-good' is not set"));
  CHECK(refused("[health.restarts]\nfirst-pause = \"11m\"\n").contains("must be below"));
  // A value that was refused already is not compared.
  CHECK_FALSE(refused("[health.thresholds]\nfull-bad = 900\nfull-good = 99\n").contains("must be below"));
}

TEST_CASE("metrics and supply have ports of their own") {
  CHECK(refused("[supply]\nport = 9633\n").contains("port 9633 is that of metrics.port, too"));
}

TEST_CASE("a GPU is shared by 2 to 64 pods, by the resource's name") {
  for (const auto* bad : {"{ \"nvidia.com/gpu\" = 1 }", "{ \"nvidia.com/gpu\" = 65 }", "{ gpu = 4 }", "{ nvidia.com = 4 }", "4",
                          "{ \"nvidia.com/gpu\" = \"4\" }", "{ \"/\" = 4 }"}) {
    INFO(bad);
    CHECK(refused(std::format("[gpus]\nshare = {}\n", bad)).contains("gpus.share"));
  }
}

TEST_CASE("a section that is no table, and a library without its whole path, are refused") {
  const auto text = refused("health = 3\nmetrics = []\n");
  CHECK(text.contains("agent.toml:1:1 health: found an integer, expected a table"));
  CHECK(text.contains("agent.toml:2:1 metrics: found an array, expected a table"));
  CHECK(refused("[health]\nthresholds = 1\n").contains("health.thresholds: found an integer, expected a table"));
  CHECK(refused("[gpus]\nnvml = \"libnvidia-ml.so.1\"\n").contains("expected a path from /"));
}

TEST_CASE("a text that is not TOML is one mistake with its line") {
  CHECK(refused("[metrics\n").contains("1 mistake in agent.toml\n  agent.toml:1:"));
  CHECK(refused(std::string_view("a\0b", 3)).contains("control character 0x00"));
}

TEST_CASE("a file that cannot be read is an error, not the defaults") {
  const test::TemporaryFolder folder;
  CHECK(settings::read(folder.path()).error().kind == ErrorKind::io);
}
