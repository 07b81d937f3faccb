#include "core/join_file/join_file.hpp"

#include <catch2/catch_test_macros.hpp>

#include "core/base/text.hpp"

using namespace cloudos;
using join_file::JoinFile;

namespace {

constexpr std::string_view secret = "0123456789abcdef";
const std::string pin = "sha256:" + std::string(64, 'a');

JoinFile whole() {
  return {.cluster = "prod \"one\"",
          .cluster_id = "5c1e0d3a",
          .masters = {"10.0.0.1:6443", "[fd00::2]:6443", "master-3.example.com:6443"},
          .ca = pin,
          .token_id = "abcdef",
          .token = Secret("abcdef." + std::string(secret)),
          .expires_s = 1'893'456'000,
          .role = "worker",
          .labels = {{"disk", "ssd"}, {"example.com/rack", "a"}},
          .stores = {{.address = "10.0.0.4:9634", .spki = pin}, {.address = "10.0.0.5:9634", .spki = "sha256:" + std::string(64, 'b')}},
          .bundle_keys = {std::string(56, 'K')}};
}
std::string text() { return std::string(join_file::write(whole()).reveal()); }
std::string replaced(std::string_view what, std::string_view with) {
  auto changed = text();
  const auto at = changed.find(what);
  REQUIRE(at != std::string::npos);
  return changed.replace(at, what.size(), with);
}
std::string refused(std::string_view file) {
  const auto read = join_file::parse(file, "join.toml");
  if (read) FAIL("taken");
  CHECK(read.error().kind == ErrorKind::input);
  CHECK_FALSE(read.error().text().contains(secret));
  return read.error().text();
}

}  // namespace

TEST_CASE("what is written is read again as it was") {
  const auto read = join_file::parse(text(), "join.toml");
  if (!read) FAIL(read.error().text());
  const auto wanted = whole();
  CHECK(read->cluster == wanted.cluster);
  CHECK(read->cluster_id == wanted.cluster_id);
  CHECK(read->masters == wanted.masters);
  CHECK(read->ca == wanted.ca);
  CHECK(read->token_id == wanted.token_id);
  CHECK(read->token.reveal() == wanted.token.reveal());
  CHECK(read->expires_s == wanted.expires_s);
  CHECK(read->role == wanted.role);
  CHECK(read->labels == wanted.labels);
  CHECK(read->stores == wanted.stores);
  CHECK(read->bundle_keys == wanted.bundle_keys);
}

TEST_CASE("the file says what it is, until when it serves and that it is secret") {
  CHECK(text().starts_with("# With this file as /etc/cloudos/join.toml"));
  CHECK(text().contains("# It serves until 2030-01-01T00:00:00Z and holds a token"));
  CHECK(text().contains("\nexpires = 2030-01-01T00:00:00Z\n"));
}

TEST_CASE("a name with a line break cannot add keys to the file, nor end its comment") {
  auto file = whole();
  file.cluster = "a\nrole = \"master\"\n# \"";
  file.labels = {{"k\"\n", "v\n[labels]"}};
  const auto read = join_file::parse(join_file::write(file).reveal(), "join.toml");
  REQUIRE(!read);  // a name is one line
  CHECK(read.error().message.starts_with("1 mistake"));
  CHECK(read.error().message.contains("cluster: found a control character"));
}

TEST_CASE("the time of expiry may be written with any offset, but with one, and without quotes") {
  const auto at = [](std::string_view when) {
    return join_file::parse(replaced("2030-01-01T00:00:00Z\nrole", std::string(when) + "\nrole"), "join.toml");
  };
  const auto earlier = at("2030-01-01T02:00:00+02:00");
  REQUIRE(earlier);
  CHECK(earlier->expires_s == whole().expires_s);
  for (const auto* bad : {"2030-01-01T00:00:00", "\"2030-01-01T00:00:00Z\"", "2030-01-01", "1893456000"}) {
    const auto read = at(bad);
    REQUIRE(!read);
    CHECK(read.error().message.contains(" expires: found "));
  }
}

TEST_CASE("all that is missing is told at once") {
  const auto told = refused("");
  for (const auto* key : {"schema", "cluster", "cluster-id", "masters", "ca", "token", "expires", "bundle-keys", "stores"}) {
    INFO(key);
    CHECK(told.contains(std::string("'") + key + "' is missing"));
  }
  CHECK(told.starts_with("9 mistakes in join.toml"));
}

TEST_CASE("each mistake is told with its line, key, and what was expected") {
  CHECK(refused(replaced("10.0.0.1:6443", "10.0.0.1")).contains("masters: '10.0.0.1': there is no port"));
  CHECK(refused(replaced("[fd00::2]:6443", "fd00::2:6443")).contains("is written [fd00::1]:6443"));
  CHECK(refused(replaced("10.0.0.4:9634", "10.0.0.4:0")).contains("stores[0].address"));
  CHECK(refused(replaced("10.0.0.4:9634", "Bad_Host:1")).contains("stores[0].address"));
  CHECK(refused(replaced("role = \"worker\"", "role = \"master\"")).contains("role: found 'master'"));
  CHECK(refused(replaced("role = ", "rol = ")).contains("did you mean 'role'?"));
  CHECK(refused(replaced("schema = 1", "schema = 2")).contains("found schema 2, this agent reads schema 1"));
  CHECK(refused(replaced("ca = \"sha256:a", "ca = \"sha256:")).contains(" ca: this is not the hash of a key"));
  CHECK(refused(replaced("spki = \"sha256:", "spki = \"md5:")).contains("stores[0].spki: this is not"));
  CHECK(refused(replaced(std::string(56, 'K'), "K")).contains("bundle-keys: found 1 characters"));
  CHECK(refused(replaced("disk\" = \"ssd\"", "disk\" = 3")).contains("labels.disk: found an integer, expected a string"));
  CHECK(refused(replaced("[[stores]]", "[stores]")).contains("join.toml"));
  CHECK(refused(replaced("masters = [", "masters = [1, ")).contains("masters: found an integer"));
}

TEST_CASE("no error shows the token, wherever the file has it") {
  const auto token = "abcdef." + std::string(secret);
  CHECK(refused(replaced(token, token + "x")).contains("token: this is not a bootstrap token"));
  CHECK(refused(replaced("abcdef.", "ABCDEF.")).contains("token: this is not a bootstrap token"));
  CHECK(refused(replaced("\"" + token + "\"", token)).contains("this is not TOML"));
  static_cast<void>(refused(replaced("token = \"", "\"" + token + "\" = \"")));
  static_cast<void>(refused(replaced("token = ", token + " = ")));
  static_cast<void>(refused(replaced("10.0.0.1:6443", token)));
  static_cast<void>(refused(replaced("\"worker\"", "\"" + token + "\"")));
  static_cast<void>(refused(replaced("[labels]\n", "[labels]\n\"" + token + "\" = 1\n")));
}

TEST_CASE("a text that is no TOML is one mistake with its line") {
  CHECK(refused("schema = 1\ncluster\n").contains("join.toml:2:"));
  CHECK(refused("a\x01").contains("control character 0x01"));
}
