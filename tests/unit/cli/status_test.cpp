// tests/golden/status/<case>/: what a master and the machines say (make_cases.py writes them), and what `cloudos status` must
// show of it: plain, as files and pipes get it, on a terminal of 72 columns, and in colour. CLOUDOS_ACCEPT=1 writes those anew.
#include <catch2/catch_test_macros.hpp>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/base/text.hpp"
#include "core/os/file/file.hpp"
#include "installer/cli/lookout.hpp"
#include "tests/support/fake_transport.hpp"

using namespace cloudos;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

const fs::path golden = fs::path(CLOUDOS_SOURCE_DIR) / "tests/golden";
constexpr auto now = std::chrono::sys_days{std::chrono::year{2026} / 11 / 24} + std::chrono::hours{8};

std::string must_read(const fs::path& path) {
  auto text = os::read(path);
  REQUIRE(text);
  return *text;
}

void compare(const fs::path& expected, const std::string& text) {
  INFO(expected.string());
  if (std::getenv("CLOUDOS_ACCEPT") != nullptr) REQUIRE(os::write_atomic(expected, text, 0644));
  else CHECK((fs::exists(expected) ? must_read(expected) : "") == text);
}

class NoLog final : public Log {
 public:
  void write(Level /*level*/, std::string_view /*line*/) override {}
};

// The machines of a case behind an installer's connections: 10.0.0.1 is the master whom the command knows.
class Cluster {
 public:
  explicit Cluster(const fs::path& folder)
      : master_(must_read(folder / "master.json")), machines_(json::parse(must_read(folder / "machines.json"))) {
    config_.machines = {{.id = {"10.0.0.1"}, .host = "10.0.0.1", .user = "ops", .role = model::Role::master}};
    for (const auto& [id, said] : machines_.items())
      if (id != "10.0.0.1" && id != "facts") wanted_.machines.push_back({.id = {id}, .host = id, .address = id});
  }

  [[nodiscard]] cli::Lookout lookout() { return {config_, setting_, 1}; }
  std::vector<std::string> users;  // whom the machines beside the master were reached as

 private:
  Result<std::unique_ptr<ssh::Transport>> connect(const model::MachineConfig& machine) {
    const std::lock_guard lock(mutex_);
    const auto& id = machine.id.value;
    if (id != "10.0.0.1") users.push_back(machine.user);
    const auto said = machines_.find(id);
    const bool away = said == machines_.end() || (said->is_string() && said->get<std::string>().contains("no route"));
    if (id != "10.0.0.1" && away) return fail(ErrorKind::network, "no route to host");
    auto transport = std::make_unique<test::FakeTransport>(id);
    transport->on({}, [this, id](test::FakeCall& call) { return answer(id, call); });
    return transport;
  }

  Result<ssh::RemoteExit> answer(const std::string& id, test::FakeCall& call) {
    CLOUDOS_TRY(call.input());
    const auto& words = call.argv.words;
    std::string text;
    if (words[1] == "query") text = words[2] == "wanted" ? model::encode_config(wanted_) : master_;
    if (words[1] == "facts") text = must_read(golden / "facts" / machines_.at("facts").get<std::string>() / "facts.json");
    if (words[1] == "sample") {
      const auto said = machines_.find(id);
      if (said == machines_.end() || said->is_string()) {
        CLOUDOS_TRY(call.complain("The following argument was not expected: sample\x1b[31m\nRun with --help"));
        return ssh::RemoteExit{.code = 2, .signal = {}};
      }
      text = said->dump();
    }
    CLOUDOS_TRY(call.print(text + "\n"));
    return ssh::RemoteExit{.code = 0, .signal = {}};
  }

  std::string master_;
  json machines_;
  model::ClusterConfig config_, wanted_;
  NoLog log_;
  std::mutex mutex_;
  driver::Setting setting_{.connect = [this](const model::MachineConfig& machine) { return connect(machine); },
                           .emit = [](const model::Event& /*event*/) {},
                           .log = &log_,
                           .holder = "ops@test"};
};

template <class T>
void compare_all(const fs::path& folder, const T& print) {
  const auto plain = print(cli::Look{});
  compare(folder / "plain.txt", plain);
  compare(folder / "colour.txt", print(cli::Look{.colour = true}));
  CHECK_FALSE(plain.contains('\x1b'));
}

}  // namespace

TEST_CASE("status shows each pool in tests/golden/status as it was agreed on, plain, on a narrow terminal and in colour") {
  for (const auto* name : {"no-gpu", "gpus", "an-ill-gpu", "nodes-away"}) {
    INFO(name);
    Cluster cluster(golden / "status" / name);
    auto lookout = cluster.lookout();
    const auto seen = lookout.pool();
    REQUIRE(seen);
    const auto print = [&](const cli::Look& look) { return cli::print(seen->pool, "prod", now, look); };
    compare_all(golden / "status" / name, print);
    compare(golden / "status" / name / "narrow.txt", print({.width = 72}));
    const auto told = json::parse(cli::with_usage(seen->json, seen->pool));
    CHECK(told.at("nodes").size() == seen->pool.list.size());
    for (const auto& node : told.at("nodes")) CHECK(node.contains("usage") != node.contains("no_usage"));
    for (const auto& user : cluster.users) CHECK(user == "ops");
  }
}

TEST_CASE("status shows each node in tests/golden/status as it was agreed on, plain and in colour") {
  for (const auto* name : {"node-with-an-ill-gpu", "node-without-a-driver", "node-of-one-board", "node-away"}) {
    INFO(name);
    Cluster cluster(golden / "status" / name);
    auto lookout = cluster.lookout();
    const auto seen = lookout.node("gpu-1");
    REQUIRE(seen);
    compare_all(golden / "status" / name, [&](const cli::Look& look) { return cli::print(seen->node, now, look); });
    const auto told = json::parse(cli::with_machine(seen->json, seen->node));
    CHECK(told.contains("facts") != told.contains("no_facts"));
    CHECK(told.at("node").at("name") == "gpu-1");
  }
}

TEST_CASE("what the pool uses is the sum of what its nodes use, and of those alone that said it") {
  Cluster cluster(golden / "status/nodes-away");
  auto lookout = cluster.lookout();
  const auto seen = lookout.pool();
  REQUIRE(seen);
  const auto told = json::parse(cli::with_usage(seen->json, seen->pool));
  std::int64_t cpu = 0, memory = 0, disk = 0, nodes = 0;
  for (const auto& node : told.at("nodes")) {
    if (!node.contains("usage")) continue;
    ++nodes;
    cpu += node.at("usage").at("cpu").at("used_m").get<std::int64_t>();
    memory += node.at("usage").at("memory").at("used").get<std::int64_t>();
    for (const auto& system : node.at("usage").at("file_systems"))
      if (system.at("pods") == true) disk += system.at("used").get<std::int64_t>();
  }
  CHECK(nodes == 3);
  CHECK(told.at("pool").at("usage").at("nodes") == nodes);
  CHECK(told.at("pool").at("usage").at("cpu_m") == cpu);
  CHECK(told.at("pool").at("usage").at("memory") == memory);
  CHECK(told.at("pool").at("usage").at("disk") == disk);
}

TEST_CASE("a node that the cluster does not have is a usage error that names the nearest one") {
  const auto unknown = cli::decode_node(R"({"nodes":["gpu-1","master-1","node-1"]})", "nod-1");
  REQUIRE_FALSE(unknown);
  CHECK(unknown.error().kind == ErrorKind::usage);
  CHECK(unknown.error().message.contains("no node 'nod-1'"));
  CHECK(unknown.error().hint.contains("did you mean 'node-1'?"));
}

TEST_CASE("what an older agent's master says of the pool is still understood") {
  const auto pool = cli::decode_pool(
      R"({"nodes":[{"name":"n","role":"node","ready":true,"conditions":["DiskPressure"],"allocatable":{"cpu_m":1,"memory":2,"disk":3,"gpu":0,"pods":5},"requested":{"cpu_m":1,"memory":2,"disk":3,"gpu":0,"pods":5}}],"pool":{"nodes":1,"ready":1,"allocatable":{"cpu_m":1,"memory":2,"disk":3,"gpu":0,"pods":5},"requested":{"cpu_m":1,"memory":2,"disk":3,"gpu":0,"pods":5}}})");
  REQUIRE(pool);
  REQUIRE(pool->list.at(0).problems.size() == 1);
  CHECK(pool->list[0].problems[0].type == "DiskPressure");
  for (const auto* text : {"", "[]", "{}", R"({"nodes":[1],"pool":{}})"}) CHECK_FALSE(cli::decode_pool(text));
}

TEST_CASE("a terminal that is too narrow loses the columns that can be spared, never a node's name or state") {
  const std::vector<cli::Column> columns{{"NAME"}, {"ROLE", 1}, {"STATE"}, {"ADDRESS", 2}};
  const std::vector<std::vector<cli::Cell>> rows{{{"node-1"}, {"node"}, {"Ready×"}, {"10.0.0.1"}}};
  CHECK(cli::table(columns, rows, {}) == "NAME    ROLE  STATE   ADDRESS\nnode-1  node  Ready×  10.0.0.1\n");
  CHECK(cli::table(columns, rows, {.width = 30}) == cli::table(columns, rows, {}));
  CHECK(cli::table(columns, rows, {.width = 29}) == "NAME    ROLE  STATE\nnode-1  node  Ready×\n");
  CHECK(cli::table(columns, rows, {.width = 5}) == "NAME    STATE\nnode-1  Ready×\n");
}

TEST_CASE("the sums that are shown are rounded, not cut off") {
  CHECK(cli::cores(3960) == "4");
  CHECK(cli::cores(1249) == "1.2");
  CHECK(cli::cores(1250) == "1.3");
  CHECK(cli::cores(40) == "0.04");
  CHECK(cli::cores(0) == "0");
}
