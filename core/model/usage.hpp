#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/base/units.hpp"

namespace cloudos::model {

// What a machine uses at a moment, as its kernel counts it. Values that could not be read stay at their defaults and are named
// in `unknown` with the reason.
struct Usage {
  static constexpr int schema = 1;

  std::string node;    // the name that it joined with, else its host name
  std::string source;  // "machine": /proc is this machine's own; "group": it is a container, its control group was asked

  // Of source "machine": user, nice, system, irq and softirq of /proc/stat's first line (proc_stat(5)); waiting for disks and
  // time that a hypervisor gave to others is no use. Of "group": cpuacct.usage, or usage_usec of cpu.stat.
  struct Cpu {
    std::int64_t at_us = 0;    // when the second reading was taken, CLOCK_REALTIME
    std::int64_t span_us = 0;  // between the two readings
    std::int64_t used_us = 0;  // CPU time in between, of all CPUs together
    std::int64_t cores_m = 0;  // thousandths of CPUs that are there: online, and no more than its group's quota
    // Thousandths of a core.
    [[nodiscard]] std::int64_t used_m() const { return span_us > 0 ? (used_us * 1000 + span_us / 2) / span_us : 0; }
  } cpu;
  // Of source "machine": MemTotal − MemAvailable (proc_meminfo(5)). Of "group": what its group has charged without the file
  // pages that were not used lately (the kubelet's working set); the total is then the group's limit where it has one.
  struct Memory {
    Bytes total, used;
  } memory;
  // As df(1) counts: blocks that are taken, of all.
  struct FileSystem {
    std::string path, device;
    Bytes total, used;
    bool pods = false;  // the kubelet keeps pods' data on it
  };
  std::vector<FileSystem> file_systems;
  std::vector<std::int64_t> load_m;  // thousandths: of one, five and fifteen minutes (proc_loadavg(5)); the kernel's, not the group's

  struct Gpu {
    std::string address, vendor, device;  // "0000:18:00.0", "nvidia", "10de:2330"
    std::string model, driver;            // driver "": none is bound
    int busy_percent = -1;                // -1: not told
    int temperature = -1;                 // °C
    std::int64_t power_mw = -1;
    Bytes memory, memory_used;  // total 0: not told
    std::string trouble;        // why it does not answer, or what is wrong with it
  };
  std::vector<Gpu> gpus;

  std::map<std::string, std::string> unknown;  // "gpus.nvidia" -> why
};

[[nodiscard]] std::string encode_usage(const Usage& usage);
[[nodiscard]] Result<Usage> decode_usage(std::string_view json);

}  // namespace cloudos::model
