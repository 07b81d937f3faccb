#include <catch2/catch_test_macros.hpp>

#include "agent/admit/admit.hpp"
#include "tests/unit/admit/requests.hpp"

using namespace cloudos;
using namespace cloudos::test;
using admit::Reason;

namespace {

constexpr std::int64_t now_s = 1'800'000'100;

std::optional<Reason> refused(const kube::Json& request) {
  const auto node = admit::node_of(request);
  return node ? std::nullopt : std::optional(node.error().reason);
}
std::optional<Reason> refused(const admit::Candidate& candidate, const std::optional<model::JoinToken>& token,
                              admit::Name name = admit::Name::free, std::int64_t at = now_s) {
  const auto refusal = admit::decide(candidate, name, token, at);
  return refusal ? std::optional(refusal->reason) : std::nullopt;
}
const admit::Candidate candidate{.request = "node-csr-1", .token = "abcdef", .node = "node-7"};

}  // namespace

TEST_CASE("a kubelet's request for its first certificate names the node that it is for") {
  const auto request = csr("node-csr-x_Y-1", "abcdef", make_request(of_node("node-7")));
  const auto found = admit::candidate_of(request);
  REQUIRE(found);
  CHECK(found->request == "node-csr-x_Y-1");
  CHECK(found->token == "abcdef");
  CHECK(admit::node_of(request) == "node-7");
  auto with_rsa = request;
  with_rsa["spec"]["usages"] = {"key encipherment", "client auth", "digital signature"};
  CHECK(admit::node_of(with_rsa) == "node-7");
}

TEST_CASE("requests of other signers, of other groups and of those who joined over SSH are left alone") {
  const auto request = csr("node-csr-1", "abcdef", make_request(of_node("node-7")));
  const auto with = [&](const char* key, const kube::Json& value) {
    auto changed = request;
    changed["spec"][key] = value;
    return changed;
  };
  CHECK(admit::candidate_of(request));
  CHECK_FALSE(admit::candidate_of(with("signerName", "kubernetes.io/kube-apiserver-client")));
  CHECK_FALSE(admit::candidate_of(with("signerName", "kubernetes.io/kubelet-serving")));
  CHECK_FALSE(admit::candidate_of(with("groups", {"system:bootstrappers:kubeadm:default-node-token"})));
  CHECK_FALSE(admit::candidate_of(with("groups", kube::Json())));
  CHECK_FALSE(admit::candidate_of(with("username", "system:node:node-7")));
  auto decided = request;
  decided["status"]["conditions"] = {{{"type", "Denied"}, {"status", "True"}}};
  CHECK_FALSE(admit::candidate_of(decided));
  auto elsewhere = request;
  elsewhere["metadata"]["name"] = "../../nodes/node-1";
  CHECK_FALSE(admit::candidate_of(elsewhere));
  CHECK_FALSE(admit::candidate_of(kube::Json()));
  CHECK_FALSE(admit::candidate_of(kube::Json::array({1})));
}

TEST_CASE("a request for anything but a node's client certificate is not a node's") {
  const auto with_subject = [](const Subject& subject, const char* name = nullptr) {
    return csr("r", "abcdef", make_request(subject, name));
  };
  CHECK_FALSE(refused(with_subject(of_node("node-7"))));
  CHECK(refused(with_subject({{"O", "system:masters"}, {"CN", "system:node:node-7"}})) == Reason::not_a_node);
  CHECK(refused(with_subject({{"O", "system:nodes"}, {"O", "system:masters"}, {"CN", "system:node:node-7"}})) == Reason::not_a_node);
  CHECK(refused(with_subject({{"CN", "system:node:node-7"}})) == Reason::not_a_node);
  CHECK(refused(with_subject({{"O", "system:nodes"}, {"CN", "kubernetes-admin"}})) == Reason::not_a_node);
  CHECK(refused(with_subject({{"O", "system:nodes"}, {"CN", "system:node:"}})) == Reason::not_a_node);
  CHECK(refused(with_subject({{"O", "system:nodes"}, {"CN", "system:node:Node_7"}})) == Reason::not_a_node);
  CHECK(refused(with_subject({{"O", "system:nodes"}, {"CN", "system:node:../x"}})) == Reason::not_a_node);
  CHECK(refused(with_subject({{"O", "system:nodes"}, {"CN", "system:node:a"}, {"CN", "system:node:b"}})) == Reason::not_a_node);
  CHECK(refused(with_subject({{"O", "system:nodes"}, {"CN", "system:node:a"}, {"OU", "more"}})) == Reason::not_a_node);
  CHECK(refused(with_subject(of_node("node-7"), "DNS:api.example")) == Reason::not_a_node);
  auto usages = with_subject(of_node("node-7"));
  usages["spec"]["usages"] = {"digital signature", "client auth", "server auth"};
  CHECK(refused(usages) == Reason::not_a_node);
  usages["spec"]["usages"] = kube::Json();
  CHECK(refused(usages) == Reason::not_a_node);
  auto text = with_subject(of_node("node-7"));
  text["spec"]["request"] = "not base64";
  CHECK(refused(text) == Reason::not_a_node);
  text["spec"]["request"] = os::base64("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n");
  CHECK(refused(text) == Reason::not_a_node);
}

TEST_CASE("a request that was changed after it was signed is none") {
  auto pem = make_request(of_node("node-7"));
  REQUIRE(os::parse_certificate_request(pem));
  // A character in the middle of the subject, far from the ends.
  auto& c = pem[pem.find('\n') + 40];
  c = c == 'A' ? 'B' : 'A';
  CHECK_FALSE(os::parse_certificate_request(pem));
}

TEST_CASE("a token that lives lets in a machine of a new name") { CHECK_FALSE(refused(candidate, join_token(0))); }

TEST_CASE("an unknown, expired or used-up token lets nobody in, and says which it is") {
  CHECK(refused(candidate, std::nullopt) == Reason::token_unknown);
  CHECK(refused(candidate, join_token(0), admit::Name::free, 1'800'000'900) == Reason::token_expired);
  auto used = join_token(2);
  admit::count({.request = "one", .token = "abcdef", .node = "a"}, used);
  CHECK_FALSE(refused(candidate, used));
  admit::count({.request = "two", .token = "abcdef", .node = "b"}, used);
  CHECK(refused(candidate, used) == Reason::token_used_up);
  auto master = join_token(0);
  master.role = "master";
  CHECK(refused(candidate, master) == Reason::token_unknown);
}

TEST_CASE("a stolen token cannot take the name of a node or of a master that is away") {
  CHECK(refused(candidate, join_token(0), admit::Name::of_a_node) == Reason::node_exists);
  CHECK(refused(candidate, join_token(0), admit::Name::of_a_master) == Reason::node_exists);
}

TEST_CASE("one request is counted once, and let in again after its token is used up") {
  auto token = join_token(1);
  admit::count(candidate, token);
  admit::count(candidate, token);
  CHECK(token.used == 1);
  CHECK_FALSE(refused(candidate, token));
  auto other = candidate;
  other.request = "node-csr-2";
  CHECK(refused(other, token) == Reason::token_used_up);
}

TEST_CASE("a token for any number of machines counts them all and remembers a bounded number of requests") {
  auto token = join_token(0);
  for (int i = 0; i < 1000; ++i) admit::count({.request = std::to_string(i), .token = "abcdef", .node = "n"}, token);
  CHECK(token.used == 1000);
  CHECK(token.admitted.size() == model::JoinToken::most_uses);
  CHECK(token.admitted.back() == "999");
  const auto again = model::decode_join_token("abcdef", model::encode_join_token(token));
  REQUIRE(again);
  CHECK(*again == token);
  // All tokens at once fit into a ConfigMap.
  for (auto& name : token.admitted) name = "node-csr-" + std::string(43, 'x');
  CHECK(model::encode_join_token(token).size() * model::JoinToken::most < 1'000'000);
}
