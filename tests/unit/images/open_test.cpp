// What a bundle that came over an untrusted road may be: one promise a test, each refused with one clear error.
#include <fcntl.h>
#include <unistd.h>
#include <array>

#include "core/os/archive/archive.hpp"
#include "tests/unit/images/fixture.hpp"

using namespace cloudos;
using namespace cloudos::test;

namespace {

std::string sign(const model::BundleIndex& index, std::string_view json) {
  return os::sign(signer().secret_file, json, index.name).value();
}

// The sample with another index, signed by the trusted key: what a builder with a fault, or one that was led astray, makes.
std::string with_index(const std::function<void(model::BundleIndex&)>& change) {
  auto index = sample_index();
  change(index);
  const auto json = images::index_text(index);
  const auto minisig = sign(index, json);
  const auto layout = images::layout_of(json, minisig, index).value();
  std::string out;
  for (std::size_t i = 0; i < layout.fixed.size(); ++i) {
    out += layout.fixed[i].bytes;
    if (i < layout.blobs.size()) out.append(layout.blobs[i].size.count, 'x');
  }
  return out;
}

// The header block of the first blob, which starts the first entry below blobs/.
std::size_t first_blob_header() { return sample_bytes().find("blobs/sha256/"); }

// A tar header (ustar, pax(1)) with other content in some field and a checksum that holds.
std::string with_header(std::size_t at, const std::function<void(std::span<char>)>& change) {
  auto bytes = sample_bytes();
  const auto header = std::span(bytes).subspan(at, 512);
  change(header);
  std::fill_n(header.begin() + 148, 8, ' ');
  unsigned sum = 0;
  for (const char byte : header) sum += static_cast<unsigned char>(byte);
  const auto text = std::format("{:06o}", sum);
  std::copy(text.begin(), text.end(), header.begin() + 148);
  header[154] = '\0';
  return bytes;
}
void rename(std::span<char> header, std::string_view name) {
  std::fill_n(header.begin(), 100, '\0');
  std::copy(name.begin(), name.end(), header.begin());
}

}  // namespace

TEST_CASE("a bundle opens with the signer's key and gives back every file as it was") {
  const TemporaryFolder folder;
  put(folder.path() / "x", sample_bytes());
  const auto bundle = open_with(folder.path() / "x");
  REQUIRE(bundle);
  CHECK(bundle->trusted_comment() == "sample 1.0.0 linux/amd64 2026-01-02T03:04:05Z");
  CHECK(bundle->index().images("control-plane").size() == 1);
  const auto* agent = bundle->index().file("agent/agent.tar.gz");
  REQUIRE(agent != nullptr);
  CHECK(bundle->read(agent->digest).value() == noise(5U << 20, 9));
  const auto* program = bundle->index().file("bin/program");
  REQUIRE(program != nullptr);
  std::string expanded;
  REQUIRE(os::zstd_expand(bundle->blob(program->digest).value(), into(expanded), program->content_size));
  CHECK(expanded == noise(9U << 20, 7));
  CHECK(images::verify_all(*bundle));
}

TEST_CASE("a blob is read from any place on, across chunks") {
  const TemporaryFolder folder;
  put(folder.path() / "x", sample_bytes());
  const auto bundle = open_with(folder.path() / "x").value();
  const auto& agent = *bundle.index().file("agent/agent.tar.gz");
  const auto content = noise(5U << 20, 9);
  for (const std::uint64_t from : {std::uint64_t{1}, (std::uint64_t{4} << 20) - 1, std::uint64_t{4} << 20, std::uint64_t{5} << 20}) {
    const auto source = bundle.blob(agent.digest, from).value();
    std::string rest;
    const auto sink = into(rest);
    std::array<std::byte, 10'000> buffer{};
    while (true) {
      const auto n = source(buffer).value();
      if (n == 0) break;
      REQUIRE(sink(std::span(buffer).first(n)));
    }
    CHECK(rest == content.substr(from));
  }
  CHECK_FALSE(bundle.blob(agent.digest, (5U << 20) + 1));
}

TEST_CASE("a source of a blob outlives the bundle it came from") {
  const TemporaryFolder folder;
  put(folder.path() / "x", sample_bytes());
  const auto source = [&] {
    const auto bundle = open_with(folder.path() / "x").value();
    return bundle.blob(bundle.index().components[0].manifests[0].digest).value();
  }();
  std::array<std::byte, 64> buffer{};
  CHECK(source(buffer).value() == std::string_view("kind: Network\n").size());
}

TEST_CASE("an unsigned bundle is refused unless it is allowed by name") {
  const Sample sample;
  auto options = sample.options();
  options.key = {};
  REQUIRE(images::build_bundle(options));
  const auto refused = open_with(sample.file());
  REQUIRE_FALSE(refused);
  CHECK(refused.error().kind == ErrorKind::trust);
  CHECK(refused.error().text().contains("not signed"));
  CHECK(refused.error().hint.contains("--allow-unsigned"));
  const auto allowed = images::Bundle::open(sample.file(), {.allow_unsigned = true});
  REQUIRE(allowed);
  CHECK(images::verify_all(*allowed));
}

TEST_CASE("a bundle signed by another key is refused, and both keys are named") {
  const TemporaryFolder folder;
  put(folder.path() / "x", sample_bytes());
  const auto other = os::generate_key().value().public_key;
  const auto bundle = open_with(folder.path() / "x", other);
  REQUIRE_FALSE(bundle);
  CHECK(bundle.error().kind == ErrorKind::trust);
  CHECK(exit_status(bundle.error().kind) == 3);
  CHECK(bundle.error().text().contains(signer().public_key.id_hex()));
  CHECK(bundle.error().text().contains(other.id_hex()));
  SECTION("also where unsigned ones are allowed: a wrong signature is worse than none") {
    const std::vector keys{other};
    CHECK_FALSE(images::Bundle::open(folder.path() / "x", {.keys = keys, .allow_unsigned = true}));
  }
}

TEST_CASE("a bundle without any key to check it by is refused") {
  const TemporaryFolder folder;
  put(folder.path() / "x", sample_bytes());
  const auto bundle = images::Bundle::open(folder.path() / "x", {});
  REQUIRE_FALSE(bundle);
  CHECK(bundle.error().kind == ErrorKind::trust);
}

TEST_CASE("one changed byte of bundle.json breaks the signature") {
  auto bytes = sample_bytes();
  bytes[bytes.find("Apache-2.0")] = 'B';
  const auto error = refusal(bytes);
  CHECK(error.kind == ErrorKind::trust);
  CHECK(error.message.contains("does not hold"));
}

TEST_CASE("a file that is not a bundle is called so") {
  for (const auto* text : {"", "hello", "\x1f\x8b\x08 a gzip file"}) {
    const auto error = refusal(std::string(text) + std::string(2000, 'z'));
    CHECK(error.kind == ErrorKind::input);
    CHECK(error.message == "it is not a bundle");
  }
  const auto error = refusal("");
  CHECK(error.kind == ErrorKind::input);
}

TEST_CASE("another tar archive is not taken for a bundle") {
  std::string tar;
  os::TarWriter writer(into(tar));
  REQUIRE(writer.add("etc/passwd", "root"));
  REQUIRE(writer.finish());
  const auto error = refusal(tar);
  CHECK(error.kind == ErrorKind::trust);
  CHECK(error.message.contains("etc/passwd"));
}

TEST_CASE("a folder is not a bundle") {
  const TemporaryFolder folder;
  const auto bundle = open_with(folder.path());
  REQUIRE_FALSE(bundle);
  CHECK(bundle.error().kind == ErrorKind::input);
}

TEST_CASE("a truncated bundle is called truncated, wherever it ends") {
  const auto& bytes = sample_bytes();
  for (const auto size : {bytes.size() - 1, bytes.size() - 1024, bytes.size() / 2, first_blob_header() + 600}) {
    const auto error = refusal(bytes.substr(0, size));
    CHECK(error.kind == ErrorKind::input);
    CHECK(error.message.contains("truncated"));
    CHECK(error.hint == "copy it again");
  }
}

TEST_CASE("a schema of the future is refused as such") {
  auto json = model::encode_bundle_index(sample_index());
  json.replace(json.find("\"schema\":1"), 10, "\"schema\":9");
  std::string tar;
  os::TarWriter writer(into(tar));
  REQUIRE(writer.add("bundle.json", json));
  REQUIRE(writer.add("bundle.json.minisig", sign(sample_index(), json)));
  REQUIRE(writer.finish());
  const auto error = refusal(tar);
  CHECK(error.kind == ErrorKind::input);
  CHECK(error.message.contains("schema 9"));
}

TEST_CASE("a missing entry is noticed") {
  // The last blob and the end blocks make room for an end that comes too early.
  auto bytes = sample_bytes();
  const auto last_header = bytes.rfind("blobs/sha256/");
  bytes.resize(last_header);
  bytes.append(1024, '\0');
  const auto error = refusal(bytes);
  CHECK(error.kind == ErrorKind::trust);
  CHECK(error.message.contains("the end of the archive"));
}

TEST_CASE("an extra entry is noticed, before, between and after the blobs") {
  std::string extra;
  os::TarWriter writer(into(extra));
  REQUIRE(writer.add("evil", "evil"));
  const auto& bytes = sample_bytes();
  for (const auto at : {first_blob_header(), bytes.rfind("blobs/sha256/"), bytes.size() - 1024}) {
    const auto error = refusal(bytes.substr(0, at) + extra + bytes.substr(at));
    CHECK(error.kind == ErrorKind::trust);
    CHECK(error.message.contains("evil"));
  }
  const auto error = refusal(bytes + extra);
  CHECK(error.kind == ErrorKind::trust);
  CHECK(error.message.contains("follow the end of the archive"));
}

TEST_CASE("an entry of another size than the signed one is noticed") {
  const auto error = refusal(with_header(first_blob_header(), [](auto header) { header[134] = header[134] == '7' ? '6' : '7'; }));
  CHECK(error.kind == ErrorKind::trust);
}

TEST_CASE("an entry that would leave the folder is refused") {
  for (const auto* name : {"../../etc/passwd", "/etc/passwd", "blobs/../../x"}) {
    const auto at = sample_bytes().rfind("blobs/sha256/");
    const auto error = refusal(with_header(at, [&](auto header) { rename(header, name); }));
    CHECK(error.kind == ErrorKind::trust);
    CHECK(error.message.contains(name));
  }
}

TEST_CASE("links, devices and pipes in place of a blob are refused") {
  const auto at = sample_bytes().rfind("blobs/sha256/");
  for (const char type : {'1', '2', '3', '4', '6'}) {
    const auto error = refusal(with_header(at, [&](auto header) {
      header[156] = type;
      const std::string_view target = "/etc/shadow";
      std::copy(target.begin(), target.end(), header.begin() + 157);
    }));
    CHECK(error.kind == ErrorKind::trust);
  }
}

TEST_CASE("an index that claims to be huge is refused before it is read") {
  const auto error = refusal(with_header(0, [](auto header) {
    const std::string_view terabyte = "77777777777";
    std::copy(terabyte.begin(), terabyte.end(), header.begin() + 124);
  }));
  CHECK(error.kind == ErrorKind::trust);
  CHECK(error.message.contains("claims"));
}

TEST_CASE("a signed index with a path that leaves its folder is refused") {
  for (const auto* path : {"../bin/sh", "/bin/sh", "bin/./sh", "bin//sh", "bin/", "a\x1b[2Jb"}) {
    const auto error = refusal(with_index([&](auto& index) { index.components[0].files[0].path = path; }));
    CHECK(error.kind == ErrorKind::trust);
    CHECK(error.message.contains("would leave its folder"));
    CHECK_FALSE(error.message.contains('\x1b'));
  }
}

TEST_CASE("a signed index with a setuid file is refused") {
  const auto error = refusal(with_index([](auto& index) { index.components[0].files[0].mode = 04755; }));
  CHECK(error.kind == ErrorKind::trust);
  CHECK(error.message.contains("mode"));
}

TEST_CASE("a signed index that names a blob that is not there, or holds one that nothing names, is refused") {
  const auto unknown = os::sha256("nothing has this");
  const auto missing = refusal(with_index([&](auto& index) { index.components[0].manifests[0].digest = unknown; }));
  CHECK(missing.message.contains("names a blob that is missing"));
  const auto extra = refusal(with_index([&](auto& index) { index.components[0].manifests.clear(); }));
  CHECK(extra.kind == ErrorKind::trust);
  CHECK(extra.message.contains("belongs to nothing"));
}

TEST_CASE("a signed index whose blob is at a wrong offset is refused") {
  const auto error = refusal(with_index([](auto& index) {
    for (auto& [hex, blob] : index.blobs) blob.offset += blob.offset == 0 ? 0 : 512;
  }));
  CHECK(error.kind == ErrorKind::trust);
}

TEST_CASE("a delta is refused where a whole bundle is wanted") {
  const auto error = refusal(with_index([](auto& index) { index.base = os::sha256("base").hex(); }));
  CHECK(error.kind == ErrorKind::input);
  CHECK(error.message.contains("delta"));
}

TEST_CASE("one flipped byte in a blob names the blob and the chunk") {
  auto bytes = sample_bytes();
  const auto index = sample_index();
  const auto& agent = *index.file("agent/agent.tar.gz");
  const auto at = bytes.find(noise(5U << 20, 9).substr(0, 64));
  REQUIRE(at != std::string::npos);
  bytes[at + (4U << 20) + 17] ^= 1;
  const TemporaryFolder folder;
  put(folder.path() / "x", bytes);
  const auto bundle = open_with(folder.path() / "x");
  REQUIRE(bundle);
  const auto whole = images::verify_all(*bundle);
  REQUIRE_FALSE(whole);
  CHECK(whole.error().kind == ErrorKind::trust);
  CHECK(whole.error().message.contains(agent.digest.hex()));
  CHECK(whole.error().message.contains("chunk 1"));
  // What is before the damage is given out, nothing of the damaged chunk is.
  std::vector<std::byte> buffer(6U << 20);
  const auto source = bundle->blob(agent.digest).value();
  CHECK(source(buffer).value() == 4U << 20);
  CHECK_FALSE(source(buffer));
}

TEST_CASE("blobs beyond 2 and 4 GiB are found") {
  const TemporaryFolder folder;
  const std::string tail = "the last words";
  const auto hole = os::sha256("a name for five gibibytes of nothing");
  const auto small = os::sha256(tail);
  const auto zero_chunk = os::sha256(std::string(images::chunk_size, '\0'));
  model::BundleIndex index{.name = "big", .version = "1", .platform = "linux/amd64", .created = "2026-01-01T00:00:00Z"};
  index.blobs[hole.hex()] = {.size = 5_GiB, .chunks = std::vector(std::size_t{5} * 256, zero_chunk)};
  index.blobs[small.hex()] = {.size = {tail.size()}, .chunks = {small}};
  const auto file = [](const char* path, const Digest& digest, Bytes size) {
    return model::BundleFile{.path = path, .digest = digest, .stored = "raw", .content_digest = digest, .content_size = size};
  };
  index.components.push_back({.name = "c", .files = {file("a", hole, 5_GiB), file("b", small, {tail.size()})}});
  REQUIRE(images::place_blobs({hole, small}, index));
  const auto json = images::index_text(index);
  const auto minisig = sign(index, json);
  const auto layout = images::layout_of(json, minisig, index).value();
  {
    const auto fd = os::open(folder.path() / "x", O_WRONLY | O_CREAT).value();
    for (const auto& fixed : layout.fixed)
      REQUIRE(::pwrite(fd.get(), fixed.bytes.data(), fixed.bytes.size(), static_cast<off_t>(fixed.at)) ==
              static_cast<ssize_t>(fixed.bytes.size()));
    REQUIRE(::pwrite(fd.get(), tail.data(), tail.size(), static_cast<off_t>(layout.blobs[1].at)) == static_cast<ssize_t>(tail.size()));
  }
  const auto bundle = open_with(folder.path() / "x");
  REQUIRE(bundle);
  CHECK(bundle->read(small).value() == tail);
  std::array<std::byte, 100> buffer{};
  CHECK(bundle->blob(hole, (std::uint64_t{5} << 30) - 40).value()(buffer).value() == 40);
}
