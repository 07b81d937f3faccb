#include "installer/config/hosts.hpp"

#include <algorithm>
#include <format>

#include "core/base/dns.hpp"
#include "core/base/ip.hpp"
#include "core/base/text.hpp"

namespace cloudos::config {
namespace {

std::unexpected<HostProblem> problem(std::string code, std::string message, std::string remedy) {
  return std::unexpected(HostProblem{std::move(code), std::move(message), std::move(remedy)});
}

Parsed<std::uint16_t> parse_port(std::string_view text) {
  if (const auto port = parse_number(text, 1, 65535)) return static_cast<std::uint16_t>(*port);
  return problem("bad-port", std::format("'{}' is not a port", sanitise(text)), "ports are numbers from 1 to 65535");
}

bool looks_like_ipv4(std::string_view text) {
  return text.contains('.') && std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || c == '.'; });
}

// The end of a range: a whole address, or only its last part ("9" of 10.0.0.4-9, hexadecimal for IPv6).
Result<Ip> parse_range_end(const Ip& first, std::string_view text) {
  if (text.contains('.') || text.contains(':')) return Ip::parse(text);
  const std::string prefix = first.text();
  const char separator = first.v6 ? ':' : '.';
  return Ip::parse(prefix.substr(0, prefix.rfind(separator) + 1) + std::string(text));
}

Parsed<std::vector<std::string>> expand(const Ip& first, std::string_view end_text, std::string_view range) {
  const auto last = parse_range_end(first, end_text);
  if (!last || last->v6 != first.v6)
    return problem(
        "bad-range",
        std::format("'{}' ends with '{}', which is no {} address", sanitise(range), sanitise(end_text), first.v6 ? "IPv6" : "IPv4"),
        "write a range as 10.0.0.4-10.0.0.9 or 10.0.0.4-9");
  if (*last < first)
    return problem("bad-range", std::format("'{}' ends before it begins", sanitise(range)), "write the lower address first");
  std::vector<std::string> all;
  for (Ip ip = first;; ip = ip.next()) {
    if (all.size() == max_range)
      return problem("bad-range", std::format("'{}' stands for more than {} machines", sanitise(range), max_range),
                     "split it into smaller ranges, or correct it");
    all.push_back(ip.text());
    if (ip == *last) return all;
  }
}

Parsed<std::vector<std::string>> parse_host_or_range(std::string_view text) {
  for (auto dash = text.find('-'); dash != std::string_view::npos; dash = text.find('-', dash + 1))
    if (const auto first = Ip::parse(text.substr(0, dash))) return expand(*first, text.substr(dash + 1), text);
  if (auto wrong = check_host(text)) return std::unexpected(std::move(*wrong));
  // One machine has one spelling: fd00:0::1 and fd00::1 are found to be the same.
  if (const auto ip = Ip::parse(text)) return std::vector{ip->text()};
  return std::vector{std::string(text)};
}

struct HostAndPort {
  std::string_view host;
  std::optional<std::string_view> port;
};
Parsed<HostAndPort> split_port(std::string_view text) {
  if (text.starts_with('[')) {
    const auto close = text.find(']');
    if (close == std::string_view::npos)
      return problem("bad-address", std::format("'{}' has no ']'", sanitise(text)), "write an IPv6 address with a port as [fd00::1]:2222");
    const auto rest = text.substr(close + 1);
    if (!rest.empty() && !rest.starts_with(':'))
      return problem("bad-address", std::format("'{}' has something other than a port after ']'", sanitise(text)),
                     "write an IPv6 address with a port as [fd00::1]:2222");
    return HostAndPort{text.substr(1, close - 1), rest.empty() ? std::nullopt : std::optional(rest.substr(1))};
  }
  if (std::ranges::count(text, ':') == 1) return HostAndPort{text.substr(0, text.find(':')), text.substr(text.find(':') + 1)};
  return HostAndPort{text, std::nullopt};
}

}  // namespace

std::optional<HostProblem> check_user(std::string_view user) {
  const auto fine = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || std::string_view("._-@+\\").contains(c);
  };
  if (user.empty()) return HostProblem{"bad-user", "the user name is empty", "leave out the '@', or name the login user before it"};
  if (user.starts_with('-'))
    return HostProblem{"bad-user", std::format("the user '{}' begins with '-', so that it could be taken for an option", sanitise(user)),
                       "name the login user, e.g. ops@10.0.0.4"};
  if (!std::ranges::all_of(user, fine) || user.size() > 256)
    return HostProblem{"bad-user", std::format("'{}' is not a user name", sanitise(user)), "letters, digits and ._-@+\\ only"};
  return std::nullopt;
}

std::optional<HostProblem> check_address(std::string_view text, std::string_view wrong, std::string_view remedy) {
  const auto ip = Ip::parse(text);
  if (!ip) return HostProblem{"bad-address", std::format("'{}' {}", sanitise(text), wrong), std::string(remedy)};
  if (!ip->of_a_machine())
    return HostProblem{"bad-address", std::format("'{}' is no address that a machine can have", sanitise(text)),
                       "give the address by which this computer reaches the machine"};
  return std::nullopt;
}

std::optional<HostProblem> check_host(std::string_view host) {
  if (host.empty()) return HostProblem{"bad-host", "the host is empty", "give an address or a name"};
  if (host.starts_with('-'))
    return HostProblem{"bad-host", std::format("the host '{}' begins with '-', so that it could be taken for an option", sanitise(host)),
                       "give an address or a name"};
  if (host.contains(':')) return check_address(host, "is not an IPv6 address", "write it as fd00::1, with a port as [fd00::1]:2222");
  if (looks_like_ipv4(host)) return check_address(host, "is not an IPv4 address", "four numbers from 0 to 255, without leading zeros");
  if (const auto why = why_not_dns_name(host); !why.empty())
    return HostProblem{"bad-host", std::format("the host name '{}' {}", sanitise(host), why),
                       "a-z, 0-9 and '-' in parts separated by dots; or give the machine's address"};
  return std::nullopt;
}

Parsed<std::vector<HostSpec>> parse_hosts(std::string_view item) {
  const auto text = trim(item);
  HostSpec common;
  auto rest = text;
  if (const auto at = text.rfind('@'); at != std::string_view::npos) {
    common.user = text.substr(0, at);
    rest = text.substr(at + 1);
    if (auto wrong = check_user(common.user)) return std::unexpected(std::move(*wrong));
  }
  const auto parts = split_port(rest);
  if (!parts) return std::unexpected(parts.error());
  if (parts->port) {
    const auto port = parse_port(*parts->port);
    if (!port) return std::unexpected(port.error());
    common.port = *port;
  }
  const auto hosts = parse_host_or_range(parts->host);
  if (!hosts) return std::unexpected(hosts.error());
  std::vector<HostSpec> specs;
  for (const auto& host : *hosts) {
    specs.push_back(common);
    specs.back().host = host;
  }
  return specs;
}

}  // namespace cloudos::config
