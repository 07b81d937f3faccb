// `cloudos-agent metrics` beside a real node_exporter on the same machine: the same names, the same labels, the same values.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <filesystem>

#include "core/base/text.hpp"
#include "images/bundle.hpp"
#include "tests/machines/machines.hpp"

using namespace cloudos;
using namespace cloudos::machines;
namespace fs = std::filesystem;

namespace {

fs::path checkout() { return fs::absolute(program()).parent_path().parent_path().parent_path().parent_path(); }

void carry(const Sandbox& sandbox, const Machine& machine, const std::string& script, const ByteSource& content) {
  std::string bytes;
  REQUIRE(content != nullptr);
  std::vector<std::byte> room(1U << 20);
  for (;;) {
    const auto got = content(room);
    REQUIRE(got);
    if (*got == 0) break;
    bytes.append(reinterpret_cast<const char*>(room.data()), *got);
  }
  REQUIRE(sandbox.on(machine, {"sh", "-euc", script}, bytes).code == 0);
}

// Built from source by the recipe of `./dev bench footprint`, in the build root; what was built once is taken from the cache.
void start_node_exporter(const Sandbox& sandbox, const Machine& machine) {
  const auto built = os::must({"env", "-C", checkout().string(), "./dev", "inside", "build/cloudos/bin/cloudos", "bundle", "build",
                               "tests/bench/neighbours.toml", "-o", "build/neighbours.bundle", "--unsigned", "--cache", "/cache/bundle"});
  INFO((built ? "" : built.error().text()));
  REQUIRE(built);
  const auto bundle = images::Bundle::open(checkout() / "build/neighbours.bundle", {.allow_unsigned = true});
  REQUIRE(bundle);
  const auto* file = bundle->index().file("bin/node_exporter");
  REQUIRE(file != nullptr);
  auto blob = bundle->blob(file->digest);
  REQUIRE(blob);
  carry(sandbox, machine, "cat > /root/node_exporter; chmod 755 /root/node_exporter", *blob);
  sandbox.sh(machine, "systemd-run -q --unit=beside-node-exporter /root/node_exporter");
}

void carry_programs(const Sandbox& sandbox, const Machine& machine) {
  const auto packed = os::must({"tar", "-C", (checkout() / "build").string(), "-cf", "-", "cloudos"});
  REQUIRE(packed);
  carry(sandbox, machine, "tar -C /opt -xf -", bytes_of(*packed));
}

struct Scrape {
  std::map<std::string, double> series;      // "name{label="value",…}" with the labels in order, empty ones left out
  std::map<std::string, std::string> kinds;  // name -> type
};

// Only what both of them write: label values with quotes and commas are kept whole.
std::string key_of(std::string_view name, std::string_view labels) {
  std::vector<std::string> parts;
  while (!labels.empty()) {
    auto end = labels.find('"') + 1;
    while (labels[end] != '"') end += labels[end] == '\\' ? 2 : 1;
    const auto part = labels.substr(0, end + 1);
    if (!part.ends_with("=\"\"")) parts.emplace_back(part);
    labels.remove_prefix(std::min(end + 2, labels.size()));
  }
  std::ranges::sort(parts);
  return std::string(name) + "{" + join(parts, ",") + "}";
}

Scrape parse(const std::string& text) {
  Scrape out;
  for (const auto& line : split(text, '\n')) {
    if (line.starts_with("# TYPE ")) {
      const auto words = split(line, ' ');
      out.kinds[words.at(2)] = words.at(3);
    }
    if (line.empty() || line.starts_with('#')) continue;
    const auto open = line.find('{'), space = line.rfind(' ');
    const auto labels = open != std::string::npos ? line.substr(open + 1, space - open - 2) : "";
    out.series[key_of(line.substr(0, std::min(open, space)), labels)] = std::stod(line.substr(space + 1));
  }
  return out;
}

std::string name_of(const std::string& key) { return key.substr(0, key.find('{')); }

bool begins_with_any(const std::string& key, std::initializer_list<std::string_view> beginnings) {
  return std::ranges::any_of(beginnings, [&](std::string_view beginning) { return key.starts_with(beginning); });
}

// What docs/metrics.md says is not there: node_exporter's own process, and collectors that the agent does not have.
bool not_ours(const std::string& key, const Scrape& ours) {
  if (key.starts_with("node_scrape_collector_success{")) return !ours.series.contains(key);
  return !key.starts_with("node_") ||
         begins_with_any(key, {"node_exporter_", "node_scrape_collector_duration", "node_filesystem_purgeable_bytes", "node_textfile_",
                               "node_bcache", "node_btrfs_", "node_fibrechannel_", "node_infiniband_", "node_ipvs_", "node_md_", "node_nfs",
                               "node_nvme_namespace_", "node_power_supply_", "node_rapl_", "node_tape_", "node_watchdog_", "node_xfs_",
                               "node_zfs_", "node_selinux_config_mode"});
}

// Gauges that are another number a moment later.
bool moves(const std::string& key) {
  return begins_with_any(key, {"node_memory_",
                               "node_load",
                               "node_procs_",
                               "node_filefd_allocated",
                               "node_sockstat_",
                               "node_time_seconds",
                               "node_filesystem_avail",
                               "node_filesystem_free",
                               "node_filesystem_files_free",
                               "node_timex_",
                               "node_entropy_",
                               "node_arp_",
                               "node_udp_queues",
                               "node_softnet_backlog",
                               "node_nf_conntrack_",
                               "node_cpu_frequency",
                               "node_cpu_scaling_frequency",
                               "node_disk_io_now",
                               "node_hwmon_",
                               "node_thermal_",
                               "node_cooling_",
                               "node_netstat_Tcp_CurrEstab"});
}

// How far a gauge that moves may be from where it was before and after.
double slack(const std::string& key, double low, double high, const Scrape& of) {
  const auto part = 0.1 * std::max(std::abs(low), std::abs(high));
  if (!key.contains("_bytes{")) return part + 100;
  return part + 0.1 * of.series.at("node_memory_MemTotal_bytes{}");
}

void compare(const std::string& key, const Scrape& before, const Scrape& ours, const Scrape& after) {
  const auto first = before.series.at(key), then = after.series.at(key), mine = ours.series.at(key);
  const auto low = std::min(first, then), high = std::max(first, then);
  INFO(key << ": " << first << ", " << mine << ", " << then);
  const auto kind = before.kinds.contains(name_of(key)) ? before.kinds.at(name_of(key)) : "";
  double allowed = 1e-9 * std::max(std::abs(low), std::abs(high));
  if (moves(key)) allowed = slack(key, low, high, before);
  CHECK(mine >= low - allowed);
  CHECK(mine <= high + allowed);
  const auto mine_kind = ours.kinds.contains(name_of(key)) ? ours.kinds.at(name_of(key)) : "";
  CHECK(kind == mine_kind);
}

// What the dashboard Node Exporter Full (grafana.com, 1860) and kubernetes-mixin ask for of the collectors that node_exporter
// has on by default.
constexpr std::array dashboards = {"node_arp_entries",
                                   "node_boot_time_seconds",
                                   "node_context_switches_total",
                                   "node_cooling_device_cur_state",
                                   "node_cooling_device_max_state",
                                   "node_cpu_core_throttles_total",
                                   "node_cpu_guest_seconds_total",
                                   "node_cpu_online",
                                   "node_cpu_scaling_frequency_hertz",
                                   "node_cpu_scaling_frequency_max_hertz",
                                   "node_cpu_scaling_frequency_min_hertz",
                                   "node_cpu_seconds_total",
                                   "node_disk_discards_completed_total",
                                   "node_disk_discards_merged_total",
                                   "node_disk_io_now",
                                   "node_disk_io_time_seconds_total",
                                   "node_disk_io_time_weighted_seconds_total",
                                   "node_disk_read_bytes_total",
                                   "node_disk_read_time_seconds_total",
                                   "node_disk_reads_completed_total",
                                   "node_disk_reads_merged_total",
                                   "node_disk_write_time_seconds_total",
                                   "node_disk_writes_completed_total",
                                   "node_disk_writes_merged_total",
                                   "node_disk_written_bytes_total",
                                   "node_entropy_available_bits",
                                   "node_filefd_allocated",
                                   "node_filefd_maximum",
                                   "node_filesystem_avail_bytes",
                                   "node_filesystem_device_error",
                                   "node_filesystem_files",
                                   "node_filesystem_files_free",
                                   "node_filesystem_free_bytes",
                                   "node_filesystem_readonly",
                                   "node_filesystem_size_bytes",
                                   "node_forks_total",
                                   "node_hwmon_chip_names",
                                   "node_hwmon_temp_celsius",
                                   "node_hwmon_temp_crit_alarm_celsius",
                                   "node_hwmon_temp_crit_celsius",
                                   "node_hwmon_temp_crit_hyst_celsius",
                                   "node_hwmon_temp_max_celsius",
                                   "node_intr_total",
                                   "node_load1",
                                   "node_load15",
                                   "node_load5",
                                   "node_memory_Active_anon_bytes",
                                   "node_memory_Active_bytes",
                                   "node_memory_Active_file_bytes",
                                   "node_memory_AnonHugePages_bytes",
                                   "node_memory_AnonPages_bytes",
                                   "node_memory_Bounce_bytes",
                                   "node_memory_Buffers_bytes",
                                   "node_memory_Cached_bytes",
                                   "node_memory_CommitLimit_bytes",
                                   "node_memory_Committed_AS_bytes",
                                   "node_memory_DirectMap1G_bytes",
                                   "node_memory_DirectMap2M_bytes",
                                   "node_memory_DirectMap4k_bytes",
                                   "node_memory_Dirty_bytes",
                                   "node_memory_HardwareCorrupted_bytes",
                                   "node_memory_HugePages_Free",
                                   "node_memory_HugePages_Rsvd",
                                   "node_memory_HugePages_Surp",
                                   "node_memory_HugePages_Total",
                                   "node_memory_Hugepagesize_bytes",
                                   "node_memory_Inactive_anon_bytes",
                                   "node_memory_Inactive_bytes",
                                   "node_memory_Inactive_file_bytes",
                                   "node_memory_KernelStack_bytes",
                                   "node_memory_Mapped_bytes",
                                   "node_memory_MemAvailable_bytes",
                                   "node_memory_MemFree_bytes",
                                   "node_memory_MemTotal_bytes",
                                   "node_memory_Mlocked_bytes",
                                   "node_memory_NFS_Unstable_bytes",
                                   "node_memory_PageTables_bytes",
                                   "node_memory_Percpu_bytes",
                                   "node_memory_SReclaimable_bytes",
                                   "node_memory_SUnreclaim_bytes",
                                   "node_memory_ShmemHugePages_bytes",
                                   "node_memory_ShmemPmdMapped_bytes",
                                   "node_memory_Shmem_bytes",
                                   "node_memory_Slab_bytes",
                                   "node_memory_SwapCached_bytes",
                                   "node_memory_SwapFree_bytes",
                                   "node_memory_SwapTotal_bytes",
                                   "node_memory_Unevictable_bytes",
                                   "node_memory_VmallocChunk_bytes",
                                   "node_memory_VmallocTotal_bytes",
                                   "node_memory_VmallocUsed_bytes",
                                   "node_memory_WritebackTmp_bytes",
                                   "node_memory_Writeback_bytes",
                                   "node_netstat_Icmp_InErrors",
                                   "node_netstat_Icmp_InMsgs",
                                   "node_netstat_Icmp_OutMsgs",
                                   "node_netstat_IpExt_InOctets",
                                   "node_netstat_IpExt_OutOctets",
                                   "node_netstat_Ip_Forwarding",
                                   "node_netstat_TcpExt_ListenDrops",
                                   "node_netstat_TcpExt_ListenOverflows",
                                   "node_netstat_TcpExt_SyncookiesFailed",
                                   "node_netstat_TcpExt_SyncookiesRecv",
                                   "node_netstat_TcpExt_SyncookiesSent",
                                   "node_netstat_TcpExt_TCPOFOQueue",
                                   "node_netstat_TcpExt_TCPRcvQDrop",
                                   "node_netstat_TcpExt_TCPSynRetrans",
                                   "node_netstat_TcpExt_TCPTimeouts",
                                   "node_netstat_Tcp_ActiveOpens",
                                   "node_netstat_Tcp_CurrEstab",
                                   "node_netstat_Tcp_InErrs",
                                   "node_netstat_Tcp_InSegs",
                                   "node_netstat_Tcp_OutRsts",
                                   "node_netstat_Tcp_OutSegs",
                                   "node_netstat_Tcp_PassiveOpens",
                                   "node_netstat_Tcp_RetransSegs",
                                   "node_netstat_UdpLite_InErrors",
                                   "node_netstat_Udp_InDatagrams",
                                   "node_netstat_Udp_InErrors",
                                   "node_netstat_Udp_NoPorts",
                                   "node_netstat_Udp_OutDatagrams",
                                   "node_netstat_Udp_RcvbufErrors",
                                   "node_netstat_Udp_SndbufErrors",
                                   "node_network_carrier",
                                   "node_network_mtu_bytes",
                                   "node_network_receive_bytes_total",
                                   "node_network_receive_compressed_total",
                                   "node_network_receive_drop_total",
                                   "node_network_receive_errs_total",
                                   "node_network_receive_fifo_total",
                                   "node_network_receive_frame_total",
                                   "node_network_receive_multicast_total",
                                   "node_network_receive_nohandler_total",
                                   "node_network_receive_packets_total",
                                   "node_network_speed_bytes",
                                   "node_network_transmit_bytes_total",
                                   "node_network_transmit_carrier_total",
                                   "node_network_transmit_colls_total",
                                   "node_network_transmit_compressed_total",
                                   "node_network_transmit_drop_total",
                                   "node_network_transmit_errs_total",
                                   "node_network_transmit_fifo_total",
                                   "node_network_transmit_packets_total",
                                   "node_network_transmit_queue_length",
                                   "node_network_up",
                                   "node_nf_conntrack_entries",
                                   "node_nf_conntrack_entries_limit",
                                   "node_os_info",
                                   "node_pressure_cpu_waiting_seconds_total",
                                   "node_pressure_io_stalled_seconds_total",
                                   "node_pressure_io_waiting_seconds_total",
                                   "node_pressure_irq_stalled_seconds_total",
                                   "node_pressure_memory_stalled_seconds_total",
                                   "node_pressure_memory_waiting_seconds_total",
                                   "node_procs_blocked",
                                   "node_procs_running",
                                   "node_schedstat_running_seconds_total",
                                   "node_schedstat_timeslices_total",
                                   "node_schedstat_waiting_seconds_total",
                                   "node_scrape_collector_duration_seconds",
                                   "node_scrape_collector_success",
                                   "node_sockstat_FRAG_inuse",
                                   "node_sockstat_FRAG_memory",
                                   "node_sockstat_RAW_inuse",
                                   "node_sockstat_TCP_alloc",
                                   "node_sockstat_TCP_inuse",
                                   "node_sockstat_TCP_mem",
                                   "node_sockstat_TCP_mem_bytes",
                                   "node_sockstat_TCP_orphan",
                                   "node_sockstat_TCP_tw",
                                   "node_sockstat_UDPLITE_inuse",
                                   "node_sockstat_UDP_inuse",
                                   "node_sockstat_UDP_mem",
                                   "node_sockstat_UDP_mem_bytes",
                                   "node_sockstat_sockets_used",
                                   "node_softnet_dropped_total",
                                   "node_softnet_processed_total",
                                   "node_softnet_times_squeezed_total",
                                   "node_time_seconds",
                                   "node_timex_estimated_error_seconds",
                                   "node_timex_frequency_adjustment_ratio",
                                   "node_timex_loop_time_constant",
                                   "node_timex_maxerror_seconds",
                                   "node_timex_offset_seconds",
                                   "node_timex_sync_status",
                                   "node_timex_tai_offset_seconds",
                                   "node_timex_tick_seconds",
                                   "node_uname_info",
                                   "node_vmstat_oom_kill",
                                   "node_vmstat_pgfault",
                                   "node_vmstat_pgmajfault",
                                   "node_vmstat_pgpgin",
                                   "node_vmstat_pgpgout",
                                   "node_vmstat_pswpin",
                                   "node_vmstat_pswpout"};

// One after the other, as close as can be.
constexpr auto three_scrapes = R"(
scrape() { exec 3<> /dev/tcp/127.0.0.1/9100 && printf 'GET /metrics HTTP/1.0\r\n\r\n' >&3 && sed '1,/^\r$/d' <&3; }
for _ in $(seq 100); do (exec 3<> /dev/tcp/127.0.0.1/9100) 2> /dev/null && break; sleep 0.1; done
scrape > /dev/null
scrape; echo 'that was one'
/opt/cloudos/bin/cloudos-agent metrics; echo 'that was one'
scrape
)";

}  // namespace

TEST_CASE("the agent says of a machine what node_exporter says of it", "[metrics][neighbours]") {
  const Sandbox sandbox("t-metric", 1, 0);
  const auto& machine = sandbox.named("master-1");
  carry_programs(sandbox, machine);
  start_node_exporter(sandbox, machine);
  const auto ran = sandbox.on(machine, {"bash", "-c", three_scrapes});
  INFO(ran.err);
  REQUIRE(ran.code == 0);
  constexpr std::string_view between = "that was one\n";
  const auto first = ran.out.find(between), second = ran.out.find(between, first + 1);
  REQUIRE(second != std::string::npos);
  const auto before = parse(ran.out.substr(0, first));
  const auto ours = parse(ran.out.substr(first + between.size(), second - first - between.size()));
  const auto after = parse(ran.out.substr(second + between.size()));
  REQUIRE(before.series.size() > 300);
  // Of mounts that lie over each other node_exporter tells any; the agent, the uppermost.
  const auto stacked = split(sandbox.sh(machine, "cut -d ' ' -f 5 /proc/1/mountinfo | sort | uniq -d"), '\n');
  const auto is_stacked = [&](const std::string& key) {
    return std::ranges::any_of(stacked, [&](const auto& path) { return key.contains("mountpoint=\"" + path + "\""); });
  };
  for (const auto& [key, value] : before.series) {
    if (!after.series.contains(key) || not_ours(key, ours)) continue;
    if (key.starts_with("node_filesystem_readonly{") && is_stacked(key)) continue;
    INFO(key);
    CHECK(ours.series.contains(key));
    if (ours.series.contains(key)) compare(key, before, ours, after);
  }
  for (const std::string name : dashboards) {
    INFO(name);
    CHECK((!before.kinds.contains(name) || ours.kinds.contains(name)));
  }
}
