#include "agent/usage/usage.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <thread>

#include <unistd.h>

#include "agent/facts/hierarchy.hpp"
#include "agent/facts/lines.hpp"
#include "agent/facts/parse.hpp"
#include "agent/facts/parse_devices.hpp"
#include "agent/usage/gpus.hpp"
#include "core/model/paths.hpp"
#include "core/os/file/file.hpp"
#include "core/os/kernel_files/kernel_files.hpp"

namespace cloudos::usage {

namespace {

constexpr std::int64_t second_us = 1'000'000;

using os::number_of;
using os::text_of;

// Which counters are this machine's.
class Source {
 public:
  explicit Source(const facts::Roots& roots) : roots_(roots) {
    // Written by PID 1 when something started it as a container (systemd-detect-virt's source).
    container_ = !text_of(roots.at("/run/systemd/container")).empty();
    if (!container_) return;
    time_ = facts::hierarchy_of(roots, "cpuacct");
    memory_ = facts::hierarchy_of(roots, "memory");
    quota_ = facts::hierarchy_of(roots, "cpu");
    if (time_ && !group_time()) time_.reset();
    if (memory_ && !facts::working_set(*memory_, memory_->machine())) memory_.reset();
  }

  [[nodiscard]] bool container() const { return container_; }
  [[nodiscard]] bool groups() const { return time_ && memory_; }

  // CPU time since some beginning, in microseconds.
  [[nodiscard]] std::optional<std::int64_t> cpu_us() const { return time_ ? group_time() : stat_time(); }

  [[nodiscard]] std::int64_t cores_m() const {
    std::int64_t online = 0;
    const auto text = text_of(roots_.procfs / "stat");
    for (const auto line : facts::lines_of(text))
      if (line.starts_with("cpu") && line.size() > 3 && line[3] != ' ') ++online;
    const auto limit = quota_ ? quota_m() : std::nullopt;
    return limit ? std::min(online * 1000, *limit) : online * 1000;
  }

  [[nodiscard]] model::Usage::Memory memory(const model::HostFacts& facts) const {
    if (memory_) {
      const auto used = facts::working_set(*memory_, memory_->machine());
      return {.total = facts.memory.total, .used = used.value_or(Bytes{})};
    }
    const auto now = facts::parse_meminfo(text_of(roots_.procfs / "meminfo"));
    return {.total = now.total, .used = {now.total.count - std::min(now.total.count, now.available.count)}};
  }

 private:
  // proc_stat(5): "cpu  user nice system idle iowait irq softirq steal guest guest_nice"; guest is within user.
  [[nodiscard]] std::optional<std::int64_t> stat_time() const {
    const auto text = text_of(roots_.procfs / "stat");
    const auto words = facts::words_of(std::string_view(text).substr(0, text.find('\n')));
    if (words.size() < 8 || words[0] != "cpu") return std::nullopt;
    std::int64_t ticks = 0;
    for (const std::size_t at : {1U, 2U, 3U, 6U, 7U}) ticks += facts::number<std::int64_t>(words[at]);
    return ticks * (second_us / std::max(1L, ::sysconf(_SC_CLK_TCK)));
  }

  [[nodiscard]] std::optional<std::int64_t> group_time() const {
    if (time_->version == 1) {
      const auto nanoseconds = number_of(time_->machine() / "cpuacct.usage");
      return nanoseconds ? std::optional(static_cast<std::int64_t>(*nanoseconds / 1000)) : std::nullopt;
    }
    const auto stat = facts::parse_properties(text_of(time_->machine() / "cpu.stat"));
    const auto usage = stat.find("usage_usec");
    return usage != stat.end() ? std::optional(static_cast<std::int64_t>(usage->second)) : std::nullopt;
  }

  // What the group may use, in thousandths of a CPU.
  [[nodiscard]] std::optional<std::int64_t> quota_m() const {
    std::int64_t quota = 0, period = 0;
    if (quota_->version == 1) {
      quota = facts::number<std::int64_t>(text_of(quota_->machine() / "cpu.cfs_quota_us"));  // -1: none
      period = facts::number<std::int64_t>(text_of(quota_->machine() / "cpu.cfs_period_us"));
    } else {
      const auto text = text_of(quota_->machine() / "cpu.max");  // "max 100000"
      const auto words = facts::words_of(text);
      if (words.size() == 2) quota = facts::number<std::int64_t>(words[0]), period = facts::number<std::int64_t>(words[1]);
    }
    return quota > 0 && period > 0 ? std::optional(quota * 1000 / period) : std::nullopt;
  }

  const facts::Roots& roots_;
  bool container_ = false;
  std::optional<facts::Hierarchy> time_, memory_, quota_;
};

void look_at_file_systems(const model::HostFacts& facts, const facts::Roots& roots, model::Usage& usage) {
  for (const auto& mount : facts.mounts) {
    const auto space = os::space_of(roots.at(mount.path));
    if (!space) {
      usage.unknown["file_systems." + mount.path] = space.error().message;
      continue;
    }
    usage.file_systems.push_back({.path = mount.path, .device = mount.device, .total = space->total, .used = space->used});
  }
  const auto mounts = facts::parse_mountinfo(text_of(roots.procfs / "self/mountinfo"));
  const auto* below = facts::mount_of(mounts, paths::kubelet_state);
  for (auto& system : usage.file_systems) system.pods = below != nullptr && system.path == below->path;
}

void look_at_load(const facts::Roots& roots, model::Usage& usage) {
  const auto words = split(text_of(roots.procfs / "loadavg"), ' ');
  for (std::size_t i = 0; i < 3 && words.size() >= 3; ++i) {
    const auto dot = words[i].find('.');
    if (dot == std::string::npos || words[i].size() != dot + 3) return usage.load_m.clear();
    usage.load_m.push_back(facts::number<std::int64_t>(words[i].substr(0, dot)) * 1000 +
                           facts::number<std::int64_t>(words[i].substr(dot + 1)) * 10);
  }
}

std::int64_t microseconds(auto span) { return std::chrono::duration_cast<std::chrono::microseconds>(span).count(); }

// A reading and when it was taken: the middle of the time that it took.
struct Reading {
  std::chrono::steady_clock::time_point at;
  std::int64_t wall_us = 0, cpu_us = 0;
};
Result<Reading> read(const Source& source) {
  const auto before = std::chrono::steady_clock::now();
  const auto wall = std::chrono::system_clock::now();
  const auto time = source.cpu_us();
  if (!time) return fail(ErrorKind::io, "the kernel's count of CPU time cannot be read");
  const auto half = (std::chrono::steady_clock::now() - before) / 2;
  return Reading{.at = before + half, .wall_us = microseconds((wall + half).time_since_epoch()), .cpu_us = *time};
}

}  // namespace

Result<model::Usage> take(const model::HostFacts& facts, const Options& options) {
  const Source source(options.roots);
  GpuReadings gpus(facts, options);
  CLOUDOS_ASSIGN(const auto first, read(source));
  if (options.pause) options.pause(options.span);
  else std::this_thread::sleep_for(options.span);
  CLOUDOS_ASSIGN(const auto second, read(source));
  model::Usage usage{.node = facts.kubernetes.node_name.empty() ? facts.hostname : facts.kubernetes.node_name,
                     .source = source.groups() ? "group" : "machine",
                     .cpu = {.at_us = second.wall_us,
                             .span_us = microseconds(second.at - first.at),
                             .used_us = std::max<std::int64_t>(0, second.cpu_us - first.cpu_us),
                             .cores_m = source.cores_m()},
                     .memory = source.memory(facts)};
  if (source.container() && !source.groups())
    usage.unknown["source"] = "this container's control group has no figures of CPU time and memory; some are its host's";
  look_at_file_systems(facts, options.roots, usage);
  look_at_load(options.roots, usage);
  gpus.tell(usage);
  return usage;
}

}  // namespace cloudos::usage
