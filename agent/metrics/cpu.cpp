#include <unistd.h>

#include <algorithm>
#include <set>

#include "agent/metrics/collectors.hpp"

namespace cloudos::metrics {
namespace {

// What proc_stat(5) has of a CPU, in the order of its columns; the last two are counted in the first two as well.
constexpr std::array<std::string_view, 8> modes = {"user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"};
constexpr std::size_t idle = 3, guest = 8, guest_nice = 9;

// The kernel's counts of idle time may step back a little (proc_stat(5), iowait), which would look like a new start of the
// machine: then the last count stays. A step of more than three seconds is a CPU that was taken out and put in.
void keep(Ticks& kept, const Ticks& now, std::uint64_t second) {
  if (kept[idle] >= now[idle] + 3 * second) kept = {};
  for (std::size_t i = 0; i < now.size(); ++i) kept[i] = std::max(kept[i], now[i]);
}

void tell_time(Look& look, std::string_view stat) {
  auto& seconds = look.page.counter("node_cpu_seconds_total", "Seconds that each CPU spent in each mode.");
  auto& in_guests =
      look.page.counter("node_cpu_guest_seconds_total", "Seconds that each CPU spent in guests, which are in user and nice too.");
  const auto hertz = static_cast<std::uint64_t>(std::max(1L, ::sysconf(_SC_CLK_TCK)));
  const auto in_seconds = [&](std::uint64_t ticks) { return static_cast<double>(ticks) / static_cast<double>(hertz); };
  std::set<std::string_view> online;
  while (!stat.empty()) {
    auto line = take_line(stat);
    auto cpu = take_word(line);
    if (!cpu.starts_with("cpu")) break;
    cpu.remove_prefix(3);
    if (!all_digits(cpu)) continue;
    Ticks now{};
    for (auto& ticks : now) ticks = count_of(take_word(line)).value_or(0);
    auto kept = look.cpu_ticks.find(cpu);
    if (kept == look.cpu_ticks.end()) kept = look.cpu_ticks.emplace(cpu, Ticks{}).first;
    keep(kept->second, now, hertz);
    online.insert(cpu);
    for (std::size_t i = 0; i < modes.size(); ++i) seconds.add(in_seconds(kept->second[i]), {{"cpu", cpu}, {"mode", modes[i]}});
    in_guests.add(in_seconds(kept->second[guest]), {{"cpu", cpu}, {"mode", "user"}});
    in_guests.add(in_seconds(kept->second[guest_nice]), {{"cpu", cpu}, {"mode", "nice"}});
  }
  if (online.size() < look.cpu_ticks.size()) std::erase_if(look.cpu_ticks, [&](const auto& cpu) { return !online.contains(cpu.first); });
}

// Each core's count is told once, by its first thread; each package's by its first core.
void tell_throttles(Look& look, const Folder& cpus, const std::vector<std::string>& names) {
  auto& cores = look.page.counter("node_cpu_core_throttles_total", "Times that this core was slowed down for its heat.");
  auto& packages = look.page.counter("node_cpu_package_throttles_total", "Times that this package was slowed down for its heat.");
  std::set<std::pair<std::int64_t, std::int64_t>> cores_told;
  std::set<std::int64_t> packages_told;
  for (const auto& name : names) {
    const auto cpu = cpus.sub(name);
    const auto throttle = cpu.sub("thermal_throttle");
    if (!throttle.there()) continue;
    const auto topology = cpu.sub("topology");
    const auto package = topology.number("physical_package_id"), core = topology.number("core_id");
    if (!package || !core) continue;
    const auto package_text = std::to_string(*package), core_text = std::to_string(*core);
    const auto core_count = cores_told.contains({*package, *core}) ? std::nullopt : throttle.number("core_throttle_count");
    if (core_count && cores_told.emplace(*package, *core).second) cores.add(*core_count, {{"package", package_text}, {"core", core_text}});
    const auto package_count = packages_told.contains(*package) ? std::nullopt : throttle.number("package_throttle_count");
    if (package_count && packages_told.insert(*package).second) packages.add(*package_count, {{"package", package_text}});
  }
}

// "0-3,8": calls `see` with each number.
void each_of(std::string_view list, const std::function<void(std::uint64_t)>& see) {
  while (!list.empty()) {
    const auto part = list.substr(0, list.find(','));
    list.remove_prefix(std::min(part.size() + 1, list.size()));
    const auto dash = part.find('-');
    const auto first = count_of(part.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : count_of(part.substr(dash + 1));
    if (first && last && *last < 65536)
      for (auto i = *first; i <= *last; ++i) see(i);
  }
}

}  // namespace

bool collect_cpu(Look& look) {
  const auto stat = look.proc.text("stat", look.room);
  if (!stat) return false;
  tell_time(look, *stat);
  const auto cpus = look.sys.sub("devices/system/cpu");
  const auto names = cpus.numbered("cpu");
  auto& isolated = look.page.gauge("node_cpu_isolated", "CPUs that the scheduler leaves alone, always 1.");
  each_of(cpus.attribute("isolated").value_or(""), [&](std::uint64_t cpu) { isolated.add(1, {{"cpu", std::to_string(cpu)}}); });
  tell_throttles(look, cpus, names);
  // Where the first CPU cannot be taken out, none is told.
  auto& online = look.page.gauge("node_cpu_online", "Whether the CPU is online.");
  if (names.empty() || !cpus.sub(names.front()).attribute("online")) return true;
  for (const auto& name : names) online.add(cpus.sub(name).number("online") == 1 ? 1 : 0, {{"cpu", std::string_view(name).substr(3)}});
  return true;
}

bool collect_cpufreq(Look& look) {
  struct Figure {
    const char *file, *name, *help;
  };
  static constexpr std::array figures = {
      Figure{"cpuinfo_cur_freq", "node_cpu_frequency_hertz", "Frequency of the CPU now."},
      Figure{"cpuinfo_avg_freq", "node_cpu_frequency_avg_hertz", "Average frequency of the CPU."},
      Figure{"cpuinfo_min_freq", "node_cpu_frequency_min_hertz", "Lowest frequency of the CPU."},
      Figure{"cpuinfo_max_freq", "node_cpu_frequency_max_hertz", "Highest frequency of the CPU."},
      Figure{"scaling_cur_freq", "node_cpu_scaling_frequency_hertz", "Frequency that the CPU is set to now."},
      Figure{"scaling_min_freq", "node_cpu_scaling_frequency_min_hertz", "Lowest frequency that the CPU may be set to."},
      Figure{"scaling_max_freq", "node_cpu_scaling_frequency_max_hertz", "Highest frequency that the CPU may be set to."}};
  const auto cpus = look.sys.sub("devices/system/cpu");
  if (!cpus.there()) return false;
  std::set<std::string> offline;
  each_of(cpus.attribute("offline").value_or(""), [&](std::uint64_t cpu) { offline.insert("cpu" + std::to_string(cpu)); });
  auto& governor = look.page.gauge("node_cpu_scaling_governor", "Which governor sets the CPU's frequency.");
  for (const auto& name : cpus.numbered("cpu")) {
    if (offline.contains(name)) continue;
    const auto frequencies = cpus.sub(name + "/cpufreq");
    if (!frequencies.there()) continue;
    const auto cpu = std::string_view(name).substr(3);
    for (const auto& figure : figures)
      if (const auto kilohertz = frequencies.number(figure.file))
        look.page.gauge(figure.name, figure.help).add(*kilohertz * 1000, {{"cpu", cpu}});
    const auto current = frequencies.attribute("scaling_governor").value_or("");
    const auto available = frequencies.attribute("scaling_available_governors").value_or("");
    if (current.empty()) continue;
    for (std::string_view rest = available; !rest.empty();)
      if (const auto word = take_word(rest); !word.empty()) governor.add(word == current ? 1 : 0, {{"cpu", cpu}, {"governor", word}});
  }
  return true;
}

bool collect_schedstat(Look& look) {
  const auto text = look.proc.text("schedstat", look.room);
  if (!text) return false;
  auto& running = look.page.counter("node_schedstat_running_seconds_total", "Seconds that the CPU ran processes.");
  auto& waiting = look.page.counter("node_schedstat_waiting_seconds_total", "Seconds that processes waited for this CPU.");
  auto& slices = look.page.counter("node_schedstat_timeslices_total", "Time slices that the CPU ran.");
  for (auto rest = *text; !rest.empty();) {
    auto line = take_line(rest);
    auto cpu = take_word(line);
    if (!cpu.starts_with("cpu")) continue;
    cpu.remove_prefix(3);
    for (int skipped = 0; skipped < 6; ++skipped) static_cast<void>(take_word(line));
    const auto ran = count_of(take_word(line)), waited = count_of(take_word(line)), ran_slices = count_of(take_word(line));
    if (!all_digits(cpu) || !ran || !waited || !ran_slices) continue;
    running.add(static_cast<double>(*ran) / 1e9, {{"cpu", cpu}});
    waiting.add(static_cast<double>(*waited) / 1e9, {{"cpu", cpu}});
    slices.add(*ran_slices, {{"cpu", cpu}});
  }
  return true;
}

}  // namespace cloudos::metrics
