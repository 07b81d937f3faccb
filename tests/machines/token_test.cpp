// Join tokens of a real cluster: made, listed, taken back, and what the API server lets their holders do. The machines that join
// with one are in join_test.cpp.
#include <catch2/catch_test_macros.hpp>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "core/base/text.hpp"
#include "core/join_file/join_file.hpp"
#include "tests/machines/machines.hpp"
#include "tests/machines/secrets.hpp"

using namespace cloudos;
using namespace cloudos::machines;

namespace {

struct Tokens {
  Sandbox sandbox{"t-token", 1, 0};

  Tokens() {
    const auto installed = sandbox.install(sandbox.addresses("master"), "");
    INFO(installed.out.substr(installed.out.size() > 4000 ? installed.out.size() - 4000 : 0) << installed.err);
    REQUIRE(installed.code == 0);
    // A node says by itself where its store is; a moment after it joined is soon enough.
    const auto store = "cloudos.io/store=" + master().address + ":9634 sha256:" + std::string(64, 'a');
    if (!eventually(20, [&] { return kubectl(sandbox, master(), {"get", "nodes", "-o", "yaml"}).out.contains("cloudos.io/store"); }))
      REQUIRE(kubectl(sandbox, master(), {"annotate", "node", "--all", store}).code == 0);
  }
  [[nodiscard]] const Machine& master() const { return sandbox.named("master-1"); }
  [[nodiscard]] Ran token(std::vector<std::string> words) const {
    words.insert(words.begin(), "token");
    words.insert(words.end(), {"--masters", master().address});
    for (const auto& flag : sandbox.access()) words.push_back(flag);
    return machines::cloudos(words);
  }
  // kubectl as the holder of a token, from the master itself.
  [[nodiscard]] Ran as(const std::string& token, const std::string& words) const {
    return sandbox.on(master(),
                      {"sh", "-c",
                       "read -r token; exec kubectl --kubeconfig /dev/null --server https://127.0.0.1:7443 "
                       "--certificate-authority /etc/kubernetes/pki/ca.crt --token \"$token\" " +
                           words},
                      token + "\n");
  }
  [[nodiscard]] bool may(const std::string& token, const std::string& words) const {
    return std::string(trim(as(token, "auth can-i " + words).out)) == "yes";
  }
};

std::string text_of(const std::string& path) {
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

}  // namespace

TEST_CASE("a join token is made, listed and taken back, and its holder may ask to join and nothing else", "[token]") {
  const Tokens t;
  const auto path = scratch() + "/join.toml";
  const auto made =
      t.token({"create", "--uses", "2", "--label", "rack=b7", "--ttl", "5m", "-o", path, "-vv", "--log-file", scratch() + "/token.log"});
  INFO(made.out << made.err);
  REQUIRE(made.code == 0);
  CHECK(std::filesystem::status(path).permissions() == (std::filesystem::perms::owner_read | std::filesystem::perms::owner_write));
  const auto file = join_file::parse(text_of(path), path);
  REQUIRE(file);
  CHECK(file->masters == std::vector<std::string>{t.master().address + ":6443"});
  const std::string token(file->token.reveal());
  const auto id = token.substr(0, 6), secret = token.substr(7);

  // The secret half went nowhere but into the file.
  CHECK_FALSE((made.out + made.err).contains(secret));
  CHECK(leaks_below(scratch() + "/token.log", {secret}) == std::vector<std::string>{});
  CHECK(leaks_on(t.sandbox, t.master(), {secret}) == std::vector<std::string>{});
  const auto listed = t.token({"list", "--json"});
  CHECK_FALSE(listed.out.contains(secret));
  const auto list = lines(listed.out);
  REQUIRE(list.size() == 1);
  REQUIRE(list[0]["tokens"].size() == 1);
  CHECK(list[0]["tokens"][0]["id"] == id);
  CHECK(list[0]["tokens"][0]["uses_left"] == 2);
  CHECK(list[0]["tokens"][0]["labels"] == Json{{"rack", "b7"}});

  const auto who = t.as(token, "auth whoami -o json");
  INFO(who.out << who.err);
  REQUIRE(who.code == 0);
  CHECK(who.out.contains("system:bootstrap:" + id));
  CHECK(who.out.contains("system:bootstrappers:cloudos:join"));
  CHECK_FALSE(who.out.contains("default-node-token"));
  for (const auto* allowed : {"create certificatesigningrequests.certificates.k8s.io", "get configmap/cluster -n cloudos-system",
                              "get configmap/join-tokens -n cloudos-system", "get configmap/kubeadm-config -n kube-system",
                              "get configmap/kubelet-config -n kube-system", "get nodes"}) {
    INFO(allowed);
    CHECK(t.may(token, allowed));
  }
  for (const auto* forbidden : {"get secrets -A", "list pods -A", "update configmap/join-tokens -n cloudos-system", "create pods",
                                "delete nodes", "update certificatesigningrequests.certificates.k8s.io --subresource=approval",
                                "create certificatesigningrequests.certificates.k8s.io --subresource=nodeclient"}) {
    INFO(forbidden);
    CHECK_FALSE(t.may(token, forbidden));
  }
  // The master's kubelet may count and decide; a request of a token is not approved unseen by the controller manager.
  const auto node = std::string(trim(kubectl(t.sandbox, t.master(), {"get", "nodes", "-o", "jsonpath={.items[0].metadata.name}"}).out));
  const auto as_node = "kubectl --kubeconfig /etc/kubernetes/admin.conf --as system:node:" + node + " --as-group system:nodes auth can-i ";
  CHECK(t.sandbox.sh(t.master(), as_node + "update configmap/join-tokens -n cloudos-system").starts_with("yes"));
  CHECK(t.sandbox.sh(t.master(), as_node + "update certificatesigningrequests.certificates.k8s.io --subresource=approval")
            .starts_with("yes"));

  // Installing again leaves the tokens alone.
  REQUIRE(t.sandbox.install(t.sandbox.addresses("master"), "").code == 0);
  CHECK(t.token({"list"}).out.contains(id));

  auto other = id;
  other[5] = other[5] == 'a' ? 'b' : 'a';
  const auto unknown = t.token({"revoke", other});
  CHECK(unknown.code == 2);
  CHECK(unknown.err.contains("did you mean " + id));
  REQUIRE(t.token({"revoke", id}).code == 0);
  // The API server remembers for some seconds that it took a token.
  CHECK(eventually(60, [&] { return t.as(token, "auth whoami").code != 0; }));
  CHECK(t.token({"list"}).out.contains("no join tokens"));
}
