#include "agent/store/store.hpp"

#include <catch2/catch_test_macros.hpp>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "core/os/crypto/crypto.hpp"

namespace fs = std::filesystem;
using namespace cloudos;
using store::Blob;

namespace {

struct Place {
  fs::path folder;
  Place() {
    std::string name = "/tmp/cloudos-store-XXXXXX";
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    folder = name;
  }
  ~Place() { fs::remove_all(folder); }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
};

std::string content_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

std::string header(const std::vector<Blob>& blobs) {
  std::string text = R"({"blobs":[)";
  for (const auto& b : blobs) {
    if (&b != &blobs.front()) text += ',';
    text += R"({"digest":")" + b.digest.hex() + R"(","size":)" + std::to_string(b.size) + R"(,"offset":)" + std::to_string(b.offset) + "}";
  }
  return text + "]}\n";
}

Blob blob_of(const std::string& content) { return {.digest = os::sha256(content), .size = content.size()}; }

auto count_into(int& n) {
  return [&n](const Digest&) -> Status {
    ++n;
    return {};
  };
}

}  // namespace

TEST_CASE("blobs that arrive whole are stored under their digests") {
  Place place;
  store::Store s(place.folder);
  const std::string a(3'000'000, 'a'), b = "second", empty;
  const std::vector<Blob> blobs{blob_of(a), blob_of(b), blob_of(empty)};
  CHECK(s.missing(blobs).size() == 3);
  int stored = 0;
  REQUIRE(s.receive(bytes_of(header(blobs) + a + b), count_into(stored)));
  CHECK(stored == 3);
  CHECK(content_of(s.path(os::sha256(a))) == a);
  CHECK(content_of(s.path(os::sha256(b))) == b);
  CHECK(s.missing(blobs).empty());
}

TEST_CASE("a transfer that was cut goes on where it stopped") {
  Place place;
  store::Store s(place.folder);
  const std::string content = "0123456789abcdef";
  auto blob = blob_of(content);
  int stored = 0;
  const auto cut = s.receive(bytes_of(header({blob}) + content.substr(0, 10)), count_into(stored));
  REQUIRE_FALSE(cut);
  CHECK(cut.error().kind == ErrorKind::network);
  CHECK(cut.error().retryable);
  const auto missing = s.missing({blob});
  REQUIRE(missing.size() == 1);
  CHECK(missing[0].offset == 10);
  REQUIRE(s.receive(bytes_of(header(missing) + content.substr(10)), count_into(stored)));
  CHECK(stored == 1);
  CHECK(content_of(s.path(blob.digest)) == content);
  CHECK_FALSE(fs::exists(s.path(blob.digest).string() + ".part"));
}

TEST_CASE("a blob whose bytes are not the signed ones is refused and its part is gone") {
  Place place;
  store::Store s(place.folder);
  auto blob = blob_of("what was signed");
  int stored = 0;
  const auto wrong = s.receive(bytes_of(header({blob}) + "what was forged"), count_into(stored));
  REQUIRE_FALSE(wrong);
  CHECK(wrong.error().kind == ErrorKind::trust);
  CHECK(wrong.error().message.contains(blob.digest.hex()));
  CHECK(stored == 0);
  CHECK_FALSE(s.has(blob.digest));
  CHECK(s.missing({blob}).at(0).offset == 0);
}

TEST_CASE("a header that is not one is an input error and writes nothing") {
  Place place;
  store::Store s(place.folder / "cas");
  int stored = 0;
  for (const auto* text : {"", "{", "[]\n", "{\"blobs\":3}\n", "{\"blobs\":[{\"digest\":\"xx\",\"size\":1}]}\n",
                           "{\"blobs\":[{\"size\":-1}]}\n", "{\"blobs\":[{\"digest\":\"../../etc/passwd\",\"size\":1}]}\n"}) {
    const auto bad = s.receive(bytes_of(text), count_into(stored));
    REQUIRE_FALSE(bad);
    CHECK(bad.error().kind == ErrorKind::input);
  }
  CHECK(stored == 0);
  CHECK_FALSE(fs::exists(place.folder / "cas"));
}

TEST_CASE("an offset that does not fit what is here is refused") {
  Place place;
  store::Store s(place.folder);
  auto blob = blob_of("0123456789");
  blob.offset = 4;
  int stored = 0;
  const auto bad = s.receive(bytes_of(header({blob}) + "456789"), count_into(stored));
  REQUIRE_FALSE(bad);
  CHECK(bad.error().kind == ErrorKind::conflict);
}
