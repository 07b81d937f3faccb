#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <format>

#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include "core/os/crypto/crypto.hpp"
#include "core/os/crypto/owned.hpp"

namespace cloudos::os {

namespace {

std::string hex(std::string_view raw) {
  static constexpr std::string_view digits = "0123456789abcdef";
  std::string out;
  out.reserve(raw.size() * 2);
  for (const char c : raw) {
    const auto byte = static_cast<unsigned char>(c);
    out += digits[byte >> 4U];
    out += digits[byte & 15U];
  }
  return out;
}

}  // namespace

struct Sha256::State {
  detail::MdContext context{EVP_MD_CTX_new()};
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  detail::must(state_->context && EVP_DigestInit_ex2(state_->context.get(), EVP_sha256(), nullptr) == 1);
}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(std::span<const std::byte> bytes) {
  detail::must(EVP_DigestUpdate(state_->context.get(), bytes.data(), bytes.size()) == 1);
}

Digest Sha256::finish() {
  std::string raw(32, '\0');
  detail::must(EVP_DigestFinal_ex(state_->context.get(), detail::bytes(raw), nullptr) == 1);
  return Digest::parse(hex(raw)).value_or(Digest{});
}

Digest sha256(std::string_view text) {
  Sha256 sum;
  sum.update(text);
  return sum.finish();
}

Result<FileDigest> sha256_file(const std::string& path) {
  struct Close {
    void operator()(std::FILE* f) const { std::fclose(f); }
  };
  const std::unique_ptr<std::FILE, Close> file(std::fopen(path.c_str(), "rbe"));
  if (!file) return fail_errno("open " + path, errno);
  Sha256 sum;
  Bytes size;
  std::vector<std::byte> buffer(256U << 10U);
  while (std::feof(file.get()) == 0 && std::ferror(file.get()) == 0) {
    const auto n = std::fread(buffer.data(), 1, buffer.size(), file.get());
    sum.update(std::span(buffer).first(n));
    size.count += n;
  }
  if (std::ferror(file.get()) != 0) return fail_errno("read " + path, errno);
  return FileDigest{.digest = sum.finish(), .size = size};
}

std::string random_bytes(std::size_t n) {
  std::string out(n, '\0');
  if (n > 0) detail::must(RAND_bytes_ex(nullptr, detail::bytes(out), n, 0) == 1);
  return out;
}

std::string random_hex(std::size_t n) { return hex(random_bytes(n)); }

std::string random_base36(std::size_t n) {
  static constexpr std::string_view alphabet = "abcdefghijklmnopqrstuvwxyz0123456789";
  std::string out;
  while (out.size() < n) {
    for (const char c : random_bytes(n - out.size())) {
      // 252 is the largest multiple of 36 in a byte: what is above would make the first letters likelier.
      const auto byte = static_cast<unsigned char>(c);
      if (byte < 252) out += alphabet[byte % alphabet.size()];
    }
  }
  return out;
}

namespace detail {

std::string blake2b(std::string_view content, std::size_t size) {
  const MdContext context(EVP_MD_CTX_new());
  const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_size_t(OSSL_DIGEST_PARAM_SIZE, &size), OSSL_PARAM_construct_end()};
  must(context && EVP_DigestInit_ex2(context.get(), EVP_blake2b512(), parameters) == 1);
  must(EVP_DigestUpdate(context.get(), content.data(), content.size()) == 1);
  std::string out(EVP_MAX_MD_SIZE, '\0');
  unsigned length = 0;
  must(EVP_DigestFinal_ex(context.get(), bytes(out), &length) == 1 && length == size);
  out.resize(size);
  return out;
}

std::string base64(std::string_view raw) {
  std::string out((raw.size() + 2) / 3 * 4 + 1, '\0');
  const int length = EVP_EncodeBlock(bytes(out), bytes(raw), static_cast<int>(raw.size()));
  out.resize(static_cast<std::size_t>(length));
  return out;
}

Result<std::string> unbase64(std::string_view text, std::size_t size, std::string_view what) {
  const auto wanted = (size + 2) / 3 * 4;
  std::string out(wanted / 4 * 3, '\0');
  // The comparison with the encoding of the result refuses a second spelling of the same bytes: stray bits, wrong padding.
  if (text.size() == wanted && EVP_DecodeBlock(bytes(out), bytes(text), static_cast<int>(text.size())) == static_cast<int>(out.size())) {
    out.resize(size);
    if (base64(out) == text) return out;
  }
  return fail(ErrorKind::input, std::format("{} is not base64 of {} bytes", what, size));
}

}  // namespace detail

std::string base64(std::string_view raw) { return detail::base64(raw); }

Result<std::string> unbase64(std::string_view text) {
  const auto padding = text.ends_with("==") ? 2U : (text.ends_with('=') ? 1U : 0U);
  if (text.size() % 4 != 0) return fail(ErrorKind::input, "not base64");
  return detail::unbase64(text, text.size() / 4 * 3 - std::min<std::size_t>(padding, text.size()), "the text");
}

}  // namespace cloudos::os
