// Any text as cluster.toml, and any text as a host list.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "installer/config/draft.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(static_cast<const char*>(static_cast<const void*>(data)), size);
  cloudos::config::Findings findings;
  static_cast<void>(cloudos::config::read_document(text, "cluster.toml", findings));
  static_cast<void>(cloudos::config::parse_hosts(text));
  return 0;
}
