#include "core/base/text.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <format>
#include <limits>
#include <numeric>

#include "core/base/utf8.hpp"

namespace cloudos {
namespace {

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({substituted, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::string human(Bytes size) {
  static constexpr std::array units = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(size.count);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < units.size()) {
    value /= 1024;
    ++unit;
  }
  if (unit == 0 || value >= 99.95) return std::format("{:.0f} {}", value, units[unit]);
  return std::format("{:.1f} {}", value, units[unit]);
}

std::string human(Milliseconds span) {
  const auto ms = span.count();
  if (ms < 9'950) return std::format("{:.1f} s", static_cast<double>(ms) / 1000);
  if (ms < 119'500) return std::format("{} s", (ms + 500) / 1000);
  const auto seconds = (ms + 500) / 1000;
  return std::format("{} min {:02} s", seconds / 60, seconds % 60);
}

std::string nearest(std::string_view word, std::span<const std::string_view> candidates) {
  std::string_view best;
  std::size_t best_distance = std::max<std::size_t>(2, word.size() / 3) + 1;
  for (const auto candidate : candidates)
    if (const auto distance = edit_distance(word, candidate); distance < best_distance) {
      best = candidate;
      best_distance = distance;
    }
  return std::string(best);
}

std::string sanitise(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const auto length = utf8_length(text);
    const auto c = static_cast<unsigned char>(text[0]);
    if (length == 0) {
      out += "\xEF\xBF\xBD";
      text.remove_prefix(1);
      continue;
    }
    const bool c1 = length == 2 && c == 0xC2 && static_cast<unsigned char>(text[1]) < 0xA0;
    if (length == 1 && (c == '\n' || c == '\t' || (c >= 0x20 && c != 0x7F))) out += text[0];
    else if (length == 1) out += std::format("\\x{:02x}", c);
    else if (c1) out += std::format("\\x{:02x}", static_cast<unsigned char>(text[1]));
    else out += text.substr(0, length);
    text.remove_prefix(length);
  }
  return out;
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> out;
  for (;;) {
    const auto at = text.find(separator);
    out.emplace_back(text.substr(0, at));
    if (at == std::string_view::npos) return out;
    text.remove_prefix(at + 1);
  }
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view blank = " \t\r\n\v\f";
  const auto first = text.find_first_not_of(blank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(blank) - first + 1);
}

std::string join(std::span<const std::string> parts, std::string_view between) {
  std::string out;
  for (const auto& part : parts) {
    if (&part != parts.data()) out += between;
    out += part;
  }
  return out;
}

Result<std::uint64_t> parse_number(std::string_view text, std::uint64_t min, std::uint64_t max) {
  std::uint64_t value = 0;
  const auto* end = text.data() + text.size();
  const auto [stop, code] = std::from_chars(text.data(), end, value);
  if (text.empty() || code != std::errc{} || stop != end || value < min || value > max)
    return fail(ErrorKind::input, std::format("\"{}\" is not a number from {} to {}", sanitise(text), min, max));
  return value;
}

Result<Bytes> parse_bytes(std::string_view text) {
  const auto bad = [&] {
    return fail(ErrorKind::input, std::format("\"{}\" is not a size", sanitise(text)), "write a number with K, M, G or T, for example 20G");
  };
  double number = 0;
  const auto* end = text.data() + text.size();
  const auto [stop, code] = std::from_chars(text.data(), end, number, std::chars_format::fixed);
  if (text.empty() || code != std::errc{} || !(number >= 0) || !std::isfinite(number)) return bad();
  std::string_view unit(stop, static_cast<std::size_t>(end - stop));
  if (unit.ends_with('B')) unit.remove_suffix(1);
  if (unit.size() > 1 && unit.ends_with('i')) unit.remove_suffix(1);
  constexpr std::string_view units = "KMGTP";
  double factor = 1;
  if (!unit.empty()) {
    const auto power = unit.size() == 1 ? units.find(unit[0]) : std::string_view::npos;
    if (power == std::string_view::npos) return bad();
    factor = std::ldexp(1.0, static_cast<int>(10 * (power + 1)));
  }
  if (number * factor >= std::ldexp(1.0, 63)) return bad();
  return Bytes{static_cast<std::uint64_t>(number * factor)};
}

Result<Digest> Digest::parse(std::string_view text) {
  if (text.starts_with("sha256:")) text.remove_prefix(7);
  const bool hex = text.size() == 64 && std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
  if (!hex) return fail(ErrorKind::input, std::format("\"{}\" is not a sha256 digest", sanitise(text.substr(0, 80))));
  return Digest(std::string(text));
}

}  // namespace cloudos
