#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <format>
#include <latch>
#include <thread>

#include "agent/admit/admit.hpp"
#include "tests/support/played_api.hpp"
#include "tests/unit/admit/requests.hpp"

using namespace cloudos;
using namespace cloudos::test;
using kube::Json;

namespace {

const std::string tokens = "/api/v1/namespaces/cloudos-system/configmaps/join-tokens";
const std::string csrs = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
const std::string events = "/api/v1/namespaces/cloudos-system/events";

// A cluster with one token, and the masters that look after it.
struct Cluster {
  PlayedApi api;

  explicit Cluster(std::uint64_t uses) {
    api.put(tokens, {{"metadata", {{"name", "join-tokens"}}}, {"data", {{"abcdef", model::encode_join_token(join_token(uses))}}}});
  }
  void ask(const std::string& name, const std::string& node, const std::string& token = "abcdef") {
    api.put(csrs + "/" + name, csr(name, token, make_request(of_node(node))));
  }
  [[nodiscard]] std::jthread master(const std::string& name) {
    return std::jthread([this, name](const std::stop_token& stop) {
      admit::Admitter({.access = [this]() -> Result<kube::Access> { return api.access(); },
                       .node = name,
                       .first_pause = Milliseconds{5},
                       .longest_pause = Milliseconds{20},
                       .now_s = [] { return std::int64_t{1'800'000'100}; }})
          .run(stop);
    });
  }
  // "Approved", "Denied: TokenUsedUp" or "".
  [[nodiscard]] std::string decision(const std::string& name) const {
    const auto request = api.at(csrs + "/" + name);
    if (!request.contains("status")) return "";
    std::string out;
    for (const auto& each : request["status"]["conditions"]) {
      const auto type = each["type"].get<std::string>();
      out += type == "Approved" ? type : std::format("{}: {}", type, each["reason"].get<std::string>());
    }
    return out;
  }
  [[nodiscard]] bool decided(const std::vector<std::string>& names) const {
    return std::ranges::all_of(names, [&](const auto& name) { return !decision(name).empty(); });
  }
  [[nodiscard]] model::JoinToken token() const {
    return model::decode_join_token("abcdef", api.at(tokens)["data"]["abcdef"].get<std::string>()).value();
  }
};

}  // namespace

TEST_CASE("a machine with a good token is let in, counted, and an event says so") {
  Cluster cluster(0);
  cluster.ask("node-csr-1", "node-7");
  const auto master = cluster.master("m1");
  REQUIRE(cluster.api.wait([&] { return !cluster.api.created(events).empty(); }));
  CHECK(cluster.decision("node-csr-1") == "Approved");
  CHECK(cluster.token().used == 1);
  CHECK(cluster.token().admitted == std::vector<std::string>{"node-csr-1"});
  const auto event = cluster.api.created(events).front();
  CHECK(event["reason"] == "JoinAdmitted");
  CHECK(event["type"] == "Normal");
  CHECK(event["message"].get<std::string>().contains("node-7 joins with token abcdef"));
  CHECK(event["involvedObject"]["name"] == "join-tokens");
  CHECK(event["metadata"]["namespace"] == "cloudos-system");
}

TEST_CASE("what cannot be let in is denied with its reason, and an event says so") {
  Cluster cluster(0);
  cluster.ask("unknown", "node-7", "zzzzzz");
  cluster.ask("taken", "node-1");
  cluster.api.put("/api/v1/nodes/node-1", {{"kind", "Node"}});
  cluster.ask("master", "m3");
  cluster.api.put("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/cloudos:admit",
                  {{"subjects", Json::array({{{"kind", "User"}, {"name", "system:node:m3"}}})}});
  cluster.api.put(csrs + "/admin", csr("admin", "abcdef", make_request({{"O", "system:masters"}, {"CN", "me"}})));
  const auto master = cluster.master("m1");
  REQUIRE(cluster.api.wait([&] { return cluster.api.created(events).size() >= 3; }));
  REQUIRE(cluster.api.wait([&] { return cluster.decided({"unknown", "taken", "master", "admin"}); }));
  CHECK(cluster.decision("unknown") == "Denied: TokenUnknown");
  CHECK(cluster.decision("taken") == "Denied: NodeExists");
  CHECK(cluster.decision("master") == "Denied: NodeExists");
  CHECK(cluster.decision("admin") == "Denied: NotANode");
  CHECK(cluster.token().used == 0);
  CHECK(cluster.api.created(events).front()["reason"] == "JoinRefused");
  CHECK(cluster.api.created(events).front()["type"] == "Warning");
}

TEST_CASE("masters that decide at the same time let in exactly as many machines as a token is for") {
  Cluster cluster(3);
  std::vector<std::string> names;
  for (int i = 0; i < 8; ++i) {
    names.push_back(std::format("node-csr-{}", i));
    cluster.ask(names.back(), std::format("node-{}", i));
  }
  // Both have read the same count before either writes it.
  std::latch both(2);
  std::atomic<int> reads{0};
  cluster.api.first = [&](const ServerRequest& request) -> std::optional<ServerAnswer> {
    if (request.method == "GET" && request.path == tokens && reads.fetch_add(1) < 2) both.arrive_and_wait();
    return std::nullopt;
  };
  const auto one = cluster.master("m1"), other = cluster.master("m2");
  REQUIRE(cluster.api.wait([&] { return cluster.decided(names); }));
  CHECK(cluster.api.conflicts() > 0);
  CHECK(std::ranges::count_if(names, [&](const auto& name) { return cluster.decision(name) == "Approved"; }) == 3);
  CHECK(std::ranges::count_if(names, [&](const auto& name) { return cluster.decision(name) == "Denied: TokenUsedUp"; }) == 5);
  CHECK(cluster.token().used == 3);
  CHECK(cluster.token().admitted.size() == 3);
}

TEST_CASE("a master that died after it counted a machine leaves it to another to let it in, without counting it again") {
  Cluster cluster(1);
  auto counted = join_token(1);
  admit::count({.request = "node-csr-1", .token = "abcdef", .node = "node-7"}, counted);
  cluster.api.put(tokens, {{"data", {{"abcdef", model::encode_join_token(counted)}}}});
  cluster.ask("node-csr-1", "node-7");
  cluster.ask("node-csr-2", "node-8");
  const auto master = cluster.master("m2");
  REQUIRE(cluster.api.wait([&] { return cluster.decided({"node-csr-1", "node-csr-2"}); }));
  CHECK(cluster.decision("node-csr-1") == "Approved");
  CHECK(cluster.decision("node-csr-2") == "Denied: TokenUsedUp");
  CHECK(cluster.token().used == 1);
}

TEST_CASE("a request that comes while a master watches is decided from the watch") {
  Cluster cluster(0);
  cluster.ask("node-csr-1", "node-7");
  const auto line = Json{{"type", "ADDED"}, {"object", cluster.api.at(csrs + "/node-csr-1")}}.dump() + "\n";
  cluster.api.first = [&](const ServerRequest& request) -> std::optional<ServerAnswer> {
    if (request.query.contains("watch")) return ServerAnswer{.body = line};
    if (request.path == csrs) return ServerAnswer{.body = R"({"metadata":{"resourceVersion":"7"},"items":[]})"};
    return std::nullopt;
  };
  const auto master = cluster.master("m1");
  CHECK(cluster.api.wait([&] { return cluster.decision("node-csr-1") == "Approved"; }));
}

TEST_CASE("an API server that is away, forbids or talks nonsense is waited out") {
  Cluster cluster(0);
  cluster.ask("node-csr-1", "node-7");
  std::atomic<int> asked{0};
  cluster.api.first = [&](const ServerRequest&) -> std::optional<ServerAnswer> {
    switch (asked++) {
      case 0: return PlayedApi::failure(503, "etcd is away");
      case 1: return PlayedApi::failure(403, "not yet");
      case 2: return ServerAnswer{.body = "<html>"};
      case 3: return ServerAnswer{.body = "{}"};
      default: return std::nullopt;
    }
  };
  const auto master = cluster.master("m1");
  CHECK(cluster.api.wait([&] { return cluster.decision("node-csr-1") == "Approved"; }));
}
