#include "agent/join/wanted.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "core/base/text.hpp"
#include "core/model/join_token.hpp"

using namespace cloudos;
using Catch::Matchers::ContainsSubstring;
using nlohmann::json;

namespace {

constexpr std::int64_t now = 1'795'000'000;  // 2026-11-18

// A request for system:node:node-9, as a kubelet makes it.
constexpr auto request_of_node_9 =
    "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlIdk1JR1dBZ0VBTURReEZUQVRCZ05WQkFvTURITjVjM1JsYlRwdWIyUmxjekViTUJrR0ExVUVBd3dTYzNseg"
    "pkR1Z0T201dlpHVTZibTlrWlMwNU1Ga3dFd1lIS29aSXpqMENBUVlJS29aSXpqMERBUWNEUWdBRUZzYVlqdEpPCmhUclpRbkdjMGROQWNjdnRaVlpOMjQ5YzVMc21kQVV1M0Ex"
    "WjdFQUZTWlpndFBKZG9va3UyR3NPSGVRODJLK1kKSDQ4aCtXY25lZlNqYjZBQU1Bb0dDQ3FHU000OUJBTUNBMGdBTUVVQ0lRRGJZc3JYTUZZaTV0Vk1ieGViZnFJSApVQWlzbX"
    "BFUVNTNHd5TkhjRUw4MkJBSWdFNzRqUTVSYzJDN1hJRUlZL3pob01ZbFphS2ZnTWlDTk8wbVowb2VrCjJlcz0KLS0tLS1FTkQgQ0VSVElGSUNBVEUgUkVRVUVTVC0tLS0tCg="
    "=";

json tokens(const model::JoinToken& token) { return {{"data", {{"abcdef", model::encode_join_token(token)}}}}; }
constexpr std::int64_t later = now + 86'400;

json requests(const std::string& username, const json& conditions) {
  return {{"items",
           {{{"metadata", {{"name", "node-csr-1"}}},
             {"spec", {{"username", username}, {"request", request_of_node_9}}},
             {"status", {{"conditions", conditions}}}}}}};
}
const json denied = {{{"type", "Denied"}, {"reason", "TokenUsedUp"}, {"message", "the token abcdef is used up"}}};

}  // namespace

TEST_CASE("what the cluster says of itself is read, and a ConfigMap that lacks something is named with what to do") {
  const json good = {{"data",
                      {{"cluster_id", "0123"},
                       {"bundle", std::string(64, 'a')},
                       {"version", "1.37.2"},
                       {"config.json", model::encode_config({.pod_cidr = "10.1.0.0/16"})}}}};
  const auto wanted = joining::wanted_of(good);
  REQUIRE(wanted);
  CHECK(wanted->cluster_id == "0123");
  CHECK(wanted->bundle.hex() == std::string(64, 'a'));
  CHECK(wanted->config.pod_cidr == "10.1.0.0/16");
  for (const auto* key : {"cluster_id", "bundle", "config.json"}) {
    auto bad = good;
    bad["data"].erase(key);
    const auto read = joining::wanted_of(bad);
    REQUIRE_FALSE(read);
    CHECK(read.error().kind == ErrorKind::input);
    CHECK_THAT(read.error().text(),
               ContainsSubstring(key == std::string("bundle") ? "bundle" : key) && ContainsSubstring("cloudos install"));
  }
  for (const json& odd : {json(), json::array({1}), json("x"), json{{"data", 1}}}) CHECK_FALSE(joining::wanted_of(odd));
}

TEST_CASE("a token that is unknown, over or used up does not serve, and the reason is said with what to do") {
  const auto why = [](const json& map, bool before = false) {
    const auto serves = joining::token_serves(map, "abcdef", now, before);
    if (serves) return std::string();
    CHECK(serves.error().kind == ErrorKind::refused);
    CHECK_THAT(serves.error().hint, ContainsSubstring("cloudos token create"));
    return serves.error().message;
  };
  CHECK(why(tokens({.id = "abcdef", .used = 2, .created_s = now, .expires_s = later})).empty());
  CHECK(why(tokens({.id = "abcdef", .uses = 2, .used = 1, .created_s = now, .expires_s = later})).empty());
  CHECK_THAT(why({{"data", {{"other0", "{}"}}}}), ContainsSubstring("abcdef") && ContainsSubstring("revoked"));
  CHECK_THAT(why(json::object()), ContainsSubstring("revoked"));
  CHECK_THAT(why(tokens({.id = "abcdef", .uses = 1, .created_s = now - 10, .expires_s = now})),
             ContainsSubstring("expired at ") && ContainsSubstring("2026-11-1"));
  const auto used = tokens({.id = "abcdef", .uses = 2, .used = 2, .admitted = {"a", "b"}, .created_s = now, .expires_s = later});
  CHECK_THAT(why(used), ContainsSubstring("used up") && ContainsSubstring("2 machines"));
  // The machine itself may be one of the two.
  CHECK(why(used, true).empty());
}

TEST_CASE("only the denial of what this machine asked for, with this token and in this run, is taken for its own") {
  CHECK(joining::denial(requests("system:bootstrap:abcdef", denied), "abcdef", "node-9", {}) == "the token abcdef is used up");
  CHECK(joining::denial(requests("system:bootstrap:abcdef", denied), "abcdef", "node-9", {"node-csr-1"}).empty());
  CHECK(joining::denial(requests("system:bootstrap:abcdef", denied), "abcdef", "node-90", {}).empty());
  CHECK(joining::denial(requests("system:bootstrap:fedcba", denied), "abcdef", "node-9", {}).empty());
  CHECK(joining::denial(requests("system:bootstrap:abcdef", {{{"type", "Approved"}}}), "abcdef", "node-9", {}).empty());
  CHECK(joining::denial(requests("system:bootstrap:abcdef", {{{"type", "Denied"}, {"message", "\x1b[31m"}}}), "abcdef", "node-9", {}) ==
        sanitise("\x1b[31m"));
  CHECK(joining::request_names(requests("x", json::array())) == std::vector<std::string>{"node-csr-1"});
  CHECK(joining::denial(json(1), "abcdef", "node-9", {}).empty());
}
