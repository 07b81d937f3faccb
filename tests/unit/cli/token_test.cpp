#include <catch2/catch_test_macros.hpp>

#include <nlohmann/json.hpp>

#include "core/os/process/process.hpp"
#include "installer/cli/token.hpp"

using namespace cloudos;

namespace {

os::Output cloudos_says(std::initializer_list<std::string> words) {
  Argv argv{CLOUDOS_PROGRAM, "token"};
  for (const auto& word : words) argv += word;
  auto said = os::capture(argv, {.environment = {{"HOME", "/nonexistent"}, {"XDG_CONFIG_HOME", ""}, {"XDG_STATE_HOME", ""}}});
  REQUIRE(said);
  return *said;
}

model::JoinTokens two() {
  constexpr std::int64_t now = 1'800'000'000;
  return {
      .now_s = now,
      .tokens = {
          {.id = "aaaaaa", .used = 12, .created_s = now - 7000, .expires_s = now + 7300},
          {.id = "bbbbbb", .uses = 3, .used = 3, .labels = {{"rack", "b7"}, {"ssd", ""}}, .created_s = now - 30, .expires_s = now + 870}}};
}

}  // namespace

TEST_CASE("a token makes workers only, and it is said how a master joins; no machine is contacted") {
  const auto said = cloudos_says({"create", "--role", "master", "--masters", "192.0.2.1"});
  CHECK(said.exit.code == 2);
  CHECK(said.err.contains("workers only, not 'master'"));
  CHECK(said.err.contains("--masters"));
  CHECK(said.out.empty());
}

TEST_CASE("a time to live is a minute to a day") {
  CHECK(cli::parse_lifetime("15m") == 900);
  CHECK(cli::parse_lifetime("24h") == 86'400);
  CHECK(cli::parse_lifetime("60s") == 60);
  for (const auto* wrong : {"", "m", "15", "59s", "25h", "1441m", "-5m", "1d", "1h30m", "99999999999999999999h", "15 m"}) {
    CAPTURE(wrong);
    CHECK_FALSE(cli::parse_lifetime(wrong));
  }
  const auto said = cloudos_says({"create", "--ttl", "2d", "--masters", "192.0.2.1"});
  CHECK(said.exit.code == 2);
  CHECK(said.err.contains("--ttl: '2d' is not a time from 1m to 24h"));
}

TEST_CASE("a label that Kubernetes lets no node give itself is refused, and it is said how to set it") {
  CHECK(cli::parse_labels({"rack=b7", "example.com/zone=a", "empty=", "topology.kubernetes.io/zone=a", "node.kubernetes.io/x=y"}));
  const auto role = cli::parse_labels({"node-role.kubernetes.io/worker="});
  REQUIRE_FALSE(role);
  CHECK(role.error().hint.contains("kubectl label node NAME node-role.kubernetes.io/worker="));
  CHECK_FALSE(cli::parse_labels({"kubernetes.io/os=x"}));
  CHECK_FALSE(cli::parse_labels({"a.k8s.io/os=x"}));
  CHECK(cli::parse_labels({"notkubernetes.io/os=x"}));
  for (const auto* wrong : {"rack", "=b7", "ra ck=b7", "rack=b 7", "rack=b7="}) {
    CAPTURE(wrong);
    CHECK_FALSE(cli::parse_labels({wrong}));
  }
}

TEST_CASE("what is no token's id is refused before any machine is asked, and a whole token is not repeated") {
  const auto said = cloudos_says({"revoke", "abcdef.0123456789abcdef", "--masters", "192.0.2.1"});
  CHECK(said.exit.code == 2);
  CHECK(said.err.contains("'abcdef'"));
  CHECK_FALSE(said.err.contains("0123456789abcdef"));
}

TEST_CASE("a list of tokens tells ids, times, uses and labels") {
  const auto text = cli::print(two(), {});
  CHECK(text ==
        "ID      ROLE    AGE   EXPIRES IN  JOINED  USES LEFT   LABELS\n"
        "aaaaaa  worker  116m  2h          12      any number  -\n"
        "bbbbbb  worker  30s   14m         3       0 of 3      rack=b7,ssd=\n");
  CHECK(cli::print(model::JoinTokens{}, {}).contains("cloudos token create"));
  const auto j = nlohmann::json::parse(cli::record(two()));
  CHECK(j["tokens"][0]["uses_left"].is_null());
  CHECK(j["tokens"][1]["uses_left"] == 0);
  CHECK(j["tokens"][1]["expires_in_s"] == 870);
}
