#include "agent/join/fetch.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include <latch>

#include "tests/support/temporary_folder.hpp"
#include "tests/unit/join/world.hpp"

using namespace cloudos;
using namespace cloudos::test;
using Catch::Matchers::ContainsSubstring;

namespace {

std::string path_of(const std::string& content) { return "/v1/blobs/" + os::sha256(content).hex(); }
store::Blob blob_of(const std::string& content) { return {.digest = os::sha256(content), .size = content.size()}; }
std::string content_of(const fs::path& path) {
  auto text = os::read(path);
  REQUIRE(text);
  return *text;
}

// One machine that fetches.
struct Machine {
  TemporaryFolder folder;
  store::Store here{fs::path(folder.path()) / "cas"};
  CollectedLog log;
  joining::Voice voice{.log = log};

  Status fetch(std::vector<join_file::Store> stores, const std::vector<std::string>& contents) {
    std::vector<store::Blob> wanted;
    std::vector<Digest> digests;
    for (const auto& content : contents) {
      wanted.push_back(blob_of(content));
      digests.push_back(wanted.back().digest);
    }
    joining::Fetcher fetcher({.stores = std::move(stores),
                              .token_id = "abcdef",
                              .token = Secret(token),
                              .missing = here.missing(wanted),
                              .pause = Milliseconds{1}},
                             here, voice);
    return fetcher.await(digests, {});
  }
};

// Blobs of some size, all different.
std::vector<std::string> blobs(int count) {
  std::vector<std::string> out;
  for (int i = 0; i < count; ++i) out.push_back(os::random_hex(50'000) + std::to_string(i));
  return out;
}
std::map<std::string, std::string> served(const std::vector<std::string>& contents) {
  std::map<std::string, std::string> files;
  for (const auto& content : contents) files[path_of(content)] = content;
  return files;
}

}  // namespace

TEST_CASE("what is missing comes from several stores at once, and is what was signed") {
  const auto contents = blobs(24);
  // Neither answers before both are asked.
  std::latch both{2};
  const auto together = [&both] {
    return [&both, asked = std::make_shared<bool>(false)](const http::Asked&) -> std::optional<http::Answer> {
      if (!std::exchange(*asked, true)) both.arrive_and_wait();
      return std::nullopt;
    };
  };
  const Served one(served(contents), together()), two(served(contents), together());
  Machine machine;
  const auto fetched = machine.fetch({one.store(), two.store()}, contents);
  if (!fetched) FAIL(fetched.error().text());
  for (const auto& content : contents) CHECK(content_of(machine.here.path(os::sha256(content))) == content);
  CHECK(one.asked() > 0);
  CHECK(two.asked() > 0);
  // Each once: what is here is not asked for again.
  CHECK(one.asked() + two.asked() == 24);
  REQUIRE(machine.fetch({one.store()}, contents));
  CHECK(one.asked() + two.asked() == 24);
}

TEST_CASE("a blob of which a part is here goes on where it stopped") {
  const auto content = os::random_hex(100'000);
  std::atomic<int> ranges = 0;
  const Served store(served({content}), [&](const http::Asked& asked) -> std::optional<http::Answer> {
    if (asked.headers.contains("range") && asked.headers.at("range") == "bytes=1000-") ++ranges;
    return std::nullopt;
  });
  Machine machine;
  REQUIRE(os::write_atomic(machine.here.path(os::sha256(content)).string() + ".part", content.substr(0, 1000), 0600));
  REQUIRE(machine.fetch({store.store()}, {content}));
  CHECK(ranges == 1);
  CHECK(content_of(machine.here.path(os::sha256(content))) == content);
}

TEST_CASE("a part that a power cut has spoilt is fetched from the beginning, and no store is blamed for it") {
  const auto content = os::random_hex(100'000);
  const Served store(served({content}));
  Machine machine;
  REQUIRE(os::write_atomic(machine.here.path(os::sha256(content)).string() + ".part", std::string(1000, '\0'), 0600));
  REQUIRE(machine.fetch({store.store()}, {content}));
  CHECK(content_of(machine.here.path(os::sha256(content))) == content);
  CHECK_THAT(machine.log.text(), !ContainsSubstring("is left"));
}

TEST_CASE("a store that gives wrong bytes is left and named, and the others give what it should have") {
  const auto contents = blobs(6);
  auto wrong = served(contents);
  for (auto& [path, content] : wrong) content[7] ^= 1;
  const Served liar(wrong), good(served(contents));
  Machine machine;
  REQUIRE(machine.fetch({liar.store(), good.store()}, contents));
  for (const auto& content : contents) CHECK(content_of(machine.here.path(os::sha256(content))) == content);
  CHECK(liar.asked() == 1);
  CHECK_THAT(machine.log.text(), ContainsSubstring(liar.address()) && ContainsSubstring("is left"));

  Machine other;
  const auto nothing = other.fetch({liar.store()}, contents);
  REQUIRE_FALSE(nothing);
  CHECK(nothing.error().kind == ErrorKind::trust);
}

TEST_CASE("a store that fails is asked again, and left for the others when it goes on failing") {
  const auto contents = blobs(6);
  std::atomic<int> times = 0;
  const Served limping(served(contents), [&](const http::Asked&) -> std::optional<http::Answer> {
    if (++times > 2) return std::nullopt;
    return http::Answer{.status = 503, .body = std::string(R"({"error":"not now"})")};
  });
  Machine machine;
  REQUIRE(machine.fetch({limping.store()}, contents));

  const Served dead({}, [](const http::Asked&) { return std::optional(http::Answer{.status = 503, .body = std::string("{}")}); });
  const Served good(served(contents));
  Machine other;
  REQUIRE(other.fetch({dead.store(), good.store()}, contents));
  CHECK(good.asked() == 6);

  Machine third;
  const auto nothing = third.fetch({dead.store()}, contents);
  REQUIRE_FALSE(nothing);
  CHECK(nothing.error().retryable);
}

TEST_CASE("a blob that one store does not have comes from another; one that nobody has is named") {
  const auto contents = blobs(2);
  const Served one(served({contents[0]})), two(served({contents[1]}));
  Machine machine;
  REQUIRE(machine.fetch({one.store(), two.store()}, contents));

  Machine other;
  const auto nothing = other.fetch({one.store()}, contents);
  REQUIRE_FALSE(nothing);
  CHECK_THAT(nothing.error().message, ContainsSubstring(os::sha256(contents[1]).hex()));
}

TEST_CASE("a token that is revoked meanwhile ends the fetching with that reason, and what came stays") {
  const auto contents = blobs(4);
  std::atomic<int> times = 0;
  const Served store(served(contents), [&](const http::Asked&) -> std::optional<http::Answer> {
    if (++times <= 2) return std::nullopt;
    return http::Answer{.status = 401, .body = std::string("{}")};
  });
  Machine machine;
  const auto fetched = machine.fetch({store.store()}, contents);
  REQUIRE_FALSE(fetched);
  CHECK(fetched.error().kind == ErrorKind::refused);
  CHECK_THAT(fetched.error().message, ContainsSubstring("revoked"));
  CHECK(machine.here.has(os::sha256(contents[0])));
}
