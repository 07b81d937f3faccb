#include "installer/sandbox/network.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <format>
#include <nlohmann/json.hpp>

#include "core/base/text.hpp"
#include "core/os/file/file.hpp"
#include "core/os/process/process.hpp"
#include "installer/sandbox/child.hpp"
#include "installer/sandbox/names.hpp"

namespace cloudos::sandbox {
namespace {

struct Range {
  std::uint32_t first = 0, last = 0;
};

std::optional<Range> range_of(const std::string& network) {
  const auto slash = network.find('/');
  in_addr address{};
  if (::inet_pton(AF_INET, network.substr(0, slash).c_str(), &address) != 1) return {};
  std::uint64_t bits = 32;
  if (slash != std::string::npos) {
    const auto parsed = parse_number(network.substr(slash + 1), 0, 32);
    if (!parsed) return {};
    bits = *parsed;
  }
  const auto host_bits = bits == 0 ? ~std::uint32_t{0} : static_cast<std::uint32_t>((std::uint64_t{1} << (32 - bits)) - 1);
  const std::uint32_t base = ntohl(address.s_addr);
  return Range{.first = base & ~host_bits, .last = base | host_bits};
}

bool overlaps(const Subnet& subnet, std::span<const std::string> taken) {
  const auto own = range_of(subnet.cidr());
  return std::ranges::any_of(taken, [&](const auto& network) {
    const auto other = range_of(network);
    return own && other && own->first <= other->last && other->first <= own->last;
  });
}

// FNV-1a: the same on every computer and in every build, which std::hash is not.
std::uint32_t stable_hash(std::string_view text) {
  std::uint32_t hash = 2166136261U;
  for (const unsigned char c : text) hash = (hash ^ c) * 16777619U;
  return hash;
}

// The named column of a table in which a line of names is followed by a line of values.
std::uint64_t column(std::string_view text, std::string_view table, std::string_view name) {
  const auto lines = split(text, '\n');
  for (std::size_t i = 0; i + 1 < lines.size(); ++i) {
    const auto names = split(lines[i], ' ');
    const auto values = split(lines[i + 1], ' ');
    if (names.empty() || names[0] != table || values.size() != names.size() || values[0] != names[0]) continue;
    const auto at = std::ranges::find(names, name);
    if (at == names.end()) return 0;
    return parse_number(values[static_cast<std::size_t>(at - names.begin())], 0, ~std::uint64_t{0}).value_or(0);
  }
  return 0;
}

Status ip(std::vector<std::string> words) {
  words.insert(words.begin(), "ip");
  CLOUDOS_TRY(os::must(Argv(std::move(words))));
  return {};
}

Status ip_inside(const std::string& name, std::vector<std::string> words) {
  words.insert(words.begin(), {"-n", switch_namespace(name)});
  return ip(std::move(words));
}

Status put(const std::string& file, std::string_view value) {
  CLOUDOS_ASSIGN(const auto fd, os::open(file, O_WRONLY));
  return os::write_all(fd.get(), std::as_bytes(std::span(value)));
}

Status make_bridge(const std::string& name, const Subnet& subnet) {
  const auto bridge = link_name(name);
  CLOUDOS_TRY(ip_inside(name, {"link", "set", "lo", "up"}));
  CLOUDOS_TRY(ip_inside(name, {"link", "add", bridge, "type", "bridge"}));
  CLOUDOS_TRY(ip_inside(name, {"addr", "add", subnet.gateway() + "/24", "dev", bridge}));
  CLOUDOS_TRY(ip_inside(name, {"link", "set", bridge, "up"}));
  // Where a cluster's pod and service addresses live: answered "unreachable", and not counted as an escape.
  CLOUDOS_TRY(ip_inside(name, {"route", "add", "unreachable", "10.0.0.0/8"}));
  // A gateway that forwards answers at once that it knows no way; one that does not drops in silence, and every attempt
  // inside the machines would wait for its timeout.
  const auto forwarding = in_child(
      [&] { return done(enter_network(switch_namespace(name)).and_then([] { return put("/proc/sys/net/ipv4/ip_forward", "1"); })); });
  return forwarding ? Status{} : fail(forwarding.error());
}

// Last of all, so that the cable is there only when everything behind it is.
Status plug_in(const std::string& name, const Subnet& subnet) {
  const auto link = link_name(name);
  CLOUDOS_TRY(ip({"link", "add", link, "type", "veth", "peer", "name", "uplink", "netns", switch_namespace(name)}));
  CLOUDOS_TRY(ip_inside(name, {"link", "set", "uplink", "master", link, "up"}));
  // Even where this computer is a router, it is none for the machines (ip-sysctl.rst: forwarding, by interface).
  CLOUDOS_TRY(put(std::format("/proc/sys/net/ipv4/conf/{}/forwarding", link), "0"));
  CLOUDOS_TRY(ip({"addr", "add", subnet.host() + "/24", "dev", link}));
  return ip({"link", "set", link, "up"});
}

}  // namespace

Result<Subnet> choose_subnet(std::string_view name, std::span<const std::string> taken) {
  const auto start = stable_hash(name) % 250;
  for (const auto* first : {"10.77", "172.28"})
    for (std::uint32_t i = 0; i < 250; ++i)
      if (const Subnet subnet{std::format("{}.{}", first, 1 + (start + i) % 250)}; !overlaps(subnet, taken)) return subnet;
  return fail(ErrorKind::refused, "no free network for the sandbox: this computer's routes cover 10.77.0.0/16 and 172.28.0.0/16",
              "look at them with `ip route show table all`");
}

Result<std::vector<std::string>> taken_networks() {
  CLOUDOS_ASSIGN(const auto routes, os::must({"ip", "-json", "-4", "route", "show", "table", "all"}));
  const auto parsed = nlohmann::json::parse(routes, nullptr, false);
  if (!parsed.is_array()) return fail(ErrorKind::failed, "`ip -json route` gave no JSON", "iproute2 must be 4.14 or newer");
  std::vector<std::string> taken;
  for (const auto& route : parsed)
    if (const auto to = route.value("dst", std::string{}); to != "default" && to != "0.0.0.0/0") taken.push_back(to);
  return taken;
}

bool has_network(const std::string& name) {
  std::error_code error;
  return fs::exists(fs::path("/run/netns") / switch_namespace(name), error) && ::if_nametoindex(link_name(name).c_str()) != 0;
}

Status make_network(const std::string& name, const Subnet& subnet) {
  if (has_network(name)) return {};
  CLOUDOS_TRY(remove_network(name));  // half of one, from a crash
  CLOUDOS_TRY(ip({"netns", "add", switch_namespace(name)}));
  CLOUDOS_TRY_WITH(make_bridge(name, subnet), "making the network of sandbox " + name);
  CLOUDOS_TRY_WITH(plug_in(name, subnet), "connecting the network of sandbox " + name);
  return {};
}

Status remove_network(const std::string& name) {
  std::error_code error;
  if (::if_nametoindex(link_name(name).c_str()) != 0) CLOUDOS_TRY(ip({"link", "delete", link_name(name)}));
  if (fs::exists(fs::path("/run/netns") / switch_namespace(name), error)) CLOUDOS_TRY(ip({"netns", "delete", switch_namespace(name)}));
  // ip-netns(8) made the folder and mounted it on itself for its first namespace, and leaves both behind its last.
  if (fs::is_empty("/run/netns", error) && !error) {
    ::umount2("/run/netns", 0);
    ::rmdir("/run/netns");
  }
  return {};
}

Status make_tap(const std::string& name, const std::string& port) {
  const auto there = os::capture({"ip", "-n", switch_namespace(name), "link", "show", "dev", port});
  if (!there || !there->exit.ok()) CLOUDOS_TRY(ip_inside(name, {"tuntap", "add", "dev", port, "mode", "tap"}));
  return ip_inside(name, {"link", "set", port, "master", link_name(name), "up"});
}

Status remove_port(const std::string& name, const std::string& port) {
  const auto there = os::capture({"ip", "-n", switch_namespace(name), "link", "show", "dev", port});
  if (!there || !there->exit.ok()) return {};
  const auto removed = ip_inside(name, {"link", "delete", "dev", port});
  // The kernel may have finished its own clean-up between the look and the removal.
  const auto still = os::capture({"ip", "-n", switch_namespace(name), "link", "show", "dev", port});
  return still && still->exit.ok() ? removed : Status{};
}

Status set_port(const std::string& name, const std::string& port, bool up) {
  return ip_inside(name, {"link", "set", port, up ? "up" : "down"});
}

bool port_is_down(const std::string& name, const std::string& port) {
  const auto shown = os::capture({"ip", "-n", switch_namespace(name), "-json", "link", "show", "dev", port});
  if (!shown || !shown->exit.ok()) return false;
  const auto links = nlohmann::json::parse(shown->out, nullptr, false);
  if (!links.is_array() || links.empty()) return false;
  const auto flags = links[0].value("flags", std::vector<std::string>{});
  return !std::ranges::contains(flags, "UP");
}

Escapes count_escapes(std::string_view snmp, std::string_view netstat) {
  const auto lookups = column(snmp, "Udp:", "NoPorts");
  return {.packets = column(netstat, "IpExt:", "InNoRoutes") + column(snmp, "Ip:", "InAddrErrors") + lookups, .name_lookups = lookups};
}

std::optional<Escapes> escapes(const std::string& name) {
  if (!has_network(name)) return {};
  std::array<std::string, 2> tables;
  for (std::size_t i = 0; i < tables.size(); ++i) {
    auto text = in_child([&]() -> Result<std::string> {
      CLOUDOS_TRY(enter_network(switch_namespace(name)));
      // /proc/net is a link to /proc/self/net, of this process and its namespace.
      return os::read(i == 0 ? "/proc/net/snmp" : "/proc/net/netstat");
    });
    if (!text) return {};
    tables.at(i) = std::move(*text);
  }
  return count_escapes(tables[0], tables[1]);
}

}  // namespace cloudos::sandbox
