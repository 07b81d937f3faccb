#include <cstdlib>

#include "core/os/process/process.hpp"
#include "images/lock.hpp"
#include "tests/unit/images/fixture.hpp"

using namespace cloudos;
using namespace cloudos::test;

namespace {

constexpr std::string_view go_recipe = R"(schema = 1
name = "sample"
version = "1.0.0"
platform = "linux/amd64"
created = "2026-01-02T03:04:05Z"
min_installer = "0.1.0"
zstd_level = 1
[go.tool]
module = "example.com/tool"
version = "v1.0.0"
ldflags = ["-X main.version=one"]
remove = ["broken"]
remove_lines = [{ file = "main.go", containing = 'tool/broken"' }]
programs = { tool = "." }
[go.parts]
module = "example.com/parts"
version = "v1.0.0"
programs = { left = "./cmd/left", right = "./cmd/right" }
[[component]]
name = "tool"
version = "1.0"
licence = "MIT"
source = ""
files = [{ path = "bin/tool", from = "go:tool/tool" }, { path = "bin/left", from = "go:parts/left" }, { path = "bin/right", from = "go:parts/right" }]
)";

// A module proxy in a folder (https://go.dev/ref/mod#goproxy-protocol) with two modules: one that does not compile unless a
// part of it is left out, and one whose go.mod replaces a module by a folder that is not in its zip.
class Proxy {
 public:
  Proxy() {
    publish("hello from ");
    ::setenv("GOPROXY", ("file://" + (folder.path() / "proxy").string()).c_str(), 1);
    ::setenv("GONOSUMDB", "*", 1);
    forget_downloads();
    put(folder.path() / "recipe.toml", go_recipe);
  }
  void publish(std::string_view greeting) const {
    fs::remove_all(folder.path() / "tool");
    put(folder.path() / "tool/go.mod", "module example.com/tool\n\ngo 1.24\n");
    put(folder.path() / "tool/main.go", std::format("package main\n\nimport (\n\t\"fmt\"\n\t_ \"example.com/tool/broken\"\n)\n\nvar "
                                                    "version = \"none\"\n\nfunc main() {{ fmt.Println(\"{}\" + version) }}\n",
                                                    greeting));
    put(folder.path() / "tool/broken/broken.go", "package broken\n\nvar x = undefined\n");
    zip("tool");
    fs::remove_all(folder.path() / "parts");
    put(folder.path() / "parts/go.mod", "module example.com/parts\n\ngo 1.24\n\nreplace example.com/gone => ./gone\n");
    for (const auto* name : {"left", "right"})
      put(folder.path() / "parts/cmd" / name / "main.go", std::format("package main\n\nfunc main() {{ println(\"{}\") }}\n", name));
    zip("parts");
  }
  void forget_downloads() {
    ++caches_;
    ::setenv("GOMODCACHE", (folder.path() / std::format("modules{}", caches_)).c_str(), 1);
    ::setenv("GOFLAGS", "-modcacherw", 1);
  }
  [[nodiscard]] images::BuildOptions options(const char* cache = "cache") const {
    return {.recipe = folder.path() / "recipe.toml",
            .output = folder.path() / "x.bundle",
            .cache = folder.path() / cache,
            .key = signer().secret_file};
  }
  TemporaryFolder folder;

 private:
  void zip(const std::string& name) const {
    const auto from = (folder.path() / name).string();
    const auto to = folder.path() / "proxy/example.com" / name / "@v";
    put(to / "list", "v1.0.0\n");
    put(to / "v1.0.0.info", R"({"Version":"v1.0.0","Time":"2026-01-01T00:00:00Z"})");
    put(to / "v1.0.0.mod", os::read(folder.path() / name / "go.mod").value());
    REQUIRE(os::must({"git", "-C", from, "init", "-q"}));
    REQUIRE(os::must({"git", "-C", from, "add", "."}));
    REQUIRE(os::must({"git", "-C", from, "-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-q", "-m", "x"}));
    REQUIRE(os::must({"git", "-C", from, "archive", "--format=zip", std::format("--prefix=example.com/{}@v1.0.0/", name), "-o",
                      (to / "v1.0.0.zip").string(), "HEAD"}));
  }
  int caches_ = 0;
};

std::string output_of(const fs::path& bundle_file, const char* program) {
  const TemporaryFolder folder;
  const auto bundle = open_with(bundle_file).value();
  const auto& file = *bundle.index().file(program);
  std::string bytes;
  REQUIRE(os::zstd_expand(bundle.blob(file.digest).value(), into(bytes), file.content_size));
  REQUIRE(os::write_atomic(folder.path() / "x", bytes, 0755));
  const auto said = os::capture({(folder.path() / "x").string()}).value();
  return said.out + said.err;
}

}  // namespace

TEST_CASE("programs are built from their modules, with the recipe's flags and without what it leaves out") {
  Proxy proxy;
  const auto report = images::build_bundle(proxy.options());
  REQUIRE(report);
  CHECK(report->lock_written);
  CHECK(output_of(proxy.folder.path() / "x.bundle", "bin/tool") == "hello from one\n");
  CHECK(output_of(proxy.folder.path() / "x.bundle", "bin/right") == "right\n");

  SECTION("again without the proxy: nothing is built and nothing is asked for") {
    proxy.forget_downloads();
    fs::remove_all(proxy.folder.path() / "proxy");
    const auto again = images::build_bundle(proxy.options());
    REQUIRE(again);
    CHECK(again->made == 0);
    CHECK(again->digest == report->digest);
  }
  SECTION("again from nothing: the same bytes") {
    proxy.forget_downloads();
    CHECK(images::build_bundle(proxy.options("other cache")).value().digest == report->digest);
  }
  SECTION("a module that was published again with other bytes is refused") {
    proxy.publish("hello from somebody else, ");
    proxy.forget_downloads();
    const auto again = images::build_bundle(proxy.options("other cache"));
    REQUIRE_FALSE(again);
    CHECK(again.error().kind == ErrorKind::trust);
    CHECK(again.error().message.contains("example.com/tool@v1.0.0"));
    CHECK(again.error().message.contains("is locked"));
  }
  SECTION("a recipe that wants another version than the lock is refused before anything is built") {
    auto text = std::string(go_recipe);
    text.replace(text.find("v1.0.0"), 6, "v1.0.1");
    put(proxy.folder.path() / "recipe.toml", text);
    const auto again = images::build_bundle(proxy.options());
    REQUIRE_FALSE(again);
    CHECK(again.error().kind == ErrorKind::refused);
    CHECK(again.error().message.contains("go.tool is locked at example.com/tool v1.0.0"));
    CHECK(again.error().hint.contains("--update-lock"));
  }
  SECTION("a program that comes out otherwise than it is locked is refused, unless the lock is updated") {
    auto text = std::string(go_recipe);
    text.replace(text.find("=one"), 4, "=two");
    put(proxy.folder.path() / "recipe.toml", text);
    const auto again = images::build_bundle(proxy.options());
    REQUIRE_FALSE(again);
    CHECK(again.error().kind == ErrorKind::trust);
    auto options = proxy.options();
    options.update_lock = true;
    CHECK(images::build_bundle(options).value().lock_written);
    CHECK(output_of(proxy.folder.path() / "x.bundle", "bin/tool") == "hello from two\n");
    CHECK(images::build_bundle(proxy.options()));
  }
}

TEST_CASE("what the compiler says reaches the person who builds") {
  Proxy proxy;
  auto text = std::string(go_recipe);
  text.erase(text.find("remove = "), text.find("programs = ") - text.find("remove = "));
  put(proxy.folder.path() / "recipe.toml", text);
  const auto report = images::build_bundle(proxy.options());
  REQUIRE_FALSE(report);
  CHECK(report.error().text().contains("undefined: undefined"));
  CHECK(report.error().text().contains("building example.com/tool v1.0.0"));
}

TEST_CASE("a part or a line to leave out that is not there is an error, so that a new version is looked at") {
  Proxy proxy;
  auto text = std::string(go_recipe);
  text.replace(text.find("\"broken\""), 8, "\"borken\"");
  put(proxy.folder.path() / "recipe.toml", text);
  const auto report = images::build_bundle(proxy.options());
  REQUIRE_FALSE(report);
  CHECK(report.error().message.contains("has no 'borken' to remove"));
}
