#pragma once
// Inside core/os/crypto only: owners for libcrypto's handles, and base64 for minisign's files.

#include <memory>
#include <string>
#include <string_view>

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "core/base/result.hpp"

namespace cloudos::os::detail {

template <auto Free>
struct Freed {
  template <class T>
  void operator()(T* p) const {
    Free(p);
  }
};
using Bio = std::unique_ptr<BIO, Freed<BIO_free_all>>;
using MdContext = std::unique_ptr<EVP_MD_CTX, Freed<EVP_MD_CTX_free>>;
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Freed<X509_free>>;

// libcrypto refuses these calls only when it is out of memory or was built without the algorithm: nothing a caller could
// handle, so the program ends.
template <class T>
T must(T value) {
  if (!value) std::abort();
  return value;
}

inline const unsigned char* bytes(std::string_view text) {
  return static_cast<const unsigned char*>(static_cast<const void*>(text.data()));
}
inline unsigned char* bytes(std::string& text) { return static_cast<unsigned char*>(static_cast<void*>(text.data())); }

// BLAKE2b with an output of `size` bytes (1 to 64), without a key.
[[nodiscard]] std::string blake2b(std::string_view content, std::size_t size);
[[nodiscard]] std::string base64(std::string_view raw);
// Exactly `size` bytes, or an error of kind input that says what `what` is.
[[nodiscard]] Result<std::string> unbase64(std::string_view text, std::size_t size, std::string_view what);

}  // namespace cloudos::os::detail
