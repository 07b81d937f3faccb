// Inside agent/grpc: gRPC's own framing and text, pure.
#pragma once

#include <string>
#include <string_view>

#include "agent/grpc/grpc.hpp"

namespace cloudos::grpc {

// A length-prefixed message: one byte "compressed", four bytes of length, big-endian, the message.
[[nodiscard]] std::string frame(std::string_view message);
// The one message of a body. Errors: unimplemented (compressed), internal (no or more than one message).
[[nodiscard]] Answer unframe(std::string_view body);
// grpc-message: bytes outside of printable ASCII, and '%', as %XX.
[[nodiscard]] std::string percent_encode(std::string_view text);
// Sequences that are none stay as they are.
[[nodiscard]] std::string percent_decode(std::string_view text);

}  // namespace cloudos::grpc
