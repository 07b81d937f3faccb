#include <algorithm>
#include <cstdint>
#include <format>

#include <openssl/crypto.h>

#include "core/base/text.hpp"
#include "core/os/crypto/crypto.hpp"
#include "core/os/crypto/owned.hpp"

// The formats: https://jedisct1.github.io/minisign/, "File formats", and for the unencrypted secret key minisign's own
// files (`minisign -G -W`): KDF algorithm 0 0; salt, limits and checksum zero.

namespace cloudos::os {

namespace {

constexpr std::string_view untrusted_prefix = "untrusted comment: ";
constexpr std::string_view trusted_prefix = "trusted comment: ";
constexpr std::string_view key_algorithm = "Ed";
constexpr std::string_view hashed_algorithm = "ED";
constexpr std::string_view checksum_algorithm = "B2";
constexpr std::size_t id_size = 8, seed_size = 32, public_size = 32, secret_size = seed_size + public_size, signature_size = 64,
                      checksum_size = 32;
constexpr std::size_t id_at = 2 + 2 + 2 + 32 + 8 + 8;  // after the three algorithms, the salt and the two limits
constexpr std::size_t secret_file_size = id_at + id_size + secret_size + checksum_size;
constexpr std::size_t most_comment = 8192;  // minisign's TRUSTEDCOMMENTMAXBYTES

// The lines of a file; a final newline or carriage returns make no line of their own.
std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const auto end = text.find('\n');
    auto line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.push_back(line);
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
  }
  while (!lines.empty() && lines.back().empty()) lines.pop_back();
  return lines;
}

std::string id_text(std::string_view id) {
  std::uint64_t number = 0;
  for (std::size_t i = id_size; i-- > 0;) number = number << 8U | static_cast<unsigned char>(id[i]);
  return std::format("{:016X}", number);
}

PublicKey make_public(std::string_view id, std::string_view key) {
  PublicKey out;
  std::ranges::copy(id.substr(0, id_size), out.id.begin());
  std::ranges::copy(key.substr(0, public_size), out.key.begin());
  return out;
}

std::string text_of(std::span<const unsigned char> raw) { return {raw.begin(), raw.end()}; }

// What a secret key file holds. Wiped with the strings that it is cut from.
struct SecretKey {
  std::string id;
  Secret seed_and_public;
};

Result<std::string> public_of(std::string_view seed) {
  const detail::Key handle(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, detail::bytes(seed), seed_size));
  std::string out(public_size, '\0');
  std::size_t size = out.size();
  if (!handle || EVP_PKEY_get_raw_public_key(handle.get(), detail::bytes(out), &size) != 1) {
    return fail(ErrorKind::failed, "libcrypto could not derive an Ed25519 key");
  }
  return out;
}

Result<SecretKey> parse_secret(const Secret& file) {
  const auto lines = lines_of(file.reveal());
  if (lines.size() != 2 || !lines[0].starts_with(untrusted_prefix)) {
    return fail(ErrorKind::input,
                "not a minisign secret key file: two lines are expected, the first starting with \"untrusted comment: \"");
  }
  CLOUDOS_ASSIGN(std::string raw, detail::unbase64(lines[1], secret_file_size, "the secret key"));
  const Secret whole(raw);
  OPENSSL_cleanse(raw.data(), raw.size());
  const auto view = whole.reveal();
  if (view.substr(0, 2) != key_algorithm) return fail(ErrorKind::input, "the secret key is not an Ed25519 key");
  if (view.substr(2, 2) != std::string_view("\0\0", 2)) {
    return fail(ErrorKind::input, "the secret key is protected by a passphrase",
                "make an unencrypted one: cloudos bundle keygen, or minisign -G -W");
  }
  const auto id = view.substr(id_at, id_size);
  const auto key = view.substr(id_at + id_size, secret_size);
  // Files without a passphrase carry no checksum: what tells damage is that the two halves belong together.
  CLOUDOS_ASSIGN(const std::string derived, public_of(key.substr(0, seed_size)));
  if (derived != key.substr(seed_size)) return fail(ErrorKind::input, "the secret key file is damaged: its public half does not fit");
  return SecretKey{.id = std::string(id), .seed_and_public = Secret(std::string(key))};
}

Result<std::string> ed25519_sign(const SecretKey& key, std::string_view message) {
  const detail::Key handle(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, detail::bytes(key.seed_and_public.reveal()), 32));
  const detail::MdContext context(EVP_MD_CTX_new());
  std::string signature(signature_size, '\0');
  std::size_t size = signature.size();
  if (!handle || !context || EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, handle.get()) != 1 ||
      EVP_DigestSign(context.get(), detail::bytes(signature), &size, detail::bytes(message), message.size()) != 1 ||
      size != signature_size) {
    return fail(ErrorKind::failed, "libcrypto could not sign");
  }
  return signature;
}

bool ed25519_holds(const PublicKey& key, std::string_view message, std::string_view signature) {
  const detail::Key handle(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, key.key.data(), key.key.size()));
  const detail::MdContext context(EVP_MD_CTX_new());
  return handle && context && EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, handle.get()) == 1 &&
         EVP_DigestVerify(context.get(), detail::bytes(signature), signature.size(), detail::bytes(message), message.size()) == 1;
}

std::string ids_of(std::span<const PublicKey> keys) {
  std::vector<std::string> ids;
  for (const auto& key : keys) ids.push_back(key.id_hex());
  return ids.empty() ? "none" : join(ids, ", ");
}

// The parts of a .minisig file.
struct Signature {
  std::string id;
  std::string over_content;
  std::string trusted_comment;
  std::string over_comment;
};

Result<Signature> parse_signature(std::string_view minisig) {
  const auto lines = lines_of(minisig);
  if (lines.size() != 4 || !lines[0].starts_with(untrusted_prefix) || !lines[2].starts_with(trusted_prefix)) {
    return fail(ErrorKind::input, "not a minisign signature file: four lines are expected, two comments and two signatures");
  }
  CLOUDOS_ASSIGN(const std::string first, detail::unbase64(lines[1], 2 + id_size + signature_size, "the signature"));
  if (first.starts_with(key_algorithm)) {
    return fail(ErrorKind::trust, "the signature is of the legacy kind \"Ed\", which is not accepted",
                "sign again with minisign 0.8 or newer, without -l");
  }
  if (!first.starts_with(hashed_algorithm)) return fail(ErrorKind::input, "the signature has an unknown algorithm");
  CLOUDOS_ASSIGN(std::string second, detail::unbase64(lines[3], signature_size, "the trusted comment's signature"));
  return Signature{.id = first.substr(2, id_size),
                   .over_content = first.substr(2 + id_size),
                   .trusted_comment = std::string(lines[2].substr(trusted_prefix.size())),
                   .over_comment = std::move(second)};
}

}  // namespace

std::string PublicKey::id_hex() const { return id_text(text_of(id)); }

Result<PublicKey> parse_public_key(std::string_view text) {
  const auto lines = lines_of(text);
  const bool bare = lines.size() == 1;
  if (!bare && (lines.size() != 2 || !lines[0].starts_with(untrusted_prefix))) {
    return fail(ErrorKind::input, "not a minisign public key: \"untrusted comment: …\" and a line of base64 are expected");
  }
  CLOUDOS_ASSIGN(const std::string raw, detail::unbase64(lines.back(), 2 + id_size + public_size, "the public key"));
  if (!raw.starts_with(key_algorithm)) return fail(ErrorKind::input, "the public key is not an Ed25519 key of minisign");
  return make_public(std::string_view(raw).substr(2), std::string_view(raw).substr(2 + id_size));
}

std::string format(const PublicKey& key) {
  return std::format("{}minisign public key {}\n{}\n", untrusted_prefix, key.id_hex(),
                     detail::base64(std::format("{}{}{}", key_algorithm, text_of(key.id), text_of(key.key))));
}

Result<KeyPair> generate_key() {
  const Secret seed(random_bytes(seed_size));
  CLOUDOS_ASSIGN(const std::string raw_public, public_of(seed.reveal()));
  const auto id = random_bytes(id_size);
  const auto nothing = [](std::size_t n) { return std::string(n, '\0'); };
  const Secret raw(std::format("{}{}{}{}{}{}{}{}", key_algorithm, nothing(2), checksum_algorithm, nothing(id_at - 6), id, seed.reveal(),
                               raw_public, nothing(checksum_size)));
  auto file = std::format("{}minisign secret key {}\n{}\n", untrusted_prefix, id_text(id), detail::base64(raw.reveal()));
  return KeyPair{.public_key = make_public(id, raw_public), .secret_file = Secret(std::move(file))};
}

Result<std::string> sign(const Secret& secret_file, std::string_view content, std::string_view trusted_comment) {
  if (trusted_comment.size() >= most_comment || trusted_comment.find_first_of("\r\n") != std::string_view::npos) {
    return fail(ErrorKind::input, std::format("a trusted comment is one line of less than {} bytes", most_comment));
  }
  CLOUDOS_ASSIGN(const SecretKey key, parse_secret(secret_file));
  CLOUDOS_ASSIGN(const std::string over_content, ed25519_sign(key, detail::blake2b(content, 64)));
  CLOUDOS_ASSIGN(const std::string over_comment, ed25519_sign(key, std::format("{}{}", over_content, trusted_comment)));
  return std::format("{}signature from minisign secret key\n{}\n{}{}\n{}\n", untrusted_prefix,
                     detail::base64(std::format("{}{}{}", hashed_algorithm, key.id, over_content)), trusted_prefix, trusted_comment,
                     detail::base64(over_comment));
}

Result<std::string> verify(std::span<const PublicKey> keys, std::string_view content, std::string_view minisig) {
  CLOUDOS_ASSIGN(Signature signature, parse_signature(minisig));
  const auto signer = id_text(signature.id);
  bool known = false;
  for (const auto& key : keys) {
    if (text_of(key.id) != signature.id) continue;
    known = true;
    if (!ed25519_holds(key, detail::blake2b(content, 64), signature.over_content)) continue;
    if (ed25519_holds(key, std::format("{}{}", signature.over_content, signature.trusted_comment), signature.over_comment)) {
      return std::move(signature.trusted_comment);
    }
    return fail(ErrorKind::trust, std::format("the trusted comment of the signature by key {} was changed", signer));
  }
  if (known) return fail(ErrorKind::trust, std::format("the signature by key {} does not hold: the content was changed", signer));
  return fail(ErrorKind::trust, std::format("signed by key {}, which is not trusted (trusted: {})", signer, ids_of(keys)),
              "get the signer's public key by a way you trust and name it with --key");
}

}  // namespace cloudos::os
