#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <format>

#include "agent/supply/supply.hpp"
#include "core/model/paths.hpp"
#include "core/os/crypto/crypto.hpp"
#include "core/os/file/file.hpp"
#include "tests/support/played_api.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace cloudos;
using namespace cloudos::test;
using kube::Json;
namespace fs = std::filesystem;

namespace {

constexpr auto good = "abcdef.0123456789abcdef";
constexpr auto bad = "zzzzzz.0123456789abcdef";
constexpr auto someones = "kubeeu.0123456789abcdef";
const std::string reviews = "/apis/authentication.k8s.io/v1/tokenreviews";
const std::string events = "/api/v1/namespaces/default/events";

ServerAnswer reviewed(const std::string& token) {
  Json status{{"authenticated", token == good || token == someones}};
  if (token == good)
    status["user"] = {{"username", "system:bootstrap:abcdef"}, {"groups", {"system:bootstrappers", "system:bootstrappers:cloudos:join"}}};
  if (token == someones)
    status["user"] = {{"username", "system:bootstrap:kubeeu"}, {"groups", {"system:bootstrappers", "system:bootstrappers:other"}}};
  return {.status = 201, .body = Json{{"kind", "TokenReview"}, {"status", status}}.dump()};
}

// A node with a store, and the API server behind it.
struct Node {
  TemporaryFolder folder;
  PlayedApi api;
  std::atomic<int> asked{0};
  std::atomic<bool> away{false};
  std::string content = std::string(100'000, 'x') + "end";
  Digest blob = os::sha256(content), bundle = os::sha256("bundle");
  supply::Supply supply{{.root = folder.path(), .node = "node-1", .ca = "the CA"}};
  supply::Supply::Time now = std::chrono::steady_clock::now();

  Node() {
    api.first = [this](const ServerRequest& request) -> std::optional<ServerAnswer> {
      if (request.path != reviews) return std::nullopt;
      ++asked;
      if (away) return PlayedApi::failure(503, "etcd is away");
      return reviewed(Json::parse(request.body)["spec"]["token"].get<std::string>());
    };
    supply.renew(api.access());
    put(std::string(paths::store) + "/" + blob.hex(), content);
    put(paths::membership, Json{{"cluster_id", "c1"}, {"bundle", bundle.hex()}, {"version", "1.37.2"}}.dump());
    put(std::string(paths::bundles) + "/" + bundle.hex() + "/bundle.json", "{\"the\":\"index\"}");
    put(std::string(paths::bundles) + "/" + bundle.hex() + "/bundle.json.minisig", "signed");
    put("/etc/shadow", "root:secret");
  }
  [[nodiscard]] fs::path at(std::string_view path) const { return folder.path() / fs::path(path).relative_path(); }
  void put(std::string_view path, std::string_view text) const { REQUIRE(os::write_atomic(at(path), text, 0644)); }

  http::Answer get(const std::string& path, const std::string& token = good, const std::string& range = "",
                   const std::string& peer = "10.0.0.9", const std::string& method = "GET") {
    http::Asked asked_for{.method = method, .path = path, .query = "", .headers = {}, .body = "", .peer = peer};
    if (!token.empty()) asked_for.headers["authorization"] = "Bearer " + token;
    if (!range.empty()) asked_for.headers["range"] = range;
    return supply.answer(asked_for, now);
  }
};

std::string text_of(const http::Answer& answer) {
  if (const auto* text = std::get_if<std::string>(&answer.body)) return *text;
  const auto& part = std::get<http::FilePart>(answer.body);
  const auto all = os::read(std::format("/proc/self/fd/{}", part.file.get())).value();
  return all.substr(part.offset, part.length);
}

}  // namespace

TEST_CASE("who has a join token gets the cluster, the signed index and the blobs") {
  Node node;
  const auto cluster = Json::parse(text_of(node.get("/v1/cluster")));
  CHECK(cluster == Json{{"schema", 1}, {"cluster_id", "c1"}, {"ca", "the CA"}, {"bundle", node.bundle.hex()}, {"version", "1.37.2"}});
  CHECK(text_of(node.get("/v1/bundle.json")) == "{\"the\":\"index\"}");
  CHECK(text_of(node.get("/v1/bundle.json.minisig")) == "signed");
  const auto blob = node.get("/v1/blobs/" + node.blob.hex());
  CHECK(blob.status == 200);
  CHECK(text_of(blob) == node.content);
  CHECK(node.asked == 1);  // one question for all of it
}

TEST_CASE("a blob goes on from where it was cut off, and what is past its end is not there") {
  Node node;
  const auto path = "/v1/blobs/" + node.blob.hex();
  const auto rest = node.get(path, good, "bytes=100000-");
  CHECK(rest.status == 206);
  CHECK(text_of(rest) == "end");
  CHECK(rest.headers.at("Content-Range") == "bytes 100000-100002/100003");
  const auto past = node.get(path, good, "bytes=100003-");
  CHECK(past.status == 416);
  CHECK(past.headers.at("Content-Range") == "bytes */100003");
  CHECK(node.get(path, good, "lines=1-2").status == 200);
}

TEST_CASE("ranges are read as RFC 9110 has them") {
  // "first+length", "ignored", "none".
  const auto range = [](std::string_view header, std::uint64_t size = 100) -> std::string {
    const auto found = supply::range_of(header, size);
    if (!found) return "none";
    return *found ? std::format("{}+{}", (*found)->first, (*found)->length) : "ignored";
  };
  CHECK(range("bytes=0-0") == "0+1");
  CHECK(range("bytes=10-19") == "10+10");
  CHECK(range("bytes=90-1000") == "90+10");
  CHECK(range("bytes=90-") == "90+10");
  CHECK(range("bytes=-10") == "90+10");
  CHECK(range("bytes=-1000") == "0+100");
  CHECK(range("bytes=0-9223372036854775807") == "0+100");
  for (const auto* ignored : {"", "bytes", "bytes=", "bytes=-", "bytes=5", "bytes=5-4", "bytes=a-b", "bytes=1-2,4-5", "bytes=+1-2",
                              "items=0-1", "bytes=0-18446744073709551615"}) {
    CAPTURE(ignored);
    CHECK(range(ignored) == "ignored");
  }
  CHECK(range("bytes=100-") == "none");
  CHECK(range("bytes=-0") == "none");
  CHECK(range("bytes=0-", 0) == "none");
}

TEST_CASE("without a join token that holds nothing is given, and the cluster is told who asked") {
  Node node;
  for (const auto* token : {"", bad, someones, "nonsense"}) {
    CAPTURE(token);
    for (const auto* path : {"/v1/cluster", "/v1/bundle.json", "/v1/nothing"}) {
      const auto answer = node.get(path, token);
      CHECK(answer.status == 401);
      CHECK(Json::parse(text_of(answer))["error"] == "the token is unknown, expired or revoked");
    }
    node.now += std::chrono::minutes{1};
  }
  const auto told = node.api.created(events);
  REQUIRE(told.size() == 1);  // one a peer in ten minutes
  CHECK(told[0]["reason"] == "JoinRefused");
  CHECK(told[0]["involvedObject"]["kind"] == "Node");
  CHECK(told[0]["involvedObject"]["name"] == "node-1");
  CHECK(told[0]["message"].get<std::string>().contains("10.0.0.9"));
  node.now += std::chrono::minutes{10};
  static_cast<void>(node.get("/v1/cluster", bad));
  REQUIRE(node.api.created(events).size() == 2);
  const auto message = node.api.created(events)[1]["message"].get<std::string>();
  CHECK(message.contains("token zzzzzz"));
  CHECK_FALSE(message.contains("0123456789abcdef"));
}

TEST_CASE("a token that was taken back is of no use a minute later") {
  Node node;
  CHECK(node.get("/v1/cluster").status == 200);
  node.api.first = [](const ServerRequest& request) -> std::optional<ServerAnswer> {
    if (request.path == reviews) return reviewed(bad);
    return std::nullopt;
  };
  node.now += std::chrono::seconds{59};
  CHECK(node.get("/v1/cluster").status == 200);
  node.now += std::chrono::seconds{1};
  CHECK(node.get("/v1/cluster").status == 401);
}

TEST_CASE("who guesses is not asked about after ten tries a minute, and whoever has a good token is served on") {
  Node node;
  CHECK(node.get("/v1/cluster").status == 200);
  for (int i = 0; i < 10; ++i) CHECK(node.get("/v1/cluster", std::format("{:06}.0123456789abcdef", i)).status == 401);
  const int asked = node.asked;
  CHECK(node.get("/v1/cluster", "guess1.0123456789abcdef").status == 429);
  CHECK(node.asked == asked);
  CHECK(node.get("/v1/cluster").status == 200);
  CHECK(node.get("/v1/cluster", bad, "", "10.0.0.8").status == 401);  // another peer's guesses are its own
  node.now += std::chrono::minutes{1};
  CHECK(node.get("/v1/cluster", "guess2.0123456789abcdef").status == 401);
}

TEST_CASE("while the API server does not answer nobody is let in and nobody is called a liar") {
  Node node;
  node.away = true;
  CHECK(node.get("/v1/cluster").status == 503);
  node.away = false;
  CHECK(node.get("/v1/cluster").status == 503);  // it is left in peace for a moment
  node.now += std::chrono::seconds{2};
  CHECK(node.get("/v1/cluster").status == 200);
  CHECK(node.api.created(events).empty());
}

TEST_CASE("no path leads out of the store, and nothing is written") {
  Node node;
  const auto secret = std::string("root:secret");
  const auto hex = node.blob.hex();
  node.put(std::string(paths::store) + "/" + os::sha256("half").hex() + ".part", "half of it");
  fs::create_symlink(node.at("/etc/shadow"), node.at(std::string(paths::store)) / os::sha256("link").hex());
  for (const auto& path : {"/v1/blobs/../../../../../etc/shadow", "/v1/blobs//etc/shadow", "/v1/blobs/", "/v1/blobs/..",
                           "/v1/../etc/shadow", "/etc/shadow", "/v1/bundle.json/../../x", "/v1/blobs/sha256:"}) {
    CAPTURE(path);
    const auto answer = node.get(path);
    CHECK(answer.status == 404);
    CHECK_FALSE(text_of(answer).contains(secret));
  }
  for (const auto& name : {hex.substr(1), hex + "0", "sha256:" + hex, os::sha256("half").hex(), os::sha256("half").hex() + ".part",
                           os::sha256("link").hex(), os::sha256("absent").hex()}) {
    CAPTURE(name);
    CHECK(node.get("/v1/blobs/" + name).status == 404);
  }
  CHECK(node.get("/v1/cluster", good, "", "10.0.0.9", "POST").status == 405);
}

TEST_CASE("a node that was installed from an unsigned bundle says that it has none to give") {
  Node node;
  fs::remove_all(node.at(paths::bundles));
  const auto answer = node.get("/v1/bundle.json");
  CHECK(answer.status == 404);
  CHECK(text_of(answer).contains("no signed bundle.json"));
}
