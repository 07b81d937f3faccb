// Inside agent/metrics: one function for each group of figures, by node_exporter's names of its collectors, and what they share.
// They give whether there was something to tell.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>

#include "agent/metrics/look.hpp"
#include "agent/metrics/metrics.hpp"
#include "agent/metrics/page.hpp"
#include "agent/metrics/spaces.hpp"

namespace cloudos::metrics {

using Ticks = std::array<std::uint64_t, 10>;

struct Look {
  facts::Roots roots;
  Folder proc, sys;
  Page page;
  std::string room;  // for one file at a time
  Spaces spaces;
  std::map<std::string, Ticks, std::less<>> cpu_ticks;  // of each CPU, at the last look
};

[[nodiscard]] bool collect_arp(Look& look);
[[nodiscard]] bool collect_bonding(Look& look);
[[nodiscard]] bool collect_conntrack(Look& look);
[[nodiscard]] bool collect_cpu(Look& look);
[[nodiscard]] bool collect_cpufreq(Look& look);
[[nodiscard]] bool collect_diskstats(Look& look);
[[nodiscard]] bool collect_dmi(Look& look);
[[nodiscard]] bool collect_edac(Look& look);
[[nodiscard]] bool collect_entropy(Look& look);
[[nodiscard]] bool collect_filefd(Look& look);
[[nodiscard]] bool collect_filesystem(Look& look);
[[nodiscard]] bool collect_hwmon(Look& look);
[[nodiscard]] bool collect_kernel_hung(Look& look);
[[nodiscard]] bool collect_loadavg(Look& look);
[[nodiscard]] bool collect_meminfo(Look& look);
[[nodiscard]] bool collect_netclass(Look& look);
[[nodiscard]] bool collect_netdev(Look& look);
[[nodiscard]] bool collect_netstat(Look& look);
[[nodiscard]] bool collect_nvme(Look& look);
[[nodiscard]] bool collect_os(Look& look);
[[nodiscard]] bool collect_pressure(Look& look);
[[nodiscard]] bool collect_schedstat(Look& look);
[[nodiscard]] bool collect_selinux(Look& look);
[[nodiscard]] bool collect_sockstat(Look& look);
[[nodiscard]] bool collect_softnet(Look& look);
[[nodiscard]] bool collect_stat(Look& look);
[[nodiscard]] bool collect_thermal_zone(Look& look);
[[nodiscard]] bool collect_time(Look& look);
[[nodiscard]] bool collect_timex(Look& look);
[[nodiscard]] bool collect_udp_queues(Look& look);
[[nodiscard]] bool collect_uname(Look& look);
[[nodiscard]] bool collect_vmstat(Look& look);

// What is not the machine's: GPUs by DCGM's names, ours, this process.
void tell_gpus(Page& page, const Inputs& inputs);
void tell_own(Page& page, const Inputs& inputs);
void tell_process(Look& look);

}  // namespace cloudos::metrics
