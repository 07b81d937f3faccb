#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "core/base/result.hpp"

namespace cloudos {

// An IPv4 or IPv6 address, without zone.
struct Ip {
  bool v6 = false;
  std::array<std::uint8_t, 16> bytes{};  // network order; of IPv4 the first four, the rest zero
  auto operator<=>(const Ip&) const = default;

  // "10.0.0.4", "fd00::1": what inet_pton(3) takes, so no leading zeros and no shorthand. Errors: input.
  [[nodiscard]] static Result<Ip> parse(std::string_view text);
  [[nodiscard]] std::string text() const;
  // The address after this one; the last wraps to the first.
  [[nodiscard]] Ip next() const;
  [[nodiscard]] bool loopback() const;
  // Whether one machine can have it: not 0.0.0.0/8 or ::, no multicast, none of 240.0.0.0/4 (RFC 6890).
  [[nodiscard]] bool of_a_machine() const;
};

// A network in CIDR notation (RFC 4632). Host bits are kept as written; comparisons of ranges ignore them.
struct Cidr {
  Ip address;
  int bits = 0;  // [0, 32] or [0, 128]
  bool operator==(const Cidr&) const = default;

  // "10.244.0.0/16". Errors: input.
  [[nodiscard]] static Result<Cidr> parse(std::string_view text);
  [[nodiscard]] bool contains(const Ip& ip) const;
  [[nodiscard]] bool overlaps(const Cidr& other) const;
  [[nodiscard]] Ip network() const;  // the address with its host bits cleared
  [[nodiscard]] std::string text() const;
};

// An address and a port as one word: "10.0.0.4:6443", "[fd00::1]:6443"; names pass through.
[[nodiscard]] std::string host_port(std::string_view host, std::uint16_t port);

}  // namespace cloudos
