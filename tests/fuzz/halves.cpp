// What one half of the agent is told by the other: a message or an error; and a message that was taken is written and read again as
// the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "agent/halves/halves.hpp"

using namespace cloudos;

namespace {

template <class T>
void read(std::string_view text, Result<T> (*decode)(std::string_view), std::string (*encode)(const T&)) {
  const auto message = decode(text);
  if (!message) {
    if (message.error().kind != ErrorKind::input || message.error().message.empty()) std::abort();
    return;
  }
  const auto once = encode(*message);
  if (once.size() > halves::longest_message) return;  // a number may be written longer than it was
  const auto again = decode(once);
  if (!again || encode(*again) != once) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(static_cast<const char*>(static_cast<const void*>(data)), size);
  read<halves::FromRoot>(text, halves::decode_from_root, [](const halves::FromRoot& m) { return std::string(halves::encode(m).reveal()); });
  read<halves::FromNetwork>(text, halves::decode_from_network, [](const halves::FromNetwork& m) { return halves::encode(m); });
  return 0;
}
