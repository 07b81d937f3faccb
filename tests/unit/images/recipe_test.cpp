#include "images/recipe.hpp"
#include "images/lock.hpp"
#include "tests/unit/images/fixture.hpp"

using namespace cloudos;
using namespace cloudos::test;

namespace {

Result<images::Recipe> read(std::string_view text, const std::map<std::string, std::string>& variables = {}) {
  const TemporaryFolder folder;
  put(folder.path() / "r.toml", text);
  return images::read_recipe(folder.path() / "r.toml", variables);
}

std::string replaced(std::string_view from, std::string_view to) {
  std::string text(recipe_text);
  const auto at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

}  // namespace

TEST_CASE("the recipe that is shipped reads, and is locked") {
  const fs::path file = fs::path(CLOUDOS_SOURCE_DIR) / "images/kubernetes-1.37.toml";
  const auto recipe = images::read_recipe(file);
  REQUIRE(recipe);
  const auto lock = images::read_lock(images::lock_path(file));
  REQUIRE(lock);
  REQUIRE(lock->has_value());
  for (const auto& [name, go] : recipe->go) {
    REQUIRE((*lock)->go.contains(name));
    CHECK((*lock)->go.at(name).version == go.version);
    CHECK((*lock)->go.at(name).sum.starts_with("h1:"));
  }
  for (const auto& [name, deb] : recipe->deb) CHECK((*lock)->deb.at(name).request == images::request_of(deb));
  CHECK(os::read(images::lock_path(file)).value() == images::format(**lock));
}

TEST_CASE("files are found beside the recipe, variables replace what it says") {
  const TemporaryFolder folder;
  put(folder.path() / "r.toml", recipe_text);
  const auto recipe = images::read_recipe(folder.path() / "r.toml").value();
  CHECK(recipe.components[0].files[1].file.from.file == folder.path() / "agent.tar.gz");
  const auto other = images::read_recipe(folder.path() / "r.toml", {{"agent", "/elsewhere/agent"}}).value();
  CHECK(other.components[0].files[1].file.from.file == "/elsewhere/agent");
}

TEST_CASE("a variable that the recipe does not have is an error with the nearest name") {
  const auto recipe = read(recipe_text, {{"agnet", "x"}});
  REQUIRE_FALSE(recipe);
  CHECK(recipe.error().kind == ErrorKind::input);
  CHECK(recipe.error().message.contains("agnet"));
  CHECK(recipe.error().message.contains("'agent'"));
}

TEST_CASE("all mistakes of a recipe are told at once, each with its line and the nearest name") {
  auto text = replaced("licence = ", "license = ");
  text.replace(text.find("phase = \"addon\""), 15, "phase = \"adddon\"");
  text.replace(text.rfind("layers = [\"base\"]"), 17, "layers = [\"bse\"]");
  text.replace(text.find("zstd_level = 1"), 14, "zstd_level = 99");
  text.replace(text.find("\"etc/words\""), 11, "\"../words\"");
  const auto recipe = read(text);
  REQUIRE_FALSE(recipe);
  const auto message = recipe.error().message;
  CAPTURE(message);
  CHECK(recipe.error().kind == ErrorKind::input);
  CHECK(message.contains("unknown key 'license'; did you mean 'licence'?"));
  CHECK(message.contains("'licence' is missing"));
  CHECK(message.contains("expected control-plane, node or addon"));
  CHECK(message.contains("there is no layer 'bse'; did you mean 'base'?"));
  CHECK(message.contains("expected a number from 1 to 19, found 99"));
  CHECK(message.contains("'../words' is not a relative path"));
  CHECK(message.contains("r.toml:7:"));
}

TEST_CASE("a recipe with a broken line says where") {
  const auto recipe = read("schema = 1\nname = \"x\nversion = 2\n");
  REQUIRE_FALSE(recipe);
  CHECK(recipe.error().message.contains("r.toml:2:"));
}

TEST_CASE("values of a wrong kind are told with what was found") {
  const auto recipe = read(replaced("version = \"1.0.0\"", "version = 1"));
  REQUIRE_FALSE(recipe);
  CHECK(recipe.error().message.contains("version: expected a string, found a number"));
}

TEST_CASE("package names that would be flags of apt are refused") {
  const auto recipe = read(std::string(recipe_text) + "[deb.net]\npackages = [\"-oDir=/\", \"nftables\"]\n");
  REQUIRE_FALSE(recipe);
  CHECK(recipe.error().message.contains("'-oDir=/' is not the name of a Debian package"));
}

TEST_CASE("a program that a source does not build is named with the nearest one") {
  auto text = replaced("file:program", "go:tool/progam");
  text += "[go.tool]\nmodule = \"example.com/tool\"\nversion = \"v1\"\nprograms = { program = \".\" }\n";
  const auto recipe = read(text);
  REQUIRE_FALSE(recipe);
  CHECK(recipe.error().message.contains("there is no program of go.tool 'progam'; did you mean 'program'?"));
}

TEST_CASE("a schema of the future is refused") { CHECK_FALSE(read(replaced("schema = 1", "schema = 2"))); }

TEST_CASE("a lock file is written as it was read") {
  images::LockFile lock{.toolchain = "go1.99", .go = {}, .deb = {}};
  lock.go["tool"] = {
      .module = "example.com/tool", .version = "v1.2.3", .sum = "h1:abc=", .mod_sum = "h1:def=", .programs = {{"a", os::sha256("a")}}};
  lock.deb["net"] = {.request = {"nftables", "-perl"},
                     .packages = {{.name = "nftables", .version = "1:1.1-3", .architecture = "amd64", .digest = os::sha256("n")}}};
  const TemporaryFolder folder;
  put(folder.path() / "x.lock.toml", images::format(lock));
  CHECK(images::read_lock(folder.path() / "x.lock.toml").value() == lock);
  CHECK(images::read_lock(folder.path() / "none").value() == std::nullopt);
  put(folder.path() / "x.lock.toml",
      "schema = 1\n[go.a]\nmodule = \"m\"\nversion = \"v\"\nsum = \"s\"\nmod_sum = \"x\"\nprograms = { a = \"no digest\" }\n");
  CHECK_FALSE(images::read_lock(folder.path() / "x.lock.toml"));
}
