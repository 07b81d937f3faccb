// tests/golden/<case>/: cluster.toml, what the machines are (facts.json, reach.json) and what must come of it: findings.txt,
// and plan.txt where nothing stands in the way. CLOUDOS_ACCEPT=1 writes what comes of it instead; look at the difference
// before committing it.
//
// facts.json: {"cluster_id": "…", "machines": {ID: {…}}}; a machine is {"unreachable": "why"} or
// {"like": "server" | "contained", "number": N, "joined": true, "facts": a merge patch (RFC 7396) over those of tests'
// sample.hpp, "clock_offset_ms", "round_trip_ms", "missing": bytes of the bundle}.
//
// With joiner.json it is a machine that joins that cluster by itself: {"masters": […], "address", "labels", "machine": as above}.
#include <catch2/catch_test_macros.hpp>

#include <cstdlib>
#include <filesystem>
#include <format>

#include <nlohmann/json.hpp>

#include "core/os/file/file.hpp"
#include "installer/config/config.hpp"
#include "sample.hpp"

using namespace cloudos;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

const fs::path golden = fs::path(CLOUDOS_SOURCE_DIR) / "tests/golden";

std::string must_read(const fs::path& path) {
  auto text = os::read(path);
  REQUIRE(text);
  return *text;
}

void compare(const fs::path& expected, const std::string& actual) {
  INFO(expected.string());
  if (std::getenv("CLOUDOS_ACCEPT")) {
    std::error_code ignored;
    fs::remove(expected, ignored);
    if (!actual.empty()) REQUIRE(os::write_atomic(expected, actual, 0644));
    return;
  }
  CHECK((fs::exists(expected) ? must_read(expected) : "") == actual);
}

std::string lines(const std::vector<model::Finding>& findings, const std::string& folder) {
  std::string out;
  for (const auto& f : findings) {
    auto where = f.where;
    if (where.starts_with(folder)) where.erase(0, folder.size() + 1);
    out += std::format("{} {} {}\n    {}\n    {}\n", f.severity == model::Finding::Severity::error ? "error" : "warning", f.code, where,
                       f.message, f.remedy);
  }
  return out;
}

model::HostFacts facts_of(const json& machine, const model::MachineConfig& config) {
  const unsigned number = machine.value("number", 1U);
  auto facts = machine.value("like", "server") == "contained" ? sample::contained(number) : sample::server(number);
  if (machine.value("joined", false)) facts = sample::joined(facts, config.role, std::format("10.0.0.{}", number));
  auto text = json::parse(model::encode_facts(facts));
  text.merge_patch(machine.value("facts", json::object()));
  auto patched = model::decode_facts(text.dump());
  REQUIRE(patched);
  return *patched;
}

plan::Input input_of(const fs::path& folder, const model::ClusterConfig& config) {
  auto in = sample::input(0, 0);
  in.config = config;
  const auto world = json::parse(must_read(folder / "facts.json"));
  in.cluster_id = world.value("cluster_id", sample::cluster_id);
  for (const auto& [id, machine] : world.at("machines").items()) {
    const auto wanted = std::ranges::find(in.config.machines, MachineId{id}, &model::MachineConfig::id);
    REQUIRE(wanted != in.config.machines.end());
    if (machine.contains("unreachable")) {
      in.unreachable.emplace(MachineId{id}, Error{.kind = ErrorKind::network, .message = machine.at("unreachable"), .retryable = true});
      continue;
    }
    in.machines[MachineId{id}] = {.facts = facts_of(machine, *wanted),
                                  .clock_offset = Milliseconds{machine.value("clock_offset_ms", 0)},
                                  .round_trip = Milliseconds{machine.value("round_trip_ms", 2)}};
    in.missing[MachineId{id}] = Bytes{machine.value("missing", std::uint64_t{0})};
  }
  if (fs::exists(folder / "reach.json")) {
    auto reach = model::decode_reach(must_read(folder / "reach.json"));
    REQUIRE(reach);
    in.reach = std::move(*reach);
  }
  return in;
}

plan::Joiner joiner_of(const fs::path& folder, const model::ClusterConfig& config) {
  const auto world = json::parse(must_read(folder / "joiner.json"));
  const auto in = sample::input(0, 0);
  plan::Joiner joiner{.config = config,
                      .cluster_id = sample::cluster_id,
                      .masters = world.at("masters").get<std::vector<std::string>>(),
                      .address = world.at("address"),
                      .labels = world.value("labels", std::map<std::string, std::string>{}),
                      .bundle = in.bundle,
                      .bundle_digest = in.bundle_digest,
                      .vouched = in.vouched};
  const auto& machine = world.at("machine");
  joiner.seen = {.facts = facts_of(machine, {.role = model::Role::node})};
  joiner.missing = Bytes{machine.value("missing", std::uint64_t{0})};
  return joiner;
}

bool refused(const std::vector<model::Finding>& findings) {
  return std::ranges::contains(findings, model::Finding::Severity::error, &model::Finding::severity);
}

void run(const fs::path& folder) {
  config::Flags flags;
  flags.file = folder / "cluster.toml";
  const auto loaded = config::load(flags);
  if (!loaded) {
    compare(folder / "findings.txt", lines(loaded.error(), folder.string()));
    compare(folder / "plan.txt", "");
    return;
  }
  auto findings = loaded->warnings;
  if (fs::exists(folder / "joiner.json")) {
    const auto joiner = joiner_of(folder, loaded->config);
    std::ranges::move(plan::join_preflight(joiner), std::back_inserter(findings));
    compare(folder / "findings.txt", lines(findings, folder.string()));
    compare(folder / "plan.txt", refused(findings) ? "" : plan::print(plan::join_plan(joiner)));
    return;
  }
  const auto in = input_of(folder, loaded->config);
  std::ranges::move(plan::preflight(in), std::back_inserter(findings));
  compare(folder / "findings.txt", lines(findings, folder.string()));
  compare(folder / "plan.txt", refused(findings) ? "" : plan::print(plan::make_plan(in)));
}

}  // namespace

TEST_CASE("what is found and planned for the machines in tests/golden is what was agreed on") {
  std::size_t cases = 0;
  for (const auto& entry : fs::directory_iterator(golden)) {
    // "facts" is the agent's, "status" the command's.
    if (!entry.is_directory() || entry.path().filename() == "facts" || entry.path().filename() == "status") continue;
    INFO(entry.path().filename().string());
    run(entry.path());
    ++cases;
  }
  CHECK(cases >= 8);
}
