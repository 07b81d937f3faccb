#include "core/base/ip.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <format>

#include "core/base/text.hpp"

namespace cloudos {
namespace {

std::size_t length(const Ip& ip) { return ip.v6 ? 16 : 4; }

bool same_prefix(const Ip& a, const Ip& b, int bits) {
  if (a.v6 != b.v6) return false;
  for (std::size_t i = 0; i < length(a) && bits > 0; ++i, bits -= 8) {
    const auto mask = static_cast<std::uint8_t>(bits >= 8 ? 0xFF : 0xFF << (8 - bits));
    if (((a.bytes[i] ^ b.bytes[i]) & mask) != 0) return false;
  }
  return true;
}

}  // namespace

Result<Ip> Ip::parse(std::string_view text) {
  const std::string terminated(text);
  Ip ip;
  ip.v6 = text.contains(':');
  // inet_pton(3) stops at a NUL, which must not make "10.0.0.1\0x" an address.
  if (text.contains('\0') || inet_pton(ip.v6 ? AF_INET6 : AF_INET, terminated.c_str(), ip.bytes.data()) != 1)
    return fail(ErrorKind::input, std::format("'{}' is not an {} address", sanitise(text), ip.v6 ? "IPv6" : "IPv4"));
  return ip;
}

std::string Ip::text() const {
  std::array<char, INET6_ADDRSTRLEN> buffer{};
  return inet_ntop(v6 ? AF_INET6 : AF_INET, bytes.data(), buffer.data(), buffer.size());
}

Ip Ip::next() const {
  Ip after = *this;
  for (std::size_t i = length(*this); i-- > 0;)
    if (++after.bytes[i] != 0) break;
  return after;
}

bool Ip::of_a_machine() const {
  if (!v6) return bytes[0] > 0 && bytes[0] < 224;
  return bytes[0] != 0xff && std::ranges::any_of(bytes, [](auto b) { return b != 0; });
}

bool Ip::loopback() const {
  if (!v6) return bytes[0] == 127;
  return std::all_of(bytes.begin(), bytes.end() - 1, [](auto b) { return b == 0; }) && bytes[15] == 1;
}

Result<Cidr> Cidr::parse(std::string_view text) {
  const auto slash = text.rfind('/');
  if (slash == std::string_view::npos)
    return fail(ErrorKind::input, std::format("'{}' is not a network: it has no prefix length", sanitise(text)),
                "write it as 10.244.0.0/16");
  Cidr cidr;
  CLOUDOS_ASSIGN(cidr.address, Ip::parse(text.substr(0, slash)));
  const auto bits = parse_number(text.substr(slash + 1), 0, cidr.address.v6 ? 128 : 32);
  if (!bits)
    return fail(ErrorKind::input, std::format("'{}' has no prefix length between 0 and {}", sanitise(text), cidr.address.v6 ? 128 : 32));
  cidr.bits = static_cast<int>(*bits);
  return cidr;
}

bool Cidr::contains(const Ip& ip) const { return same_prefix(address, ip, bits); }
bool Cidr::overlaps(const Cidr& other) const { return same_prefix(address, other.address, std::min(bits, other.bits)); }

Ip Cidr::network() const {
  Ip ip = address;
  int left = bits;
  for (std::size_t i = 0; i < length(ip); ++i, left -= 8)
    if (left < 8) ip.bytes[i] &= static_cast<std::uint8_t>(left <= 0 ? 0 : 0xFF << (8 - left));
  return ip;
}

std::string Cidr::text() const { return std::format("{}/{}", address.text(), bits); }

std::string host_port(std::string_view host, std::uint16_t port) {
  return host.contains(':') ? std::format("[{}]:{}", host, port) : std::format("{}:{}", host, port);
}

}  // namespace cloudos
