#pragma once
// Inside core/os/crypto only: bytes as libcrypto wants them, BLAKE2b, and base64 for minisign's files.

#include <memory>
#include <string>
#include <string_view>

#include "core/base/result.hpp"
#include "core/os/crypto/openssl.hpp"

namespace cloudos::os::detail {

using namespace openssl;
using MdContext = std::unique_ptr<EVP_MD_CTX, Freed<EVP_MD_CTX_free>>;

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
