#include <net/if.h>

#include "agent/metrics/collectors.hpp"

namespace cloudos::metrics {

// The kernel adds up the finer counts in /proc/net/dev as node_exporter does from netlink (net/core/net-procfs.c,
// dev_seq_printf_stats); what it has no column for is in sysfs.
bool collect_netdev(Look& look) {
  static constexpr std::array columns = {"receive_bytes",  "receive_packets",  "receive_errs",       "receive_drop",
                                         "receive_fifo",   "receive_frame",    "receive_compressed", "receive_multicast",
                                         "transmit_bytes", "transmit_packets", "transmit_errs",      "transmit_drop",
                                         "transmit_fifo",  "transmit_colls",   "transmit_carrier",   "transmit_compressed"};
  const auto text = look.proc.text("net/dev", look.room);
  if (!text) return false;
  std::array<Family*, columns.size()> families{};
  for (std::size_t i = 0; i < columns.size(); ++i)
    families[i] = &look.page.counter(std::string("node_network_") + columns[i] + "_total", "Network device statistic.");
  auto& unhandled = look.page.counter("node_network_receive_nohandler_total", "Packets of protocols that nobody takes.");
  const auto devices = look.sys.sub("class/net");
  for (auto rest = *text; !rest.empty();) {
    auto line = take_line(rest);
    const auto colon = line.rfind(':');
    if (colon == std::string_view::npos) continue;
    auto before = line.substr(0, colon);
    const auto device = take_word(before);
    line.remove_prefix(colon + 1);
    for (auto* family : families)
      if (const auto value = count_of(take_word(line))) family->add(*value, {{"device", device}});
    const auto path = std::string(device) + "/statistics/rx_nohandler";
    if (const auto count = devices.number(path.c_str())) unhandled.add(*count, {{"device", device}});
  }
  return true;
}

namespace {

struct Attribute {
  const char* file = "";
  const char* name = "";
  Kind kind = Kind::gauge;
};
constexpr std::array attributes = {Attribute{"addr_assign_type", "address_assign_type"},
                                   Attribute{"carrier", "carrier"},
                                   Attribute{"carrier_changes", "carrier_changes_total", Kind::counter},
                                   Attribute{"carrier_up_count", "carrier_up_changes_total", Kind::counter},
                                   Attribute{"carrier_down_count", "carrier_down_changes_total", Kind::counter},
                                   Attribute{"dev_id", "device_id"},
                                   Attribute{"dormant", "dormant"},
                                   Attribute{"ifindex", "iface_id"},
                                   Attribute{"iflink", "iface_link"},
                                   Attribute{"link_mode", "iface_link_mode"},
                                   Attribute{"mtu", "mtu_bytes"},
                                   Attribute{"name_assign_type", "name_assign_type"},
                                   Attribute{"netdev_group", "net_dev_group"},
                                   Attribute{"tx_queue_len", "transmit_queue_length"},
                                   Attribute{"type", "protocol_type"}};

class Interfaces {
 public:
  explicit Interfaces(Page& page)
      : up_(page.gauge("node_network_up", "Whether operstate is up.")),
        info_(page.gauge("node_network_info", "What sysfs says of the device in words, always 1.")),
        flags_(page.gauge("node_network_flags", "Network device property.")),
        speed_(page.gauge("node_network_speed_bytes", "Network device property, in bytes a second; negative when it is not known.")) {
    for (std::size_t i = 0; i < attributes.size(); ++i)
      families_[i] = &page.family(std::string("node_network_") + attributes[i].name, attributes[i].kind, "Network device property.");
  }

  void tell(const Folder& folder, std::string_view device) {
    const auto state = folder.attribute("operstate").value_or("");
    const auto flags = folder.number("flags");
    up_.add(state == "up" ? 1 : 0, {{"device", device}});
    info_.add(1, {{"device", device},
                  {"address", folder.attribute("address").value_or("")},
                  {"broadcast", folder.attribute("broadcast").value_or("")},
                  {"duplex", folder.attribute("duplex").value_or("")},
                  {"operstate", state},
                  {"adminstate", !flags                   ? "unknown"
                                 : (*flags & IFF_UP) != 0 ? "up"
                                                          : "down"},
                  {"ifalias", folder.attribute("ifalias").value_or("")}});
    if (flags) flags_.add(*flags, {{"device", device}});
    for (std::size_t i = 0; i < attributes.size(); ++i)
      if (const auto value = folder.number(attributes[i].file)) families_[i]->add(*value, {{"device", device}});
    // In Mbit/s. Devices without one give an error or -1.
    if (const auto speed = folder.number("speed")) speed_.add(*speed * 1000 * 1000 / 8, {{"device", device}});
  }

 private:
  Family &up_, &info_, &flags_, &speed_;
  std::array<Family*, attributes.size()> families_{};
};

}  // namespace

bool collect_netclass(Look& look) {
  const auto folder = look.sys.sub("class/net");
  if (!folder.there()) return false;
  Interfaces interfaces(look.page);
  for (const auto& name : folder.names(false))
    if (const auto device = folder.sub(name); device.there()) interfaces.tell(device, name);
  return true;
}

bool collect_bonding(Look& look) {
  const auto folder = look.sys.sub("class/net");
  const auto masters = folder.text("bonding_masters", look.room);
  if (!masters) return false;
  auto& all = look.page.gauge("node_bonding_slaves", "Devices that the bond has.");
  auto& active = look.page.gauge("node_bonding_active", "Devices of the bond that have a link.");
  const std::string names(*masters);
  for (std::string_view rest = names; !rest.empty();) {
    auto line = take_line(rest);
    for (auto master = take_word(line); !master.empty(); master = take_word(line)) {
      const auto bond = folder.sub(std::string(master));
      const auto members = bond.attribute("bonding/slaves").value_or("");
      int count = 0, up = 0;
      std::string_view others = members;
      for (auto member = take_word(others); !member.empty(); member = take_word(others), ++count)
        if (bond.attribute("lower_" + std::string(member) + "/bonding_slave/mii_status") == "up") ++up;
      all.add(count, {{"master", master}});
      active.add(up, {{"master", master}});
    }
  }
  return true;
}

bool collect_arp(Look& look) {
  const auto text = look.proc.text("net/arp", look.room);
  if (!text) return false;
  std::map<std::string_view, std::uint64_t> entries;
  auto rest = *text;
  for (static_cast<void>(take_line(rest)); !rest.empty();) {
    auto line = take_line(rest);
    std::string_view device;
    for (auto word = take_word(line); !word.empty(); word = take_word(line)) device = word;  // the last column
    if (!device.empty()) ++entries[device];
  }
  auto& family = look.page.gauge("node_arp_entries", "Neighbours that the device knows by IPv4.");
  for (const auto& [device, count] : entries) family.add(count, {{"device", device}});
  return true;
}

}  // namespace cloudos::metrics
