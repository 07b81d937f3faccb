// Inside agent/facts: texts of the kernel cut into lines, words, fields and numbers.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <ranges>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/text.hpp"

namespace cloudos::facts {

inline auto lines_of(std::string_view text) {
  return std::views::split(text, '\n') | std::views::transform([](auto&& r) { return std::string_view(r.begin(), r.end()); });
}

// The words between runs of blanks.
inline std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> out;
  while (true) {
    const auto start = line.find_first_not_of(" \t");
    if (start == std::string_view::npos) return out;
    line.remove_prefix(start);
    const auto end = std::min(line.find_first_of(" \t"), line.size());
    out.push_back(line.substr(0, end));
    line.remove_prefix(end);
  }
}

// "name : value", or two empty views.
inline std::pair<std::string_view, std::string_view> field(std::string_view line) {
  const auto colon = line.find(':');
  if (colon == std::string_view::npos) return {};
  return {trim(line.substr(0, colon)), trim(line.substr(colon + 1))};
}

template <class T = std::uint64_t>
T number(std::string_view text, int base = 10) {
  if (base == 16 && text.starts_with("0x")) text.remove_prefix(2);
  T value{};
  std::from_chars(text.data(), text.data() + text.size(), value, base);
  return value;
}

// Undoes \040 and its kin.
inline std::string unescape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      out += static_cast<char>(number<unsigned>(text.substr(i + 1, 3), 8));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

}  // namespace cloudos::facts
