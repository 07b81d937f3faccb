#include <nlohmann/json.hpp>

#include "core/os/archive/archive.hpp"
#include "core/os/process/process.hpp"
#include "images/layer.hpp"
#include "tests/unit/images/fixture.hpp"

using namespace cloudos;
using namespace cloudos::test;
using Json = nlohmann::json;

namespace {

std::string bytes_of_file(const fs::path& file) { return os::read(file, std::size_t{1} << 30).value(); }

// The bundle unpacked by stock tar, an OCI image layout.
void unpack(const fs::path& bundle, const fs::path& to) {
  REQUIRE(os::make_folders(to));
  REQUIRE(os::must({"tar", "-xf", bundle.string(), "-C", to.string()}));
}

}  // namespace

TEST_CASE("the same recipe gives the same bytes, in another folder, with an empty cache and more threads") {
  const Sample one;
  const Sample two;
  REQUIRE(images::build_bundle(one.options()));
  auto options = two.options();
  options.jobs = 4;
  REQUIRE(images::build_bundle(options));
  CHECK(bytes_of_file(one.file()) == bytes_of_file(two.file()));
  CHECK(bytes_of_file(one.file().string() + ".spdx.json") == bytes_of_file(two.file().string() + ".spdx.json"));
}

TEST_CASE("a second build makes only what changed") {
  const Sample sample;
  const auto first = images::build_bundle(sample.options()).value();
  CHECK(first.cached == 0);
  const auto second = images::build_bundle(sample.options()).value();
  CHECK(second.made == 0);
  CHECK(second.digest == first.digest);
  put(sample.folder.path() / "agent.tar.gz", "a new agent");
  const auto third = images::build_bundle(sample.options()).value();
  CHECK(third.made == 1);
  CHECK(third.digest != first.digest);
  CHECK(third.index.images("addon")[0]->digest == first.index.images("addon")[0]->digest);
}

TEST_CASE("a build that failed in the middle leaves no bundle and goes on from what it had") {
  const Sample sample;
  fs::remove(sample.folder.path() / "net.yaml");
  auto options = sample.options();
  options.jobs = 1;
  const auto failed = images::build_bundle(options);
  REQUIRE_FALSE(failed);
  CHECK(failed.error().message.contains("net.yaml"));
  CHECK(failed.error().hint.contains("--set"));
  CHECK_FALSE(fs::exists(sample.file()));
  CHECK_FALSE(fs::exists(sample.file().string() + ".part"));
  put(sample.folder.path() / "net.yaml", "kind: Network\n");
  const auto done = images::build_bundle(options).value();
  CHECK(done.cached > 0);
  CHECK(open_with(sample.file()));
}

TEST_CASE("a build that is stopped writes nothing, and the same command goes on") {
  const Sample sample;
  std::stop_source stop;
  auto options = sample.options();
  options.jobs = 1;
  options.stop = stop.get_token();
  options.progress = [&](const images::BuildEvent& event) {
    if (event.kind == images::BuildEvent::Kind::made && event.done == 2) stop.request_stop();
  };
  const auto stopped = images::build_bundle(options);
  REQUIRE_FALSE(stopped);
  CHECK(stopped.error().kind == ErrorKind::cancelled);
  CHECK_FALSE(fs::exists(sample.file()));
  CHECK(images::build_bundle(sample.options()).value().cached == 2);
}

TEST_CASE("what was damaged in the cache never gets into a bundle") {
  const Sample sample;
  const auto first = images::build_bundle(sample.options()).value();
  const auto agent = first.index.file("agent/agent.tar.gz")->digest;
  auto bytes = noise(5U << 20, 9);
  bytes[100] ^= 1;
  put(sample.folder.path() / "cache" / "objects" / agent.hex(), bytes);
  fs::remove(sample.file());
  const auto second = images::build_bundle(sample.options());
  REQUIRE_FALSE(second);
  CHECK(second.error().message.contains(agent.hex()));
  CHECK_FALSE(fs::exists(sample.file()));
}

TEST_CASE("every blob is there once, documents first") {
  const auto index = sample_index();
  const auto one = *index.images("control-plane")[0];
  const auto two = *index.images("addon")[0];
  REQUIRE(one.layers.size() == 2);
  REQUIRE(two.layers.size() == 1);
  CHECK(one.layers[0] == two.layers[0]);
  for (const auto& document : {one.digest, one.config, two.digest, two.config})
    for (const auto& content : {one.layers[0], one.layers[1], index.file("bin/program")->digest})
      CHECK(index.blobs.at(document.hex()).offset < index.blobs.at(content.hex()).offset);
}

TEST_CASE("stock minisign verifies a bundle's index") {
  const TemporaryFolder folder;
  put(folder.path() / "x", sample_bytes());
  put(folder.path() / "key.pub", os::format(signer().public_key));
  unpack(folder.path() / "x", folder.path() / "layout");
  const auto said =
      os::capture({"minisign", "-V", "-p", (folder.path() / "key.pub").string(), "-m", (folder.path() / "layout/bundle.json").string()})
          .value();
  CHECK(said.exit.ok());
  put(folder.path() / "layout/bundle.json", bytes_of_file(folder.path() / "layout/bundle.json") + " ");
  CHECK_FALSE(
      os::capture({"minisign", "-V", "-p", (folder.path() / "key.pub").string(), "-m", (folder.path() / "layout/bundle.json").string()})
          .value()
          .exit.ok());
}

TEST_CASE("stock skopeo reads the images of a bundle, as an archive and unpacked") {
  const TemporaryFolder folder;
  put(folder.path() / "x", sample_bytes());
  unpack(folder.path() / "x", folder.path() / "layout");
  for (const auto& source : {"oci-archive:" + (folder.path() / "x").string(), "oci:" + (folder.path() / "layout").string()}) {
    const auto text = os::must({"skopeo", "inspect", "--config", source + ":example.com/one:v1"});
    REQUIRE(text);
    const auto config = Json::parse(*text);
    CHECK(config["config"]["Entrypoint"] == Json::array({"/usr/bin/program"}));
    CHECK(config["rootfs"]["diff_ids"].size() == 2);
    CHECK(config["created"] == "2026-01-02T03:04:05Z");
  }
  // A copy unpacks and hashes each layer against its diff_id.
  CHECK(os::must({"skopeo", "copy", "-q", "--dest-decompress", "oci:" + (folder.path() / "layout").string() + ":example.com/one:v1",
                  "dir:" + (folder.path() / "out").string()}));
}

TEST_CASE("a layer holds what its recipe says, with parents, links and modes, owned by root") {
  const TemporaryFolder folder;
  put(folder.path() / "x", sample_bytes());
  const auto bundle = open_with(folder.path() / "x").value();
  std::string tar;
  REQUIRE(os::zstd_expand(bundle.blob(bundle.index().images("addon")[0]->layers[0]).value(), into(tar), 1_MiB));
  std::vector<std::string> seen;
  REQUIRE(os::read_tar(bytes_of(tar), [&](const os::Entry& entry, const ByteSource&) -> Status {
    CHECK(entry.uid + entry.gid == 0);
    seen.push_back(std::format("{} {:o}{}{}", entry.path, entry.mode, entry.target.empty() ? "" : " ", entry.target));
    return {};
  }));
  CHECK(seen == std::vector<std::string>{"bin 777 usr/bin", "etc/ 755", "etc/words 600", "tmp/ 1777"});
}

TEST_CASE("the bill of materials names every component with its licence") {
  const Sample sample;
  const auto report = images::build_bundle(sample.options()).value();
  const auto sbom = Json::parse(bytes_of_file(sample.file().string() + ".spdx.json"));
  CHECK(sbom["spdxVersion"] == "SPDX-2.3");
  CHECK(sbom["packages"][0]["checksums"][0]["checksumValue"] == report.digest.hex());
  CHECK(sbom["packages"][1]["name"] == "tools");
  CHECK(sbom["packages"][1]["licenseDeclared"] == "Apache-2.0");
}

TEST_CASE("files out of a Debian package land below /usr, without what is left out and without setuid") {
  const TemporaryFolder folder;
  const auto root = folder.path() / "root";
  put(root / "DEBIAN/control", "Package: sample\nVersion: 1\nArchitecture: all\nMaintainer: a <a@example.com>\nDescription: x\n");
  put(root / "sbin/tool", "tool");
  put(root / "usr/share/doc/sample/changelog", "changes");
  put(root / "usr/share/doc/sample/copyright", "free");
  fs::permissions(root / "sbin/tool", fs::perms(04755));
  REQUIRE(os::must({"dpkg-deb", "--root-owner-group", "--build", root.string(), (folder.path() / "sample.deb").string()}));
  const images::DebSource source{
      .name = "s", .packages = {"sample"}, .without = {}, .omit = {"usr/share/doc/*"}, .keep = {"usr/share/doc/*/copyright"}};
  images::Tree tree;
  REQUIRE(tree.add_deb(folder.path() / "sample.deb", source));
  std::string tar;
  REQUIRE(tree.write(into(tar)));
  std::map<std::string, unsigned> seen;
  REQUIRE(os::read_tar(bytes_of(tar), [&](const os::Entry& entry, const ByteSource&) -> Status {
    if (entry.kind == os::Entry::Kind::file) seen[entry.path] = entry.mode;
    return {};
  }));
  CHECK(seen == std::map<std::string, unsigned>{{"usr/sbin/tool", 0755}, {"usr/share/doc/sample/copyright", 0644}});
}
