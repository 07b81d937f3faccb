#include <algorithm>
#include <memory>

#include <ifaddrs.h>
#include <netinet/in.h>

#include "agent/facts/look.hpp"
#include "core/base/ip.hpp"
#include "core/base/text.hpp"

namespace cloudos::facts {

namespace {

Ip address_of(const sockaddr* socket) {
  Ip ip;
  ip.v6 = socket->sa_family == AF_INET6;
  const void* raw = socket;
  const auto* from = ip.v6 ? static_cast<const sockaddr_in6*>(raw)->sin6_addr.s6_addr
                           : static_cast<const std::uint8_t*>(static_cast<const void*>(&static_cast<const sockaddr_in*>(raw)->sin_addr));
  std::copy_n(from, ip.v6 ? 16 : 4, ip.bytes.begin());
  return ip;
}

std::map<std::string, std::vector<std::string>> addresses() {
  std::map<std::string, std::vector<std::string>> out;
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return out;
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> owned(list, freeifaddrs);
  for (const auto* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr || entry->ifa_netmask == nullptr) continue;
    if (entry->ifa_addr->sa_family != AF_INET && entry->ifa_addr->sa_family != AF_INET6) continue;
    Cidr cidr{.address = address_of(entry->ifa_addr)};
    for (const auto byte : address_of(entry->ifa_netmask).bytes) cidr.bits += std::popcount(byte);
    out[entry->ifa_name].push_back(cidr.text());
  }
  return out;
}

// The PCI address that a device's link points to; "" for USB, virtio and virtual links.
std::string pci_function(const std::filesystem::path& device) {
  const auto name = link_name(device);
  return std::ranges::count(name, ':') == 2 && name.contains('.') ? name : "";
}

// Which process holds each of the sockets: the links in /proc/PID/fd read "socket:[inode]".
std::map<std::uint64_t, const Process*> holders(const Roots& roots, const std::vector<Process>& processes,
                                                const std::set<std::uint64_t>& wanted) {
  std::map<std::uint64_t, const Process*> out;
  for (const auto& process : processes) {
    if (out.size() == wanted.size()) break;
    const auto folder = roots.procfs / std::to_string(process.pid) / "fd";
    for (const auto& fd : names_in(folder)) {
      const auto link = link_name(folder / fd);
      if (!link.starts_with("socket:[")) continue;
      const auto inode = parse_number(std::string_view(link).substr(8, link.size() - 9), 0, ~0ULL).value_or(0);
      if (wanted.contains(inode)) out.try_emplace(inode, &process);
    }
  }
  return out;
}

void look_at_listeners(const Roots& roots, const std::vector<Process>& processes, model::HostFacts& facts) {
  std::vector<Waiting> sockets;
  std::set<std::uint64_t> inodes;
  for (const auto* protocol : {"tcp", "tcp6", "udp", "udp6"}) {
    // "self" and not /proc/net itself: that is a link to it, and fixture trees need only one of the two.
    for (auto& socket : parse_sockets(protocol, text_of(roots.procfs / "self/net" / protocol))) {
      inodes.insert(socket.inode);
      sockets.push_back(std::move(socket));
    }
  }
  const auto by_inode = holders(roots, processes, inodes);
  for (const auto& socket : sockets) {
    model::HostFacts::Listener listener{.protocol = socket.protocol, .address = socket.address, .port = socket.port};
    if (const auto holder = by_inode.find(socket.inode); holder != by_inode.end()) {
      listener.process = text_of(roots.procfs / std::to_string(holder->second->pid) / "comm");
      listener.unit = holder->second->unit;
    }
    facts.listeners.push_back(std::move(listener));
  }
}

}  // namespace

void look_at_interfaces(const Roots& roots, model::HostFacts& facts) {
  const auto assigned = roots.real() ? addresses() : std::map<std::string, std::vector<std::string>>{};
  const auto folder = roots.sysfs / "class/net";
  for (const auto& name : names_in(folder)) {
    if (!std::filesystem::exists(folder / name / "mtu")) continue;  // bonding_masters is a file
    const auto number = [&](const char* file) {
      // The speed of a link that is down reads as -1, or not at all.
      return static_cast<int>(parse_number(text_of(folder / name / file), 0, 10'000'000).value_or(0));
    };
    const auto own = assigned.find(name);
    const auto device = folder / name / "device";
    const auto duplex = text_of(folder / name / "duplex");
    facts.interfaces.push_back({.name = name,
                                .mac = text_of(folder / name / "address"),
                                .state = text_of(folder / name / "operstate"),
                                .mtu = number("mtu"),
                                .speed_mbit = number("speed"),
                                .addresses = own == assigned.end() ? std::vector<std::string>{} : own->second,
                                // Reading it fails while the link is administratively down.
                                .carrier = text_of(folder / name / "carrier") == "1",
                                .duplex = duplex == "unknown" ? "" : duplex,
                                .driver = link_name(device / "driver"),
                                .pci = pci_function(device),
                                .numa_node = numa_node_of(device).value_or(-1),
                                .sriov_capable = number("device/sriov_totalvfs"),
                                .sriov_active = number("device/sriov_numvfs")});
  }
  if (!roots.real()) facts.unknown["interfaces.addresses"] = "only asked on the machine itself";
}

void look_at_network(const Roots& roots, const std::vector<Process>& processes, model::HostFacts& facts) {
  facts.routes = parse_routes(text_of(roots.procfs / "self/net/route"));
  std::ranges::move(parse_routes6(text_of(roots.procfs / "self/net/ipv6_route")), std::back_inserter(facts.routes));
  look_at_listeners(roots, processes, facts);
}

}  // namespace cloudos::facts
