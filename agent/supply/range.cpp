#include <algorithm>
#include <format>
#include <limits>

#include "agent/supply/supply.hpp"
#include "core/base/text.hpp"

namespace cloudos::supply {

Result<std::optional<Range>> range_of(std::string_view header, std::uint64_t size) {
  constexpr std::string_view unit = "bytes=";
  constexpr auto most = std::numeric_limits<std::int64_t>::max();
  const auto text = trim(header);
  if (!text.starts_with(unit)) return std::nullopt;
  const auto range = text.substr(unit.size());
  const auto dash = range.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const auto first = parse_number(range.substr(0, dash), 0, most), last = parse_number(range.substr(dash + 1), 0, most);
  const auto none = [&] { return fail(ErrorKind::input, std::format("it has {} bytes", size)); };
  if (dash == 0) {  // the last bytes
    if (!last) return std::nullopt;
    if (*last == 0 || size == 0) return none();
    const auto length = std::min(*last, size);
    return Range{size - length, length};
  }
  const bool to_the_end = dash + 1 == range.size();
  if (!first || (!last && !to_the_end) || (last && *last < *first)) return std::nullopt;
  if (*first >= size) return none();
  const auto end = to_the_end ? size : std::min(*last + 1, size);
  return Range{*first, end - *first};
}

}  // namespace cloudos::supply
