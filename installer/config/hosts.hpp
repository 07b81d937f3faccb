#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cloudos::config {

// A machine as it is written on the command line or in the file.
struct HostSpec {
  std::string user;  // "" when not given
  std::string host;  // an address or a name, IPv6 without brackets
  std::optional<std::uint16_t> port;
  bool operator==(const HostSpec&) const = default;
};

// What is wrong with a written host: the parts of a finding that do not depend on where it stands.
struct HostProblem {
  std::string code, message, remedy;
};
template <class T>
using Parsed = std::expected<T, HostProblem>;

// The most machines that one range may stand for: a typo must not become a million connections.
inline constexpr unsigned max_range = 1024;

// One item: "[user@]host[:port]", where host is a name, an address, "[IPv6]", or a range of addresses: "10.0.0.4-10.0.0.9",
// "10.0.0.4-9", "[fd00::1-fd00::9]:2222". An IPv6 address without a port needs no brackets.
[[nodiscard]] Parsed<std::vector<HostSpec>> parse_hosts(std::string_view item);
// A login name: no leading '-', nothing that a shell or ssh would read otherwise.
[[nodiscard]] std::optional<HostProblem> check_user(std::string_view user);
// A name or an address; names as why_not_dns_name() wants them.
[[nodiscard]] std::optional<HostProblem> check_host(std::string_view host);

}  // namespace cloudos::config
