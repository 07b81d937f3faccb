#include <catch2/catch_test_macros.hpp>

#include <filesystem>
#include <format>
#include <fstream>

#include <nlohmann/json.hpp>

#include "core/join_file/join_file.hpp"
#include "core/os/crypto/crypto.hpp"
#include "core/os/file/file.hpp"
#include "core/os/process/process.hpp"
#include "images/build.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace cloudos;
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

std::string content_of(const fs::path& path) {
  auto text = os::read(path);
  REQUIRE(text);
  return *text;
}
unsigned mode_of(const fs::path& path) { return static_cast<unsigned>(fs::status(path).permissions()); }

// A folder with a signed bundle that holds nothing but an agent.
struct Place {
  test::TemporaryFolder folder;
  fs::path bundle = folder / "small.bundle";
  std::string agent = "this stands for the agent's archive";

  Place() {
    put("agent.tar.gz", agent);
    put("recipe.toml", R"(schema = 1
name = "small"
version = "1.0.0"
platform = "linux/amd64"
created = "2026-01-01T00:00:00Z"
min_installer = "0.1.0"
[[component]]
name = "agent"
version = "1.0.0"
licence = "NOASSERTION"
source = ""
files = [{ path = "agent/agent.tar.gz", from = "file:agent.tar.gz", mode = 0o644, compress = false }]
)");
    auto key = os::generate_key();
    REQUIRE(key);
    put("bundle.pub", os::format(key->public_key));
    const auto built = images::build_bundle(
        {.recipe = folder / "recipe.toml", .output = bundle, .cache = folder / "cache", .key = key->secret_file, .update_lock = true});
    if (!built) FAIL(built.error().text());
  }
  void put(const std::string& name, const std::string& content) const { REQUIRE(os::write_atomic(folder / name, content, 0600)); }
  [[nodiscard]] std::string join_file(std::int64_t expires_s) const {
    const join_file::JoinFile file{
        .cluster = "lab",
        .cluster_id = "0123456789abcdef",
        .masters = {"10.0.0.1:6443"},
        .ca = "sha256:" + std::string(64, 'a'),
        .token_id = "abcdef",
        .token = Secret("abcdef.0123456789abcdef"),
        .expires_s = expires_s,
        .stores = {{"10.0.0.2:9634", "sha256:" + std::string(64, 'b')}},
        .bundle_keys = {content_of(folder / "bundle.pub").substr(content_of(folder / "bundle.pub").find('\n') + 1, 56)}};
    put("join.toml", std::string(join_file::write(file).reveal()));
    return content_of(folder / "join.toml");
  }
  [[nodiscard]] os::Output media(std::initializer_list<std::string> more) const {
    Argv argv{CLOUDOS_PROGRAM, "join-media", "-o", (folder / "media").string(), "--bundle", bundle.string()};
    for (const auto& word : more) argv += word;
    auto said = os::capture(argv, {.environment = {{"HOME", folder.path().string()}}});
    REQUIRE(said);
    return *said;
  }
};

constexpr std::int64_t far_away = 4'000'000'000;

}  // namespace

TEST_CASE("join-media writes the bundle's agent, the unit, the join file and a cloud-init seed with both") {
  const Place place;
  const auto join_toml = place.join_file(far_away);
  const auto said = place.media({"--join-file", (place.folder / "join.toml").string()});
  INFO(said.out << said.err);
  REQUIRE(said.exit.code == 0);
  const auto media = place.folder / "media";
  CHECK(content_of(media / "cloudos-agent.tar.gz") == place.agent);
  CHECK(content_of(media / "join.toml") == join_toml);
  // What holds the token is for its owner only, the seed too.
  CHECK(mode_of(media / "join.toml") == 0600);
  CHECK(mode_of(media / "user-data") == 0600);
  CHECK(content_of(media / "cloudos-join.service").contains("ConditionPathExists=/etc/cloudos/join.toml"));
  const auto digest = os::sha256(place.agent).hex().substr(0, 12);
  CHECK(content_of(media / "README").contains("/var/lib/cloudos/agent/" + digest));
  CHECK_FALSE(content_of(media / "README").contains("{{"));
  CHECK(content_of(media / "meta-data").starts_with("instance-id: cloudos-"));

  const auto seed = content_of(media / "user-data");
  REQUIRE(seed.starts_with("#cloud-config\n"));
  const auto config = json::parse(seed.substr(seed.find('\n')));
  const auto& files = config.at("write_files");
  REQUIRE(files.size() == 2);
  CHECK(files[1].at("path") == "/etc/cloudos/join.toml");
  CHECK(files[1].at("permissions") == "0600");
  CHECK(files[1].at("content") == os::base64(join_toml));
  CHECK(config.at("runcmd").dump().contains("/var/lib/cloudos/agent/" + digest));
}

TEST_CASE("without a join file the media hold no secret, and another run over them writes them anew") {
  const Place place;
  for (int run = 0; run < 2; ++run) REQUIRE(place.media({}).exit.code == 0);
  CHECK_FALSE(fs::exists(place.folder / "media/join.toml"));
  const auto seed = content_of(place.folder / "media/user-data");
  CHECK(json::parse(seed.substr(seed.find('\n'))).at("write_files").size() == 1);
}

TEST_CASE("a join file that is none, or whose time is over, goes onto no media") {
  const Place place;
  static_cast<void>(place.join_file(1'700'000'000));
  const auto over = place.media({"--join-file", (place.folder / "join.toml").string()});
  CHECK(over.exit.code == 2);
  CHECK(over.err.contains("expired at 2023-11-14"));
  place.put("join.toml", "cluster = 1\n");
  CHECK(place.media({"--join-file", (place.folder / "join.toml").string()}).exit.code == 2);
  CHECK(place.media({"--join-file", "/nonexistent/join.toml"}).exit.code == 2);
  CHECK_FALSE(fs::exists(place.folder / "media"));
}
