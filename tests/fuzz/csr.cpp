// Any text as a certificate request: what is taken is signed by its own key, and a second reading finds the same in it.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "core/os/crypto/crypto.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cloudos;
  const std::string_view text(static_cast<const char*>(static_cast<const void*>(data)), size);
  if (const auto request = os::parse_certificate_request(text)) {
    const auto again = os::parse_certificate_request(text);
    if (!again || again->common_names != request->common_names || again->organisations != request->organisations) std::abort();
  }
  if (const auto raw = os::unbase64(text); raw && os::base64(*raw) != text) std::abort();
  return 0;
}
