// Any text as bundle.json: a value or an error, and a value that passes the checks can be written and read again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "images/check.hpp"
#include "images/layout.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cloudos;
  const std::string_view text(static_cast<const char*>(static_cast<const void*>(data)), size);
  const auto index = model::decode_bundle_index(text);
  if (!index) {
    if (index.error().message.empty()) std::abort();
    return 0;
  }
  if (!images::check_index(*index)) return 0;
  if (!images::layout_of(text, "", *index)) std::abort();
  const auto again = model::decode_bundle_index(images::index_text(*index));
  if (!again || *again != *index) std::abort();
  return 0;
}
