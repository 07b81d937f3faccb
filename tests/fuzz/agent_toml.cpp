// Any text as agent.toml: settings or an error; and settings are printed and read again as the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "agent/settings/settings.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cloudos;
  const auto read = settings::parse({static_cast<const char*>(static_cast<const void*>(data)), size}, "agent.toml");
  if (!read) {
    if (read.error().kind != ErrorKind::input || read.error().message.empty()) std::abort();
    return 0;
  }
  const auto text = settings::print(*read);
  const auto again = settings::parse(text, "agent.toml");
  if (!again || settings::print(*again) != text) std::abort();
  return 0;
}
