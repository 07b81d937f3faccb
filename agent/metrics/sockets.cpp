#include <unistd.h>

#include <algorithm>

#include "agent/metrics/collectors.hpp"

namespace cloudos::metrics {
namespace {

// node_exporter's default fields: protocol and statistic.
bool wanted(std::string_view protocol, std::string_view field) {
  static constexpr std::array tcp_ext = {"TCPSynRetrans", "TCPTimeouts", "TCPOFOQueue", "TCPRcvQDrop"};
  static constexpr std::array tcp = {"ActiveOpens", "InSegs", "OutSegs", "OutRsts", "PassiveOpens", "RetransSegs", "CurrEstab"};
  static constexpr std::array udp = {"InDatagrams", "OutDatagrams", "NoPorts", "RcvbufErrors", "SndbufErrors"};
  if (field == "InErrors" || field == "InErrs") return true;
  if (protocol == "Ip") return field == "Forwarding";
  if (protocol == "Ip6" || protocol == "IpExt") return field == "InOctets" || field == "OutOctets";
  if (protocol == "Icmp" || protocol == "Icmp6") return field == "InMsgs" || field == "OutMsgs";
  if (protocol == "TcpExt") return field.starts_with("Listen") || field.starts_with("Syncookies") || std::ranges::contains(tcp_ext, field);
  if (protocol == "Tcp") return std::ranges::contains(tcp, field);
  return (protocol == "Udp" || protocol == "Udp6") && std::ranges::contains(udp, field);
}

void tell_statistic(Page& page, std::string_view protocol, std::string_view field, std::string_view value) {
  if (!wanted(protocol, field)) return;
  const auto number = real_of(value);  // Tcp_MaxConn and its like may be -1
  if (!number) return;
  std::string name = "node_netstat_";
  name.append(protocol).append("_").append(field);
  page.family(name, Kind::untyped, "A statistic of /proc/net/netstat, snmp or snmp6.").add(*number);
}

// A line of names and a line of values for each protocol.
void tell_pairs(Page& page, std::string_view text) {
  while (!text.empty()) {
    auto names = take_line(text), values = take_line(text);
    auto protocol = take_word(names);
    if (!protocol.ends_with(':') || take_word(values) != protocol) continue;
    protocol.remove_suffix(1);
    for (auto name = take_word(names); !name.empty(); name = take_word(names)) tell_statistic(page, protocol, name, take_word(values));
  }
}

// "Ip6InOctets    123".
void tell_six(Page& page, std::string_view text) {
  while (!text.empty()) {
    auto line = take_line(text);
    const auto word = take_word(line);
    const auto six = word.find('6');
    if (six != std::string_view::npos) tell_statistic(page, word.substr(0, six + 1), word.substr(six + 1), take_word(line));
  }
}

}  // namespace

bool collect_netstat(Look& look) {
  const auto netstat = look.proc.text("net/netstat", look.room);
  if (!netstat) return false;
  tell_pairs(look.page, *netstat);
  const auto snmp = look.proc.text("net/snmp", look.room);
  if (!snmp) return false;
  tell_pairs(look.page, *snmp);
  tell_six(look.page, look.proc.text("net/snmp6", look.room).value_or(""));  // not there without IPv6
  return true;
}

bool collect_sockstat(Look& look) {
  static constexpr std::array known = {"inuse", "orphan", "tw", "alloc", "mem", "memory"};
  const auto page_size = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  for (const auto* file : {"net/sockstat", "net/sockstat6"}) {
    const auto text = look.proc.text(file, look.room);
    for (auto rest = text.value_or(""); !rest.empty();) {
      auto line = take_line(rest);
      auto protocol = take_word(line);
      if (!protocol.ends_with(':')) continue;
      protocol.remove_suffix(1);
      for (auto key = take_word(line); !key.empty(); key = take_word(line)) {
        const auto value = count_of(take_word(line));
        if (!value || !(std::ranges::contains(known, key) || protocol == "sockets")) continue;
        std::string name = "node_sockstat_";
        name.append(protocol).append("_").append(key);
        look.page.gauge(name, "Sockets of this protocol in this state.").add(*value);
        if (key == "mem") look.page.gauge(name + "_bytes", "Memory of this protocol's sockets.").add(*value * page_size);
      }
    }
  }
  return true;
}

bool collect_softnet(Look& look) {
  struct Column {
    std::size_t at;
    std::string_view name;
    Kind kind;
    std::string_view help;
  };
  static constexpr std::array columns = {
      Column{0, "node_softnet_processed_total", Kind::counter, "Packets that were processed."},
      Column{1, "node_softnet_dropped_total", Kind::counter, "Packets that were dropped."},
      Column{2, "node_softnet_times_squeezed_total", Kind::counter, "Times that processing ran out of its share."},
      Column{8, "node_softnet_cpu_collision_total", Kind::counter, "Times that a device's lock was taken when it was to send."},
      Column{9, "node_softnet_received_rps_total", Kind::counter, "Times that this CPU was woken for another's packets."},
      Column{10, "node_softnet_flow_limit_count_total", Kind::counter, "Times that the limit of a flow was reached."},
      Column{11, "node_softnet_backlog_len", Kind::gauge, "Packets that wait."}};
  const auto text = look.proc.text("net/softnet_stat", look.room);
  if (!text) return false;
  std::uint64_t number = 0;
  for (auto rest = *text; !rest.empty(); ++number) {
    auto line = take_line(rest);
    std::array<std::uint64_t, 13> values{};
    std::size_t count = 0;
    for (auto word = take_word(line); !word.empty() && count < values.size(); word = take_word(line))
      values[count++] = count_of(word, 16).value_or(0);
    if (count < 9) return false;
    const auto cpu = std::to_string(count == values.size() ? values[12] : number);  // kernels before 5.14 do not say which
    for (const auto& column : columns) look.page.family(column.name, column.kind, column.help).add(values[column.at], {{"cpu", cpu}});
  }
  return true;
}

bool collect_conntrack(Look& look) {
  struct Column {
    std::size_t at;
    std::string_view name, help;
  };
  static constexpr std::array columns = {
      Column{2, "node_nf_conntrack_stat_found", "Entries that were looked for and found."},
      Column{4, "node_nf_conntrack_stat_invalid", "Packets that cannot be tracked."},
      Column{5, "node_nf_conntrack_stat_ignore", "Packets that belong to an entry already."},
      Column{8, "node_nf_conntrack_stat_insert", "Entries that were inserted."},
      Column{9, "node_nf_conntrack_stat_insert_failed", "Entries that could not be inserted."},
      Column{10, "node_nf_conntrack_stat_drop", "Packets that were dropped since they could not be tracked."},
      Column{11, "node_nf_conntrack_stat_early_drop", "Entries that were dropped to make room."},
      Column{16, "node_nf_conntrack_stat_search_restart", "Searches that began anew since the table changed."}};
  const auto count = look.proc.number("sys/net/netfilter/nf_conntrack_count"),
             most = look.proc.number("sys/net/netfilter/nf_conntrack_max");
  if (!count || !most) return false;
  look.page.gauge("node_nf_conntrack_entries", "Connections that are tracked.").add(*count);
  look.page.gauge("node_nf_conntrack_entries_limit", "How many connections can be tracked.").add(*most);
  const auto text = look.proc.text("net/stat/nf_conntrack", look.room);  // a line of names, then one a CPU
  if (!text) return false;
  std::array<std::uint64_t, 17> sums{};
  auto rest = *text;
  for (static_cast<void>(take_line(rest)); !rest.empty();) {
    auto line = take_line(rest);
    for (auto& sum : sums) sum += count_of(take_word(line), 16).value_or(0);
  }
  for (const auto& column : columns) look.page.gauge(column.name, column.help).add(sums[column.at]);
  return true;
}

bool collect_udp_queues(Look& look) {
  bool found = false;
  auto& queues = look.page.gauge("node_udp_queues", "Bytes in the queues of UDP sockets.");
  for (const auto& [file, version] : {std::pair{"net/udp", "v4"}, std::pair{"net/udp6", "v6"}}) {
    const auto text = look.proc.text(file, look.room);
    if (!text) continue;
    found = true;
    std::uint64_t sent = 0, received = 0;
    auto rest = *text;
    for (static_cast<void>(take_line(rest)); !rest.empty();) {
      auto line = take_line(rest);
      for (int skipped = 0; skipped < 4; ++skipped) static_cast<void>(take_word(line));
      const auto both = take_word(line);  // "00000000:00000000"
      const auto colon = std::min(both.find(':'), both.size());
      sent += count_of(both.substr(0, colon), 16).value_or(0);
      received += count_of(both.substr(std::min(colon + 1, both.size())), 16).value_or(0);
    }
    queues.add(sent, {{"queue", "tx"}, {"ip", version}});
    queues.add(received, {{"queue", "rx"}, {"ip", version}});
  }
  return found;
}

}  // namespace cloudos::metrics
