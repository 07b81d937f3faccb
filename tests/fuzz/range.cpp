// Any Range header: the part that comes of it lies within the thing.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "agent/supply/supply.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cloudos;
  std::uint32_t whole = 0;
  if (size < sizeof whole) return 0;
  std::memcpy(&whole, data, sizeof whole);
  const std::string_view text(static_cast<const char*>(static_cast<const void*>(data + sizeof whole)), size - sizeof whole);
  const auto range = supply::range_of(text, whole);
  if (!range || !*range) return 0;
  const auto& part = **range;
  if (part.length == 0 || part.first >= whole || part.length > whole - part.first) std::abort();
  return 0;
}
