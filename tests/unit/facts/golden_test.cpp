// tests/golden/facts/<machine>/: a tree of /proc, /sys and /etc as that machine has it (make_trees.py writes them), what its
// driver's library says beyond that (nvml.txt, where there is one: the stub library reads it), how its GPUs are offered (sharing.json), and
// the facts and labels that must come of it. CLOUDOS_ACCEPT=1 writes those two anew.
#include <catch2/catch_test_macros.hpp>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "agent/facts/facts.hpp"
#include "agent/gpu_facts/gpu_facts.hpp"
#include "agent/labels/labels.hpp"
#include "core/os/file/file.hpp"

using namespace cloudos;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

const fs::path golden = fs::path(CLOUDOS_SOURCE_DIR) / "tests/golden/facts";

std::string must_read(const fs::path& path) {
  auto text = os::read(path);
  REQUIRE(text);
  return *text;
}

void compare(const fs::path& expected, const json& actual) {
  INFO(expected.string());
  const auto text = actual.dump(1) + "\n";
  if (std::getenv("CLOUDOS_ACCEPT") != nullptr) REQUIRE(os::write_atomic(expected, text, 0644));
  else CHECK((fs::exists(expected) ? must_read(expected) : "") == text);
}

labels::Sharing sharing_of(const fs::path& file) {
  if (!fs::exists(file)) return {};
  const auto said = json::parse(must_read(file));
  const auto mig = said.value("mig", "none");
  return {.mig = mig == "single"  ? labels::MigStrategy::single
                 : mig == "mixed" ? labels::MigStrategy::mixed
                                  : labels::MigStrategy::none,
          .replicas = said.value("replicas", 1)};
}

void run(const fs::path& folder) {
  ::setenv("CLOUDOS_NVML_STUB", (folder / "nvml.txt").c_str(), 1);
  gpu_facts::Asking library(CLOUDOS_NVML_LIBRARY, std::chrono::minutes(1));
  facts::GpuProbe* const probe[] = {&library};
  const auto probes = fs::exists(folder / "nvml.txt") ? std::span<facts::GpuProbe* const>(probe) : std::span<facts::GpuProbe* const>();
  auto facts = facts::gather({.root = folder, .procfs = folder / "proc", .sysfs = folder / "sys", .devfs = folder / "dev"}, probes);
  REQUIRE(facts);
  // What is of whoever looks, not of the tree.
  facts->clock_ms = 0;
  facts->root = false;
  const auto text = model::encode_facts(*facts);
  compare(folder / "facts.json", json::parse(text));
  compare(folder / "labels.json", labels::find(*facts, sharing_of(folder / "sharing.json")).labels);
  const auto again = model::decode_facts(text);
  REQUIRE(again);
  CHECK(model::encode_facts(*again) == text);
}

}  // namespace

TEST_CASE("each machine in tests/golden/facts gives the facts and labels that were agreed on") {
  std::size_t machines = 0;
  for (const auto& entry : fs::directory_iterator(golden)) {
    if (!entry.is_directory()) continue;
    INFO(entry.path().filename().string());
    run(entry.path());
    ++machines;
  }
  CHECK(machines >= 8);
}
