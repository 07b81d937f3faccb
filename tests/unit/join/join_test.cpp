#include "agent/join/join.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include <set>

#include "core/base/clock.hpp"
#include "core/model/config.hpp"
#include "core/model/event.hpp"
#include "core/model/join_token.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/unit/join/world.hpp"

using namespace cloudos;
using namespace cloudos::test;
using Catch::Matchers::ContainsSubstring;

namespace {

// Nothing is to be started and no program run before a machine is let in.
class NoServices final : public steps::Services {
 public:
  Result<os::UnitState> state(const std::string&) override { return os::UnitState{}; }
  Status daemon_reload() override { return no(); }
  Status enable(const std::string&) override { return no(); }
  Status disable(const std::string&) override { return no(); }
  Status start(const std::string&, Deadline) override { return no(); }
  Status stop(const std::string&, Deadline) override { return no(); }
  Status restart(const std::string&, Deadline) override { return no(); }
  Status reset_failed(const std::string&) override { return no(); }
  Result<std::vector<std::string>> list_units(const std::string&) override { return std::vector<std::string>{}; }

 private:
  static Status no() {
    CHECK(false);
    return {};
  }
};
class NoCommands final : public steps::Commands {
 public:
  Result<os::Output> capture(const Argv& argv, os::RunOptions) override {
    FAIL(quote(argv));
    return fail(ErrorKind::failed, "no");
  }
};

// A machine in a folder, with a join file.
struct Machine {
  TemporaryFolder folder;
  fs::path root = folder.path();
  NoServices services;
  NoCommands commands;
  steps::Environment env{.root = root, .services = services, .commands = commands};
  CollectedLog log;
  joining::Options options{.network = Milliseconds{200}, .clock = Milliseconds{1}, .pause = Milliseconds{1}};

  explicit Machine(const join_file::JoinFile& file) { put("/etc/cloudos/join.toml", std::string(join_file::write(file).reveal())); }
  void put(const std::string& path, const std::string& content) { REQUIRE(os::write_atomic(env.at(path), content, 0600)); }
  Result<joining::Outcome> join() { return joining::join(options, env, {.log = log}); }
  [[nodiscard]] std::set<std::string> files() const {
    std::set<std::string> out;
    for (const auto& each : fs::recursive_directory_iterator(root)) out.insert(each.path().lexically_relative(root).string());
    return out;
  }
  // As kubeadm and a plan leave it.
  void make_member(const std::string& cluster) {
    put("/etc/kubernetes/kubelet.conf", "{}");
    put("/etc/cloudos/cluster.json", nlohmann::json{{"schema", 1}, {"cluster_id", cluster}, {"node", "n9"}, {"role", "node"}}.dump());
    std::string journal;
    for (const auto* state : {"intent", "done"})
      journal +=
          model::encode_journal({.sequence = 1, .run = {"ab"}, .step = {"kubeadm-join"}, .kind = "kubeadm-join", .state = state}) + "\n";
    put("/var/lib/cloudos/journal.jsonl", journal);
  }
};

// What refuses a machine leaves it as it was, with one line.
Error refused(Machine& machine) {
  const auto before = machine.files();
  const auto outcome = machine.join();
  REQUIRE_FALSE(outcome);
  CHECK(machine.files() == before);
  CHECK(exit_status(outcome.error().kind) == 3);
  CHECK_FALSE(outcome.error().message.contains('\n'));
  CHECK_FALSE(outcome.error().text().contains(token));
  return outcome.error();
}

// A cluster: a master that answers for its ConfigMaps, and a store.
struct Cluster {
  nlohmann::json tokens = nlohmann::json::object();
  Served master{{}, [this](const http::Asked& asked) { return answer(asked); }};
  Served store{{{"/v1/cluster", hello(master.who().certificate, os::sha256("bundle"))}}};

  std::optional<http::Answer> answer(const http::Asked& asked) {
    nlohmann::json body;
    if (asked.path.ends_with("/configmaps/join-tokens")) body = {{"kind", "ConfigMap"}, {"data", tokens}};
    else if (asked.path.ends_with("/configmaps/cluster"))
      body = {{"kind", "ConfigMap"},
              {"data",
               {{"cluster_id", cluster_id},
                {"bundle", os::sha256("bundle").hex()},
                {"version", "1.37.2"},
                {"config.json", model::encode_config({})}}}};
    else return std::nullopt;
    return http::Answer{.headers = {{"Content-Type", "application/json"}}, .body = body.dump()};
  }
  join_file::JoinFile file() {
    auto file = join_file_for(master.who(), {store.store()});
    file.masters = {master.address()};
    return file;
  }
};

}  // namespace

TEST_CASE("a join file whose time is over is told with its date and how to make another, and nobody is asked") {
  Cluster cluster;
  auto file = cluster.file();
  file.expires_s = 1'700'000'000;
  Machine machine(file);
  const auto error = refused(machine);
  CHECK_THAT(error.message, ContainsSubstring("2023-11-14 22:13:20 UTC"));
  CHECK_THAT(error.hint, ContainsSubstring("cloudos token create"));
  CHECK(cluster.store.asked() == 0);
}

TEST_CASE("a machine that is a node of this cluster already says so and the file goes") {
  Machine machine(join_file_for(identity(), {{.address = "127.0.0.1:1", .spki = spki(identity())}}));
  machine.make_member(cluster_id);
  const auto outcome = machine.join();
  if (!outcome) FAIL(outcome.error().text());
  CHECK(*outcome == joining::Outcome::member);
  CHECK_FALSE(fs::exists(machine.env.at("/etc/cloudos/join.toml")));
  CHECK_THAT(machine.log.text(), ContainsSubstring("already"));
}

TEST_CASE("a machine of another cluster is left alone, and both clusters are named") {
  Machine machine(join_file_for(identity(), {{.address = "127.0.0.1:1", .spki = spki(identity())}}));
  machine.make_member("fedcba9876543210");
  const auto error = refused(machine);
  CHECK_THAT(error.message, ContainsSubstring("fedcba9876543210") && ContainsSubstring(cluster_id));
}

TEST_CASE("without a way to any store it is said which were tried, and it is worth another try") {
  Machine machine(join_file_for(identity(), {{.address = "127.0.0.1:1", .spki = spki(identity())}}));
  const auto before = machine.files();
  const auto outcome = machine.join();
  REQUIRE_FALSE(outcome);
  CHECK(exit_status(outcome.error().kind) == 1);
  CHECK_THAT(outcome.error().message, ContainsSubstring("127.0.0.1:1"));
  CHECK(machine.files() == before);
}

TEST_CASE("a cluster with another CA than the pinned one is refused, and nothing is changed") {
  Cluster cluster;
  auto file = cluster.file();
  file.ca = spki(identity());
  Machine machine(file);
  const auto error = refused(machine);
  CHECK_THAT(error.message, ContainsSubstring(file.ca) && ContainsSubstring(spki(cluster.master.who())));
}

TEST_CASE("a token that is revoked, used up or over at the cluster is told as that, and nothing is changed") {
  const auto told = [](const nlohmann::json& tokens, const char* words) {
    Cluster cluster;
    cluster.tokens = tokens;
    Machine machine(cluster.file());
    const auto error = refused(machine);
    INFO(error.text());
    CHECK(error.kind == ErrorKind::refused);
    CHECK_THAT(error.message, ContainsSubstring(words) && ContainsSubstring("abcdef"));
  };
  told(nlohmann::json::object(), "revoked");
  const auto now = wall_s();
  const auto entry = [](const model::JoinToken& token) { return nlohmann::json{{"abcdef", model::encode_join_token(token)}}; };
  told(entry({.id = "abcdef", .uses = 1, .used = 1, .admitted = {"node-csr-x"}, .created_s = now, .expires_s = now + 3600}), "used up");
  told(entry({.id = "abcdef", .uses = 1, .created_s = 1'500'000'000, .expires_s = 1'600'000'000}), "expired at 2020-09-13");
}

TEST_CASE("a join file that is not one is refused with what is wrong with it") {
  Machine machine(join_file_for(identity(), {}));
  machine.put("/etc/cloudos/join.toml", "cluster = 1\n");
  const auto outcome = machine.join();
  REQUIRE_FALSE(outcome);
  CHECK(outcome.error().kind == ErrorKind::input);
  CHECK(fs::exists(machine.env.at("/etc/cloudos/join.toml")));
}
