// What `cloudos-agent store` is told on standard input.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "agent/store/store.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto blobs = cloudos::store::decode_blobs(std::string_view(reinterpret_cast<const char*>(data), size));
  if (blobs) static_cast<void>(cloudos::store::encode_missing(*blobs));
  return 0;
}
