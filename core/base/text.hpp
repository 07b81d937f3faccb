#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/units.hpp"

namespace cloudos {

// "512 B", "1.4 MiB", "23 GiB": three significant digits at most, binary units.
[[nodiscard]] std::string human(Bytes size);
// "0.3 s", "12 s", "3 min 05 s".
[[nodiscard]] std::string human(Milliseconds span);

// The candidate nearest to `word` by edit distance, or "" when none is within a third of its length (at least 2).
[[nodiscard]] std::string nearest(std::string_view word, std::span<const std::string_view> candidates);

// Text from a machine or a server, safe for a terminal: control characters (all of C0 but \n and \t, DEL, C1) become
// \xNN, invalid UTF-8 becomes U+FFFD. Escape sequences from outside must never reach the operator's terminal.
[[nodiscard]] std::string sanitise(std::string_view text);

[[nodiscard]] std::vector<std::string> split(std::string_view text, char separator);
[[nodiscard]] std::string_view trim(std::string_view text);
[[nodiscard]] std::string join(std::span<const std::string> parts, std::string_view between);

// The whole of `text` as a number in [min, max], or nothing. No sign, no spaces, no leading '+'.
[[nodiscard]] Result<std::uint64_t> parse_number(std::string_view text, std::uint64_t min, std::uint64_t max);
// "20G", "512M", "1.5Gi", "4096": binary units, with or without "i" and "B". Errors: input.
[[nodiscard]] Result<Bytes> parse_bytes(std::string_view text);

}  // namespace cloudos
