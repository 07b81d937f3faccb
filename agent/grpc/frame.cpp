#include "agent/grpc/frame.hpp"

#include <charconv>
#include <cstdint>
#include <format>

namespace cloudos::grpc {

constexpr std::size_t prefix = 5;

std::string frame(std::string_view message) {
  std::string out(1, '\0');
  const auto size = static_cast<std::uint32_t>(message.size());
  for (const unsigned shift : {24U, 16U, 8U, 0U}) out += static_cast<char>(static_cast<unsigned char>(size >> shift));
  return out.append(message);
}

Answer unframe(std::string_view body) {
  if (body.size() < prefix) return std::unexpected(Failure{Code::internal, "the call carries no message"});
  if (body.front() != '\0') return std::unexpected(Failure{Code::unimplemented, "messages must not be compressed"});
  std::uint32_t size = 0;
  for (std::size_t i = 1; i < prefix; ++i) size = size << 8U | static_cast<unsigned char>(body[i]);
  if (body.size() - prefix != size) return std::unexpected(Failure{Code::internal, "the call must carry exactly one whole message"});
  return std::string(body.substr(prefix));
}

std::string percent_encode(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte <= 0x7e && c != '%') out += c;
    else out += std::format("%{:02X}", byte);
  }
  return out;
}

std::string percent_decode(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    unsigned value = 0;
    if (text[i] == '%' && i + 2 < text.size() &&
        std::from_chars(text.data() + i + 1, text.data() + i + 3, value, 16).ptr == text.data() + i + 3) {
      out += static_cast<char>(static_cast<unsigned char>(value));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

}  // namespace cloudos::grpc
