#pragma once

#include <catch2/catch_test_macros.hpp>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "core/os/file/file.hpp"
#include "images/build.hpp"
#include "images/bundle.hpp"
#include "images/layout.hpp"
#include "images/write.hpp"
#include "tests/support/temporary_folder.hpp"

namespace cloudos::test {

namespace fs = std::filesystem;

inline void put(const fs::path& file, std::string_view text) { REQUIRE(os::write_atomic(file, text, 0644)); }

inline const os::KeyPair& signer() {
  static const auto pair = os::generate_key().value();
  return pair;
}

inline std::string noise(std::size_t size, unsigned seed) {
  std::string out(size, '\0');
  for (auto& byte : out) {
    seed = seed * 1664525U + 1013904223U;
    byte = static_cast<char>(seed >> 24U);
  }
  return out;
}

// A recipe of local files: a program of 9 MiB (three chunks), an archive, a manifest and two images that share a layer.
inline constexpr std::string_view recipe_text = R"(schema = 1
name = "sample"
version = "1.0.0"
platform = "linux/amd64"
created = "2026-01-02T03:04:05Z"
min_installer = "0.1.0"
zstd_level = 1
[variables]
agent = "agent.tar.gz"
[layer.base]
files = [{ path = "etc/words", from = "file:words", mode = 0o600 }]
[layer.base.links]
"bin" = "usr/bin"
[layer.base.folders]
"tmp" = 0o1777
[[component]]
name = "tools"
version = "1.0"
licence = "Apache-2.0"
source = "https://example.com/tools"
files = [{ path = "bin/program", from = "file:program" }, { path = "agent/agent.tar.gz", from = "file:${agent}", mode = 0o644, compress = false }]
manifests = [{ path = "net.yaml", from = "file:net.yaml" }]
[[component.image]]
ref = "example.com/one:v1"
phase = "control-plane"
layers = ["base"]
entrypoint = ["/usr/bin/program"]
files = [{ path = "usr/bin/program", from = "file:program" }]
[[component.image]]
ref = "example.com/two:v1"
phase = "addon"
layers = ["base"]
)";

class Sample {
 public:
  Sample() {
    put(folder.path() / "recipe.toml", recipe_text);
    put(folder.path() / "words", "words\n");
    put(folder.path() / "program", noise(9U << 20, 7));
    put(folder.path() / "agent.tar.gz", noise(5U << 20, 9));
    put(folder.path() / "net.yaml", "kind: Network\n");
  }
  [[nodiscard]] images::BuildOptions options() const {
    return {.recipe = folder.path() / "recipe.toml", .output = file(), .cache = folder.path() / "cache", .key = signer().secret_file};
  }
  [[nodiscard]] fs::path file() const { return folder.path() / "sample.bundle"; }
  TemporaryFolder folder;
};

// The sample's bundle, built once; each test works on a copy.
inline const std::string& sample_bytes() {
  static const std::string bytes = [] {
    const Sample sample;
    REQUIRE(images::build_bundle(sample.options()));
    return os::read(sample.file(), std::size_t{1} << 30).value();
  }();
  return bytes;
}

inline Result<images::Bundle> open_with(const fs::path& file, const os::PublicKey& key = signer().public_key) {
  const std::vector keys{key};
  return images::Bundle::open(file, {.keys = keys});
}

inline model::BundleIndex sample_index() {
  const TemporaryFolder folder;
  put(folder.path() / "x", sample_bytes());
  return open_with(folder.path() / "x").value().index();
}

// The message of the error that a bundle of these bytes is refused with, and its kind.
inline Error refusal(std::string_view bytes) {
  const TemporaryFolder folder;
  put(folder.path() / "x.bundle", bytes);
  const auto bundle = open_with(folder.path() / "x.bundle");
  REQUIRE_FALSE(bundle);
  CAPTURE(bundle.error().text());
  REQUIRE(bundle.error().text().contains("x.bundle"));
  return bundle.error();
}

}  // namespace cloudos::test
