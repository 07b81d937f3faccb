#include "agent/metrics/metrics.hpp"

#include <cerrno>
#include <chrono>

#include "agent/metrics/collectors.hpp"

namespace cloudos::metrics {
namespace {

struct Collector {
  std::string_view name;
  bool (*collect)(Look& look);
};
constexpr std::array collectors = {Collector{"arp", collect_arp},
                                   Collector{"bonding", collect_bonding},
                                   Collector{"conntrack", collect_conntrack},
                                   Collector{"cpu", collect_cpu},
                                   Collector{"cpufreq", collect_cpufreq},
                                   Collector{"diskstats", collect_diskstats},
                                   Collector{"dmi", collect_dmi},
                                   Collector{"edac", collect_edac},
                                   Collector{"entropy", collect_entropy},
                                   Collector{"filefd", collect_filefd},
                                   Collector{"filesystem", collect_filesystem},
                                   Collector{"hwmon", collect_hwmon},
                                   Collector{"kernel_hung", collect_kernel_hung},
                                   Collector{"loadavg", collect_loadavg},
                                   Collector{"meminfo", collect_meminfo},
                                   Collector{"netclass", collect_netclass},
                                   Collector{"netdev", collect_netdev},
                                   Collector{"netstat", collect_netstat},
                                   Collector{"nvme", collect_nvme},
                                   Collector{"os", collect_os},
                                   Collector{"pressure", collect_pressure},
                                   Collector{"schedstat", collect_schedstat},
                                   Collector{"selinux", collect_selinux},
                                   Collector{"sockstat", collect_sockstat},
                                   Collector{"softnet", collect_softnet},
                                   Collector{"stat", collect_stat},
                                   Collector{"thermal_zone", collect_thermal_zone},
                                   Collector{"time", collect_time},
                                   Collector{"timex", collect_timex},
                                   Collector{"udp_queues", collect_udp_queues},
                                   Collector{"uname", collect_uname},
                                   Collector{"vmstat", collect_vmstat}};

int ask_kernel(const std::string& path, struct statvfs& out) { return ::statvfs(path.c_str(), &out) == 0 ? 0 : errno; }

Look begin(Options options) {
  Folder proc(options.roots.procfs), sys(options.roots.sysfs);
  Spaces spaces(options.statvfs ? std::move(options.statvfs) : ask_kernel, options.patience);
  return {.roots = std::move(options.roots),
          .proc = std::move(proc),
          .sys = std::move(sys),
          .page = {},
          .room = {},
          .spaces = std::move(spaces),
          .cpu_ticks = {}};
}

}  // namespace

struct Collectors::State {
  Look look;
};

Collectors::Collectors(Options options) : state_(std::make_unique<State>(begin(std::move(options)))) {}
Collectors::~Collectors() = default;
Collectors::Collectors(Collectors&&) noexcept = default;
Collectors& Collectors::operator=(Collectors&&) noexcept = default;

std::string Collectors::render(const Inputs& inputs) {
  auto& look = state_->look;
  look.page.clear();
  auto& duration = look.page.gauge("node_scrape_collector_duration_seconds", "How long the collector took.");
  auto& success = look.page.gauge("node_scrape_collector_success", "Whether the collector had something to tell.");
  for (const auto& collector : collectors) {
    const auto start = std::chrono::steady_clock::now();
    const bool told = collector.collect(look);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    duration.add(took.count(), {{"collector", collector.name}});
    success.add(told ? 1 : 0, {{"collector", collector.name}});
  }
  tell_gpus(look.page, inputs);
  tell_own(look.page, inputs);
  tell_process(look);
  return look.page.text();
}

}  // namespace cloudos::metrics
