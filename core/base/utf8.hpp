#pragma once

#include <cstddef>
#include <string_view>

namespace cloudos {

// The length of the well-formed UTF-8 sequence at the start of `text`, 0 when there is none (RFC 3629, section 4).
[[nodiscard]] std::size_t utf8_length(std::string_view text);

}  // namespace cloudos
