#include "core/os/crypto/crypto.hpp"

#include <catch2/catch_test_macros.hpp>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace cloudos;

namespace {

namespace fs = std::filesystem;

// A folder of this test's own.
struct Folder {
  fs::path path = fs::temp_directory_path() / ("cloudos-crypto-" + os::random_hex(8));
  Folder() { fs::create_directories(path); }
  ~Folder() { fs::remove_all(path); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] std::string write(const std::string& name, std::string_view text) const {
    std::ofstream(path / name, std::ios::binary) << text;
    return path / name;
  }
  [[nodiscard]] std::string read(const std::string& name) const {
    std::ostringstream out;
    out << std::ifstream(path / name, std::ios::binary).rdbuf();
    return out.str();
  }
};

// The stock minisign program's exit status.
int minisign(std::vector<std::string> words) {
  words.insert(words.begin(), "minisign");
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  pid_t pid = 0;
  REQUIRE(posix_spawnp(&pid, argv[0], nullptr, nullptr, argv.data(), environ) == 0);
  int status = 0;
  REQUIRE(waitpid(pid, &status, 0) == pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// Hands out the text in pieces of `step` bytes.
ByteSource in_pieces(std::string text, std::size_t step) {
  return [text = std::move(text), step, at = std::size_t{0}](std::span<std::byte> room) mutable -> Result<std::size_t> {
    const auto n = std::min({step, room.size(), text.size() - at});
    std::ranges::copy(std::as_bytes(std::span(text).subspan(at, n)), room.begin());
    at += n;
    return n;
  };
}

std::string pseudo_random(std::size_t n) {
  std::string out;
  for (std::uint32_t x = 1; out.size() < n;) {
    x = x * 1664525U + 1013904223U;
    out += static_cast<char>(x >> 24U);
    if ((x & 0x700U) == 0) out += "a phrase that returns ";
  }
  out.resize(n);
  return out;
}

constexpr std::string_view certificate = R"(-----BEGIN CERTIFICATE-----
MIIBgDCCASegAwIBAgIUHFKgZsNJUjS5xXzl2sXu0wbk9AMwCgYIKoZIzj0EAwIw
FTETMBEGA1UEAwwKa3ViZXJuZXRlczAgFw0yNjExMjMxOTU5MjZaGA8yMTI2MTAz
MDE5NTkyNlowFTETMBEGA1UEAwwKa3ViZXJuZXRlczBZMBMGByqGSM49AgEGCCqG
SM49AwEHA0IABKvULoMxKR8ui32it6oO4prTB8J0mLkI63mlKJZ8DKbORTMFyeQL
Xq6i95VANEIA6gjET42jrvFnRzpALL0l/CyjUzBRMB0GA1UdDgQWBBQOC1v+a9c8
fe6TY9pAjXCMUpNjnTAfBgNVHSMEGDAWgBQOC1v+a9c8fe6TY9pAjXCMUpNjnTAP
BgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0cAMEQCIGx2sk1ZRaQgoTyAq9bB
TVq0i8QV8snNtTKxvNuJNb0XAiAqGqWmcv3U0pI4g3JYn3UkDHHrilkbcMmvkazj
rxYI6A==
-----END CERTIFICATE-----
)";

}  // namespace

TEST_CASE("a digest is SHA-256 as FIPS 180-4 gives it, whole or in pieces, of text or of a file") {
  CHECK(os::sha256("").hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(os::sha256("abc").hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  os::Sha256 sum;
  sum.update("a");
  sum.update("bc");
  CHECK(sum.finish() == os::sha256("abc"));
  const Folder folder;
  const auto big = pseudo_random(700'001);
  const auto of_file = os::sha256_file(folder.write("big", big));
  REQUIRE(of_file);
  CHECK(of_file->digest == os::sha256(big));
  CHECK(of_file->size == Bytes{700'001});
  const auto absent = os::sha256_file(folder.path / "absent");
  REQUIRE_FALSE(absent);
  CHECK(absent.error().message.contains("absent"));
}

TEST_CASE("random text has the alphabet and length asked for and does not repeat") {
  CHECK(os::random_hex(8).size() == 16);
  CHECK(os::random_hex(16) != os::random_hex(16));
  const auto token = os::random_base36(4000);
  CHECK(token.size() == 4000);
  CHECK(token.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789") == std::string::npos);
  for (const char c : std::string_view("az09")) CHECK(token.contains(c));
}

TEST_CASE("minisign accepts what we sign, and sees a change") {
  const Folder folder;
  const auto pair = os::generate_key();
  REQUIRE(pair);
  const auto content = folder.write("bundle.json", "{\"schema\":1}\n");
  const auto signature = os::sign(pair->secret_file, folder.read("bundle.json"), "kubernetes 1.37.2");
  REQUIRE(signature);
  const auto file = folder.write("bundle.json.minisig", *signature);
  const auto key = folder.write("key.pub", os::format(pair->public_key));
  CHECK(minisign({"-V", "-q", "-H", "-p", key, "-m", content, "-x", file}) == 0);
  (void)folder.write("bundle.json", "{\"schema\":2}\n");
  CHECK(minisign({"-V", "-q", "-p", key, "-m", content, "-x", file}) == 1);
}

TEST_CASE("a key that we make signs with minisign too") {
  const Folder folder;
  const auto pair = os::generate_key();
  REQUIRE(pair);
  const auto content = folder.write("f", "content");
  const auto key = folder.write("key.sec", pair->secret_file.reveal());
  REQUIRE(minisign({"-S", "-q", "-s", key, "-m", content, "-x", folder.path / "f.minisig", "-t", "by minisign"}) == 0);
  const std::vector keys{pair->public_key};
  CHECK(os::verify(keys, "content", folder.read("f.minisig")).value_or("?") == "by minisign");
}

TEST_CASE("we accept minisign's keys and signatures") {
  const Folder folder;
  REQUIRE(minisign({"-G", "-W", "-f", "-p", folder.path / "key.pub", "-s", folder.path / "key.sec"}) == 0);
  const auto content = folder.write("f", "content");
  REQUIRE(minisign({"-S", "-q", "-s", folder.path / "key.sec", "-m", content, "-x", folder.path / "f.minisig", "-t", "theirs"}) == 0);
  const auto key = os::parse_public_key(folder.read("key.pub"));
  REQUIRE(key);
  CHECK(folder.read("key.pub").contains(key->id_hex()));
  CHECK(os::format(*key) == folder.read("key.pub"));
  CHECK(os::verify({&*key, 1}, "content", folder.read("f.minisig")).value_or("?") == "theirs");
  const auto ours = os::sign(Secret(folder.read("key.sec")), "content", "theirs");
  REQUIRE(ours);
  CHECK(*ours == folder.read("f.minisig"));

  REQUIRE(minisign({"-S", "-l", "-q", "-s", folder.path / "key.sec", "-m", content, "-x", folder.path / "legacy.minisig"}) == 0);
  const auto legacy = os::verify({&*key, 1}, "content", folder.read("legacy.minisig"));
  REQUIRE_FALSE(legacy);
  CHECK(legacy.error().kind == ErrorKind::trust);
}

TEST_CASE("a signature tells what does not hold: content, comment, or the signer") {
  const auto pair = os::generate_key();
  const auto other = os::generate_key();
  REQUIRE((pair && other));
  const auto signature = os::sign(pair->secret_file, "content", "version 1");
  REQUIRE(signature);
  CHECK(*signature == os::sign(pair->secret_file, "content", "version 1").value_or(""));
  const std::vector both{other->public_key, pair->public_key};
  CHECK(os::verify(both, "content", *signature).value_or("?") == "version 1");

  const auto changed = os::verify(both, "Content", *signature);
  REQUIRE_FALSE(changed);
  CHECK(changed.error().kind == ErrorKind::trust);
  CHECK(changed.error().message.contains("content was changed"));

  auto forged = *signature;
  forged.replace(forged.find("version 1"), 9, "version 2");
  const auto comment = os::verify(both, "content", forged);
  REQUIRE_FALSE(comment);
  CHECK(comment.error().message.contains("comment"));

  const auto stranger = os::verify({&other->public_key, 1}, "content", *signature);
  REQUIRE_FALSE(stranger);
  CHECK(stranger.error().kind == ErrorKind::trust);
  CHECK(stranger.error().message.contains(pair->public_key.id_hex()));
  CHECK(stranger.error().message.contains(other->public_key.id_hex()));
  CHECK_FALSE(os::verify({}, "content", *signature));
}

TEST_CASE("files that are not keys or signatures are refused as bad input") {
  const auto pair = os::generate_key();
  REQUIRE(pair);
  const std::vector keys{pair->public_key};
  const auto good = os::format(pair->public_key);
  CHECK(os::parse_public_key(good).value_or(os::PublicKey{}) == pair->public_key);
  CHECK(os::parse_public_key(good.substr(good.find('\n') + 1)).value_or(os::PublicKey{}) == pair->public_key);
  for (const auto& text :
       {std::string(), std::string("nonsense"), good + "more\n", good.substr(0, good.size() - 3), std::string(5000, 'A')}) {
    const auto parsed = os::parse_public_key(text);
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().kind == ErrorKind::input);
    const auto verified = os::verify(keys, "content", text);
    REQUIRE_FALSE(verified);
    CHECK(verified.error().kind == ErrorKind::input);
    CHECK_FALSE(os::sign(Secret(text), "content", ""));
  }
  CHECK_FALSE(os::sign(pair->secret_file, "content", "two\nlines"));
  auto damaged = std::string(pair->secret_file.reveal());
  auto& letter = damaged[damaged.find('\n') + 100];
  letter = letter == 'A' ? 'B' : 'A';
  const auto refused = os::sign(Secret(damaged), "content", "");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.contains("damaged"));
}

TEST_CASE("a CA is pinned by the hash that openssl and kubeadm compute") {
  CHECK(os::spki_hash(certificate).value_or("?") == "sha256:1b82d85473aa85e4c32e374a45eaa5872741178e332175390ae5aaa8f0dae723");
  CHECK(os::expiry(certificate).value_or(0) == 4949063966);
  CHECK_FALSE(os::spki_hash("nonsense"));
  CHECK_FALSE(os::expiry(certificate.substr(0, 200)));
}

TEST_CASE("zstd gives back what went in, the same bytes each time") {
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{3'000'000}}) {
    const auto content = pseudo_random(size);
    std::string once;
    std::string again;
    REQUIRE(os::zstd_compress(in_pieces(content, 70'000), into(once), 3, 1));
    REQUIRE(os::zstd_compress(in_pieces(content, 1000), into(again), 3, 2));
    CHECK(once == again);
    std::string back;
    REQUIRE(os::zstd_expand(in_pieces(once, 999), into(back), Bytes{size}));
    CHECK(back == content);
  }
}

TEST_CASE("zstd refuses bombs, damage and truncation") {
  std::string bomb;
  REQUIRE(os::zstd_compress(in_pieces(std::string(10'000'000, '\0'), 1U << 20U), into(bomb), 19, 0));
  const auto boom = os::zstd_expand(in_pieces(bomb, 1000), discard(), Bytes{9'999'999});
  REQUIRE_FALSE(boom);
  CHECK(boom.error().kind == ErrorKind::trust);

  std::string packed;
  REQUIRE(os::zstd_compress(in_pieces(pseudo_random(100'000), 5000), into(packed), 3, 0));
  const auto cut = os::zstd_expand(in_pieces(packed.substr(0, packed.size() - 1), 1000), discard(), 1_MiB);
  REQUIRE_FALSE(cut);
  CHECK(cut.error().kind == ErrorKind::input);
  packed[packed.size() / 2] = static_cast<char>(packed[packed.size() / 2] ^ 1);
  CHECK_FALSE(os::zstd_expand(in_pieces(packed, 1000), discard(), 1_MiB));
  CHECK_FALSE(os::zstd_expand(bytes_of("plain text"), discard(), 1_MiB));
}

TEST_CASE("compression stops at once when its reader fails") {
  const ByteSink full = [](std::span<const std::byte>) -> Status { return fail(ErrorKind::io, "no space"); };
  const auto status = os::zstd_compress(in_pieces(pseudo_random(100'000), 5000), full, 3, 1);
  REQUIRE_FALSE(status);
  CHECK(status.error().message == "no space");
}

TEST_CASE("base64 is read back in its one spelling only") {
  for (const auto* text : {"", "a", "ab", "abc", "abcd"}) CHECK(os::unbase64(os::base64(text)) == text);
  for (const auto* wrong : {"YQ", "YQ=", "YR==", "YQ===", "=", "==", "====", "Y Q=", "YQ==\n", "*a=="}) {
    CAPTURE(wrong);
    CHECK_FALSE(os::unbase64(wrong));
  }
}
