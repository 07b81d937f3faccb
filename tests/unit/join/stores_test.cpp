#include "agent/join/stores.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include "core/base/clock.hpp"
#include "tests/unit/join/world.hpp"

using namespace cloudos;
using namespace cloudos::test;
using Catch::Matchers::ContainsSubstring;

namespace {

const Digest some_bundle = os::sha256("a bundle");

struct Signed {
  os::KeyPair key;
  std::string json, minisig;
};
Signed signed_index() {
  auto key = os::generate_key();
  REQUIRE(key);
  const auto json = model::encode_bundle_index({.name = "kubernetes", .version = "1.37.2", .platform = "linux/amd64"});
  auto minisig = os::sign(key->secret_file, json, "test");
  REQUIRE(minisig);
  return {std::move(*key), json, std::move(*minisig)};
}

std::string line_of(const os::PublicKey& key) {
  const auto text = os::format(key);
  return std::string(trim(text.substr(text.find('\n') + 1)));
}

}  // namespace

TEST_CASE("a store whose CA is the one that the file pins tells of the cluster") {
  const auto ca = identity();
  const Served store({{"/v1/cluster", hello(ca.certificate, some_bundle)}});
  const auto file = join_file_for(ca, {store.store()});
  CollectedLog log;
  const auto said = joining::Stores(file, 1, log).hello();
  if (!said) FAIL(said.error().text());
  CHECK(said->cluster_id == cluster_id);
  CHECK(said->bundle == some_bundle);
  REQUIRE(said->date_s);
  CHECK(joining::clock_fault(wall_s() - *said->date_s).empty());
}

TEST_CASE("another CA than the pinned one is not believed, and both are named") {
  const auto ca = identity();
  const auto other = identity();
  const Served one({{"/v1/cluster", hello(other.certificate, some_bundle)}});
  const Served two({{"/v1/cluster", hello(other.certificate, some_bundle)}});
  const auto file = join_file_for(ca, {one.store(), two.store()});
  CollectedLog log;
  const auto said = joining::Stores(file, 2, log).hello();
  REQUIRE_FALSE(said);
  CHECK(said.error().kind == ErrorKind::trust);
  CHECK_THAT(said.error().message, ContainsSubstring(spki(ca)) && ContainsSubstring(spki(other)) && ContainsSubstring("all 2 stores"));
  // A second certificate behind the right one would be believed unseen.
  CHECK_FALSE(joining::parse_hello(hello(ca.certificate + other.certificate, some_bundle)));
}

TEST_CASE("a server with another key than the store's is not even told the token") {
  const auto ca = identity();
  const Served impostor({{"/v1/cluster", hello(ca.certificate, some_bundle)}});
  auto place = impostor.store();
  place.spki = spki(identity());
  const auto file = join_file_for(ca, {place});
  CollectedLog log;
  const auto said = joining::Stores(file, 1, log).hello();
  REQUIRE_FALSE(said);
  CHECK(said.error().kind == ErrorKind::trust);
  CHECK(impostor.asked() == 0);
}

TEST_CASE("a store that lies or is away is passed over for one that does not") {
  const auto ca = identity();
  const Served liar({{"/v1/cluster", hello(identity().certificate, some_bundle)}});
  const Served broken({{"/v1/cluster", "<html>"}});
  const Served good({{"/v1/cluster", hello(ca.certificate, some_bundle)}});
  const auto file = join_file_for(ca, {liar.store(), broken.store(), {.address = "127.0.0.1:1", .spki = spki(ca)}, good.store()});
  CollectedLog log;
  joining::Stores stores(file, 4, log);
  const auto said = stores.hello();
  if (!said) FAIL(said.error().text());
  CHECK(stores.usable().front() == good.store());
  // The next question goes to the one that answered, and what lied is asked no more.
  CHECK(liar.asked() + broken.asked() <= 2);
}

TEST_CASE("a token that every store refuses is told as one that the cluster does not take") {
  const auto ca = identity();
  const Served one, two;
  auto file = join_file_for(ca, {one.store(), two.store()});
  file.token = Secret("abcdef.fedcba9876543210");
  CollectedLog log;
  const auto said = joining::Stores(file, 2, log).hello();
  REQUIRE_FALSE(said);
  CHECK(said.error().kind == ErrorKind::refused);
  CHECK_THAT(said.error().message, ContainsSubstring("abcdef") && ContainsSubstring("revoked"));
  CHECK_THAT(said.error().text(), !ContainsSubstring("fedcba9876543210"));
}

TEST_CASE("stores that cannot be reached are named each, and it is worth another try") {
  const auto key = "sha256:" + std::string(64, '0');
  const auto file = join_file_for(identity(), {{.address = "127.0.0.1:1", .spki = key}, {.address = "127.0.0.1:2", .spki = key}});
  CollectedLog log;
  const auto said = joining::Stores(file, 0, log).hello();
  REQUIRE_FALSE(said);
  CHECK(said.error().retryable);
  CHECK(exit_status(said.error().kind) == 1);
}

TEST_CASE("a bundle's index is taken when a key of the file signed it and it is the cluster's") {
  const auto index = signed_index();
  const auto digest = os::sha256(index.json);
  const auto other = os::generate_key();
  REQUIRE(other);
  const auto ours = line_of(index.key.public_key);
  const auto taken = joining::check_index(index.json, index.minisig, {line_of(other->public_key), ours}, digest);
  if (!taken) FAIL(taken.error().text());
  CHECK(taken->content.version == "1.37.2");
  CHECK(taken->signer == index.key.public_key);

  const auto by_another = joining::check_index(index.json, index.minisig, {line_of(other->public_key)}, digest);
  REQUIRE_FALSE(by_another);
  CHECK(by_another.error().kind == ErrorKind::trust);
  const auto older = joining::check_index(index.json, index.minisig, {ours}, some_bundle);
  REQUIRE_FALSE(older);
  CHECK(older.error().kind == ErrorKind::trust);
  CHECK_THAT(older.error().message, ContainsSubstring(some_bundle.hex()));
  CHECK_FALSE(joining::check_index(index.json + " ", index.minisig, {ours}, os::sha256(index.json + " ")));
}
