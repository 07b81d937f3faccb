#include <catch2/catch_test_macros.hpp>
#include <nlohmann/json.hpp>

#include <format>

#include "agent/steps/tokens.hpp"
#include "core/base/clock.hpp"
#include "core/os/crypto/crypto.hpp"
#include "tests/unit/steps/fakes.hpp"

using namespace cloudos;
using namespace cloudos::test;
using nlohmann::json;

namespace {

// openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=kubernetes
constexpr auto ca = R"(-----BEGIN CERTIFICATE-----
MIIBgTCCASegAwIBAgIUZjRWLgE7GYJNGFJQ66r0V9/IBZIwCgYIKoZIzj0EAwIw
FTETMBEGA1UEAwwKa3ViZXJuZXRlczAgFw0yNjExMjgxNTQyMzNaGA8yMTI2MTEw
NDE1NDIzM1owFTETMBEGA1UEAwwKa3ViZXJuZXRlczBZMBMGByqGSM49AgEGCCqG
SM49AwEHA0IABE8Qkm9Y9iKA1V2v9uB9+k6n0b2AbOV38YTFeSG2QUlvBBQ2aOsB
Tbi3cQPHwJFJqz8x72Bhv9lcTpwGXyglzXGjUzBRMB0GA1UdDgQWBBRURCb0vatw
gByE+bQBWp5ddrql0TAfBgNVHSMEGDAWgBRURCb0vatwgByE+bQBWp5ddrql0TAP
BgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCICKcrdIX2avI1hXbROeD
MQpZB+XelYTwlt9ISs9xLzUEAiEA9WOTC7OBneA+3T63z++laYCnKrQE4QyQh8h1
KNa2AnQ=
-----END CERTIFICATE-----
)";
const std::string pin = "sha256:" + std::string(64, 'a');

json node(const std::string& name, const std::string& address, bool master, bool ready, const std::string& store) {
  json labels = json::object(), annotations = json::object();
  if (master) labels["node-role.kubernetes.io/control-plane"] = "";
  if (!store.empty()) annotations["cloudos.io/store"] = store;
  return {{"kind", "Node"},
          {"metadata", {{"name", name}, {"labels", labels}, {"annotations", annotations}}},
          {"status",
           {{"addresses", json::array({{{"type", "Hostname"}, {"address", name}}, {{"type", "InternalIP"}, {"address", address}}})},
            {"conditions", json::array({{{"type", "Ready"}, {"status", ready ? "True" : "False"}}})}}}};
}

std::string list_of(std::vector<json> items) { return json{{"kind", "List"}, {"items", std::move(items)}}.dump(); }

std::string entry(std::int64_t expires_s, std::uint64_t uses = 0, std::uint64_t used = 0) {
  return model::encode_join_token({.uses = uses, .used = used, .created_s = wall_s() - 60, .expires_s = expires_s});
}
std::string map_with(const json& data) {
  return json{{"kind", "ConfigMap"}, {"metadata", {{"name", "join-tokens"}, {"resourceVersion", "7"}}}, {"data", data}}.dump();
}

// A master of a cluster that was installed from a signed bundle.
struct Master : Machine {
  std::int64_t soon = wall_s() + 600;
  std::string key = os::format(os::generate_key().value().public_key);

  Master() {
    const auto digest = os::sha256("bundle").hex();
    put(paths::admin_conf, "x");
    put("/etc/kubernetes/pki/ca.crt", ca);
    put(paths::membership, json{{"bundle", digest}}.dump());
    put(std::string(paths::bundles) + "/" + digest + "/bundle.json.minisig", "signed");
    put(std::string(paths::trust) + "/1.pub", key);
    model::ClusterConfig config{.name = "prod"};
    answers({}, {});
    commands.answers.push_back(
        {.part = "get --ignore-not-found -o json -n cloudos-system configmap cluster",
         .out = json{{"kind", "ConfigMap"}, {"data", {{"config.json", model::encode_config(config)}, {"cluster_id", "0123"}}}}.dump()});
    commands.answers.push_back({.part = "get --ignore-not-found -o json nodes",
                                .out = list_of({node("m1", "10.0.0.1", true, true, "10.0.0.1:9634 " + pin),
                                                node("n1", "10.0.0.2", false, true, "10.0.0.2:9634 " + pin)})});
  }
  // What the cluster says of its tokens.
  void answers(const std::string& map, const std::string& secrets) {
    commands.answers.insert(commands.answers.begin(), {.part = "configmap join-tokens", .out = map});
    commands.answers.insert(commands.answers.begin(), {.part = "get secret", .out = secrets});
  }
  [[nodiscard]] const FakeCommands::Call* call(std::string_view part, std::string_view input = "") const {
    for (const auto& each : commands.calls)
      if (each.line.contains(part) && each.input.contains(input)) return &each;
    return nullptr;
  }
};

}  // namespace

TEST_CASE("a join file holds all that a machine needs, and the token goes to the API server on standard input only") {
  Master m;
  const auto text = steps::create_token({.lifetime_s = 900, .uses = 3, .labels = {{"rack", "b7"}}}, m.environment);
  INFO((text ? "" : text.error().text()));
  REQUIRE(text);
  const auto file = join_file::parse(text->reveal(), "join.toml");
  REQUIRE(file);
  CHECK(file->cluster == "prod");
  CHECK(file->cluster_id == "0123");
  CHECK(file->masters == std::vector<std::string>{"10.0.0.1:6443"});
  CHECK(file->ca == os::spki_hash(ca).value());
  CHECK(file->labels == std::map<std::string, std::string>{{"rack", "b7"}});
  CHECK(file->stores == std::vector<join_file::Store>{{"10.0.0.2:9634", pin}, {"10.0.0.1:9634", pin}});
  REQUIRE(file->bundle_keys.size() == 1);
  CHECK(m.key.contains(file->bundle_keys.front()));
  REQUIRE(model::is_join_token(file->token.reveal()));

  const auto* made = m.call("create -f -", "bootstrap.kubernetes.io/token");
  REQUIRE(made != nullptr);
  const auto secret = json::parse(made->input);
  const auto& data = secret["stringData"];
  CHECK(secret["metadata"]["namespace"] == "kube-system");
  CHECK(file->token.reveal() == data["token-id"].get<std::string>() + "." + data["token-secret"].get<std::string>());
  CHECK(data["auth-extra-groups"] == "system:bootstrappers:cloudos:join");
  CHECK(data["usage-bootstrap-authentication"] == "true");
  CHECK_FALSE(data.contains("usage-bootstrap-signing"));
  CHECK(data["expiration"] == model::utc_text(file->expires_s));
  for (const auto& each : m.commands.calls) CHECK_FALSE(each.line.contains(data["token-secret"].get<std::string>()));

  // What else stands in the cluster is no secret.
  const auto* entered = m.call("create -f -", "ConfigMap");
  REQUIRE(entered != nullptr);
  CHECK_FALSE(entered->input.contains(data["token-secret"].get<std::string>()));
}

TEST_CASE("a token that cannot be entered is not left in the cluster") {
  Master m;
  m.answers(map_with(json::object()), "");
  m.commands.answers.insert(m.commands.answers.begin(), {.part = "replace -f -", .code = 1, .err = "Forbidden"});
  const auto text = steps::create_token({}, m.environment);
  REQUIRE_FALSE(text);
  CHECK(text.error().message.contains("Forbidden"));
  CHECK(m.commands.count("delete secret") == 1);
}

TEST_CASE("no token is made that could serve nobody, and it is said why") {
  Master unsigned_bundle;
  std::filesystem::remove_all(unsigned_bundle.at(paths::trust));
  const auto unsigned_error = steps::create_token({}, unsigned_bundle.environment);
  REQUIRE_FALSE(unsigned_error);
  CHECK(unsigned_error.error().kind == ErrorKind::refused);
  CHECK(unsigned_error.error().message.contains("nobody vouches for"));

  Master silent;
  silent.commands.answers.back().out = list_of({node("m1", "10.0.0.1", true, true, "")});
  const auto no_store = steps::create_token({}, silent.environment);
  REQUIRE_FALSE(no_store);
  CHECK(no_store.error().kind == ErrorKind::refused);
  CHECK(no_store.error().message.contains("no Ready node offers its store"));

  Machine no_master;
  const auto elsewhere = steps::create_token({}, no_master.environment);
  REQUIRE_FALSE(elsewhere);
  CHECK(elsewhere.error().kind == ErrorKind::refused);
  for (const auto* machine : {static_cast<Machine*>(&unsigned_bundle), static_cast<Machine*>(&silent), &no_master})
    CHECK(machine->commands.count("create") == 0);
}

TEST_CASE("tokens are listed oldest first, and what serves nobody any more is swept") {
  Master m;
  m.answers(map_with({{"aaaaaa", entry(m.soon, 3, 1)}, {"bbbbbb", entry(1)}, {"cccccc", entry(m.soon)}, {"dddddd", "nonsense"}}),
            "secret/bootstrap-token-aaaaaa\nsecret/bootstrap-token-bbbbbb\nsecret/bootstrap-token-dddddd\n");
  const auto text = steps::list_tokens(m.environment);
  REQUIRE(text);
  const auto tokens = model::decode_join_tokens(*text);
  REQUIRE(tokens);
  REQUIRE(tokens->tokens.size() == 1);
  CHECK(tokens->tokens[0].id == "aaaaaa");
  CHECK(tokens->tokens[0].used == 1);
  const auto* written = m.call("replace -f -");
  REQUIRE(written != nullptr);
  const auto map = json::parse(written->input);
  CHECK(map["metadata"]["resourceVersion"] == "7");  // a use that is counted meanwhile is not lost
  CHECK(map["data"].size() == 1);
}

TEST_CASE("a list with nothing to sweep writes nothing") {
  Master m;
  m.answers(map_with({{"aaaaaa", entry(m.soon)}}), "secret/bootstrap-token-aaaaaa\n");
  REQUIRE(steps::list_tokens(m.environment));
  CHECK(m.commands.count("replace") == 0);
}

TEST_CASE("a use that a master counts at the same time is not lost: the change is made again") {
  Master m;
  m.answers(map_with({{"aaaaaa", entry(m.soon)}, {"bbbbbb", entry(1)}}), "secret/bootstrap-token-aaaaaa\n");
  m.commands.answers.insert(m.commands.answers.begin(),
                            {.part = "replace -f -", .code = 1, .err = "Error from server (Conflict): modified"});
  m.commands.answers.front().effect = [&] { m.commands.answers.front().part = "never again"; };
  REQUIRE(steps::list_tokens(m.environment));
  CHECK(m.commands.count("replace") == 2);
  CHECK(m.commands.count("get --ignore-not-found -o json -n cloudos-system configmap join-tokens") == 2);
}

TEST_CASE("a token is taken back with its Secret, and an unknown id names the nearest") {
  Master m;
  m.answers(map_with({{"aaaaaa", entry(m.soon)}}), "secret/bootstrap-token-aaaaaa\n");
  const auto unknown = steps::revoke_token("aaaaab", m.environment);
  REQUIRE_FALSE(unknown);
  CHECK(unknown.error().kind == ErrorKind::input);
  CHECK(unknown.error().hint == "did you mean aaaaaa?");
  CHECK(m.commands.count("delete secret") == 0);
  REQUIRE(steps::revoke_token("aaaaaa", m.environment));
  CHECK(m.call("delete secret --ignore-not-found bootstrap-token-aaaaaa") != nullptr);
  const auto* written = m.call("replace -f -");
  REQUIRE(written != nullptr);
  CHECK(json::parse(written->input)["data"].empty());
  CHECK_FALSE(steps::revoke_token("abcdef.0123456789abcdef", m.environment));
}

TEST_CASE("machines fetch from Ready nodes that say where, masters last, and from no more than 16") {
  std::vector<json> nodes{node("m1", "10.0.0.1", true, true, "10.0.0.1:9634 " + pin),
                          node("ill", "10.0.0.2", false, false, "10.0.0.2:9634 " + pin), node("old", "10.0.0.3", false, true, ""),
                          node("odd", "10.0.0.4", false, true, "10.0.0.4:9634 sha256:zz"),
                          node("evil", "10.0.0.5", false, true, "\x1b[2J " + pin)};
  CHECK(steps::stores_of(nodes) == std::vector<join_file::Store>{{"10.0.0.1:9634", pin}});
  for (int i = 0; i < 40; ++i) nodes.push_back(node("n", "10.0.1.1", false, true, std::format("10.0.1.{}:9634 {}", i, pin)));
  const auto stores = steps::stores_of(nodes);
  REQUIRE(stores.size() == 16);
  CHECK(stores.front().address == "10.0.1.0:9634");
  CHECK(steps::masters_of({node("m1", "fd00::1", true, false, "")}) == std::vector<std::string>{"[fd00::1]:6443"});
}
