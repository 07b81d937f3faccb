// core/os/crypto: digests, signatures, randomness and compression: OpenSSL's libcrypto and libzstd behind values. Nothing
// here invents cryptography. Key files have minisign's format (https://jedisct1.github.io/minisign/, "File formats").
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/argv.hpp"
#include "core/base/secret.hpp"
#include "core/base/units.hpp"

namespace cloudos::os {

// SHA-256, fed piece by piece.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  void update(std::span<const std::byte> bytes);
  void update(std::string_view text) { update(std::as_bytes(std::span(text))); }
  // Ends the sum; the object may only be destroyed or assigned afterwards.
  [[nodiscard]] Digest finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};
[[nodiscard]] Digest sha256(std::string_view text);
// The digest of a file and its size, streamed.
struct FileDigest {
  Digest digest;
  Bytes size;
};
[[nodiscard]] Result<FileDigest> sha256_file(const std::string& path);

// Cryptographically strong random bytes, and as 2n hex digits.
[[nodiscard]] std::string random_bytes(std::size_t n);
[[nodiscard]] std::string random_hex(std::size_t n);
// n characters out of [a-z0-9], without modulo bias (a kubeadm bootstrap token's alphabet).
[[nodiscard]] std::string random_base36(std::size_t n);

// RFC 4648, section 4, with padding.
[[nodiscard]] std::string base64(std::string_view raw);
// Back again; nothing but the one spelling that base64() gives. Errors: input.
[[nodiscard]] Result<std::string> unbase64(std::string_view text);

// --- minisign ---
// Ed25519 over BLAKE2b-512 of the content (algorithm "ED"); the legacy "Ed" is refused.
struct PublicKey {
  std::array<unsigned char, 8> id{};
  std::array<unsigned char, 32> key{};
  bool operator==(const PublicKey&) const = default;
  [[nodiscard]] std::string id_hex() const;  // as minisign prints it
};
// The text of a minisign .pub file (or its bare second line). Errors: input.
[[nodiscard]] Result<PublicKey> parse_public_key(std::string_view text);
[[nodiscard]] std::string format(const PublicKey& key);
struct KeyPair {
  PublicKey public_key;
  Secret secret_file;  // the text of an unencrypted minisign secret key file (made with `minisign -G -W`)
};
[[nodiscard]] Result<KeyPair> generate_key();
// Signs and gives the text of a .minisig file. Deterministic: same key, content and trusted comment give the same bytes.
[[nodiscard]] Result<std::string> sign(const Secret& secret_file, std::string_view content, std::string_view trusted_comment);
// The trusted comment when the signature and the comment's own hold under one of the keys. Errors: trust (says which key
// signed and which were tried), input (not a signature file).
[[nodiscard]] Result<std::string> verify(std::span<const PublicKey> keys, std::string_view content, std::string_view minisig);

// --- certificates ---
// SHA-256 of a PEM certificate's SubjectPublicKeyInfo, as kubeadm's discovery-token-ca-cert-hash: "sha256:<hex>".
[[nodiscard]] Result<std::string> spki_hash(std::string_view certificate_pem);
// notAfter of a PEM certificate in seconds since the epoch.
[[nodiscard]] Result<std::int64_t> expiry(std::string_view certificate_pem);
// A certificate (chain) and its key, PEM.
struct Identity {
  std::string certificate;
  Secret key;
};
// A self-signed one (ECDSA P-256, ten years, for server authentication) in the name and addresses given. Errors: input.
[[nodiscard]] Result<Identity> make_identity(const std::string& name, const std::vector<std::string>& addresses);
// What a PEM certificate request (PKCS #10, RFC 2986) asks for. It is signed by the key that it is about.
struct CertificateRequest {
  std::vector<std::string> common_names, organisations;  // UTF-8
  bool other_names = false;                              // the subject says more than these, or there are alternative names
};
// Errors: input (not one, or its own signature does not hold).
[[nodiscard]] Result<CertificateRequest> parse_certificate_request(std::string_view pem);

// --- zstd ---
// Compresses or expands while streaming. `threads` 0: in the caller. Output of the same input, level and library version
// is the same whatever the number of threads only if all use >= 1; pass 1 for deterministic bytes.
[[nodiscard]] Status zstd_compress(const ByteSource& in, const ByteSink& out, int level, int threads);
// "1.5.7": other versions may give other bytes for the same input.
[[nodiscard]] std::string zstd_version();
// `limit`: the most bytes that may come out; more is ErrorKind::trust (a bomb). Errors: input (not zstd, truncated).
[[nodiscard]] Status zstd_expand(const ByteSource& in, const ByteSink& out, Bytes limit);

}  // namespace cloudos::os
