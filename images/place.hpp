// Reading a bundle file at places. Private to this room.
#pragma once

#include <string>

#include "core/base/argv.hpp"
#include "images/layout.hpp"

namespace cloudos::images {

// pread(2) of the whole span; fewer bytes only at the end of the file. Errors: io.
[[nodiscard]] Result<std::size_t> read_at(int fd, std::uint64_t at, std::span<std::byte> room);
// The file from `at` on, at most `limit` bytes of it. The descriptor must outlive the source.
[[nodiscard]] ByteSource bytes_from(int fd, std::uint64_t at, std::uint64_t limit);

// The bytes of bundle.json and its signature. Nothing else is looked at. Errors: input (not a bundle), trust (other
// entries stand there), io.
struct Opening {
  std::string json, minisig;
};
[[nodiscard]] Result<Opening> read_opening(int fd);

// Compares all that the layout fixes with what is there. Errors: trust (says what stands there instead), input (truncated).
[[nodiscard]] Status check_layout(int fd, const Layout& layout);

}  // namespace cloudos::images
