// Any text as join.toml: a join file that is written and read again as the same, or an error that shows no token.
#include <algorithm>
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "core/join_file/join_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cloudos;
  const std::string_view text(static_cast<const char*>(static_cast<const void*>(data)), size);
  const auto read = join_file::parse(text, "join.toml");
  if (!read) {
    if (read.error().kind != ErrorKind::input || read.error().message.empty()) std::abort();
    const auto told = read.error().text();
    std::size_t word = 0;
    for (const auto c : told) {
      word = std::isalnum(static_cast<unsigned char>(c)) != 0 ? word + 1 : 0;
      if (word >= 16) std::abort();  // as long as a token's secret part
    }
    return 0;
  }
  const auto once = join_file::write(*read);
  const auto again = join_file::parse(once.reveal(), "join.toml");
  if (!again || join_file::write(*again).reveal() != once.reveal()) std::abort();
  return 0;
}
