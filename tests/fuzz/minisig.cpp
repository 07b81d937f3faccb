// Any text as a signature, a public key and a secret key: none of them is ever accepted, none of them crashes.
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "core/os/crypto/crypto.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cloudos;
  static const auto keys = std::array{os::generate_key().value().public_key};
  const std::string_view text(static_cast<const char*>(static_cast<const void*>(data)), size);
  if (os::verify(keys, "content", text)) std::abort();
  if (const auto key = os::parse_public_key(text)) {
    const auto again = os::parse_public_key(os::format(*key));
    if (!again || *again != *key) std::abort();
  }
  static_cast<void>(os::sign(Secret(std::string(text)), "content", "comment"));
  return 0;
}
