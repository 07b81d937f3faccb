#include <algorithm>
#include <array>
#include <format>

#include <fcntl.h>
#include <unistd.h>

#include "agent/facts/lines.hpp"
#include "agent/facts/parse.hpp"
#include "agent/health/sample.hpp"
#include "core/base/text.hpp"
#include "core/os/kernel_files/kernel_files.hpp"

namespace cloudos::health {

namespace fs = std::filesystem;

namespace {

using os::names_in;
using os::text_of;

std::uint64_t count_of(const fs::path& file) { return os::number_of(file).value_or(0); }

// File systems on devices of this machine, each once. Those over the network are left out: asking one whose server is gone
// would hang.
void look_at_file_systems(const Senses& senses, Sample& sample) {
  static constexpr std::array types = {"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "bcachefs", "vfat"};
  const auto mounts = facts::parse_mountinfo(text_of(senses.roots.procfs / "self/mountinfo"));
  if (mounts.empty()) return;
  auto& out = sample.file_systems.emplace();
  for (const auto& mount : mounts) {
    // What lies over it hides it, whatever that is.
    if (!std::ranges::contains(types, mount.type)) std::erase_if(out, [&](const auto& fs) { return fs.path == mount.path; });
    if (mount.subtree != "/" || !std::ranges::contains(types, mount.type)) continue;
    // A later mount on the same path hides the earlier; a device that is mounted twice is one.
    const auto same = std::ranges::find_if(out, [&](const auto& fs) { return fs.path == mount.path || fs.device == mount.device; });
    if (same != out.end() && same->path != mount.path) continue;
    auto& system = same != out.end() ? *same : out.emplace_back();
    // Of the file system itself: a service sees its mounts read-only where its unit says so (ProtectSystem).
    system = {.path = mount.path,
              .device = mount.device,
              .type = mount.type,
              .read_only = std::ranges::contains(split(mount.super_options, ','), "ro")};
  }
  for (auto& system : out) {
    if (!senses.space) continue;
    const auto space = senses.space(senses.roots.at(system.path));
    if (!space) continue;
    system.total = space->total;
    system.free = space->free;
    system.inodes_total = space->inodes_total;
    system.inodes_free = space->inodes_free;
  }
}

void look_at_limits(const Senses& senses, Sample& sample) {
  const auto& procfs = senses.roots.procfs;
  // proc_loadavg(5): the fourth field is "runnable/all" of processes and threads.
  const auto load = split(text_of(procfs / "loadavg"), ' ');
  if (load.size() >= 4) {
    const auto slash = load[3].find('/');
    const auto all = slash == std::string::npos ? Result<std::uint64_t>(0) : parse_number(load[3].substr(slash + 1), 0, ~0ULL);
    const auto limit = std::min(count_of(procfs / "sys/kernel/pid_max"), count_of(procfs / "sys/kernel/threads-max"));
    if (all && *all > 0 && limit > 0) sample.pids = Sample::Use{.used = *all, .limit = limit};
  }
  const auto conntrack = procfs / "sys/net/netfilter";
  if (const auto limit = count_of(conntrack / "nf_conntrack_max"); limit > 0)
    sample.conntrack = Sample::Use{.used = count_of(conntrack / "nf_conntrack_count"), .limit = limit};
  sample.tainted = count_of(procfs / "sys/kernel/tainted");
}

void look_at_links(const Senses& senses, Sample& sample) {
  const auto folder = senses.roots.sysfs / "class/net";
  if (!fs::exists(folder)) return;
  auto& out = sample.links.emplace();
  for (const auto& name : names_in(folder)) {
    if (!fs::exists(folder / name / "device")) continue;
    out.push_back({.name = name,
                   .carrier = text_of(folder / name / "carrier") == "1",
                   .duplex = text_of(folder / name / "duplex"),
                   .carrier_changes = count_of(folder / name / "carrier_changes")});
  }
}

// How often packages were too hot (Documentation/admin-guide/thermal/intel: thermal_throttle); its CPUs all count alike.
void look_at_heat(const Senses& senses, Sample& sample) {
  const auto folder = senses.roots.sysfs / "devices/system/cpu";
  for (const auto& name : names_in(folder)) {
    const auto throttle = folder / name / "thermal_throttle/package_throttle_count";
    if (!name.starts_with("cpu") || !fs::exists(throttle)) continue;
    auto& count = sample.cpu_throttles["package " + text_of(folder / name / "topology/physical_package_id")];
    count = std::max(count, count_of(throttle));
  }
}

// Documentation/admin-guide/ras.rst.
void look_at_memory(const Senses& senses, Sample& sample) {
  const auto folder = senses.roots.sysfs / "devices/system/edac/mc";
  for (const auto& name : names_in(folder)) {
    if (!name.starts_with("mc") || !fs::exists(folder / name / "ce_count")) continue;
    sample.memory_errors[name] = {.corrected = count_of(folder / name / "ce_count"), .uncorrected = count_of(folder / name / "ue_count")};
  }
}

}  // namespace

Sample look(const Senses& senses) {
  Sample sample;
  look_at_file_systems(senses, sample);
  look_at_limits(senses, sample);
  look_at_links(senses, sample);
  look_at_heat(senses, sample);
  look_at_memory(senses, sample);
  return sample;
}

Result<KernelLog> KernelLog::open(const fs::path& path) {
  CLOUDOS_ASSIGN(auto fd, os::open(path, O_RDONLY | O_NONBLOCK));
  return KernelLog(std::move(fd));
}

Result<std::vector<KernelLine>> KernelLog::read(std::size_t most) {
  std::vector<KernelLine> out;
  std::array<char, 8192> buffer{};  // the longest record, CONSOLE_EXT_LOG_MAX
  while (out.size() < most) {
    const auto got = ::read(fd_.get(), buffer.data(), buffer.size());
    if (got < 0 && (errno == EPIPE || errno == EINTR)) continue;  // EPIPE: the next record was overwritten, there are later ones
    if (got < 0 && errno == EAGAIN) break;
    if (got < 0) return fail_errno("reading the kernel's log", errno);
    if (got == 0) break;
    // The device gives one record a read; a file gives pieces of lines. A record ends with a newline too.
    rest_.append(buffer.data(), static_cast<std::size_t>(got));
    std::size_t start = 0;
    for (auto end = rest_.find('\n'); end != std::string::npos; end = rest_.find('\n', start)) {
      const auto line = std::string_view(rest_).substr(start, end - start);
      // Continuation lines (" SUBSYSTEM=…") belong to the record before.
      if (!line.empty() && !line.starts_with(' ')) out.push_back(parse_kernel_line(line));
      start = end + 1;
    }
    rest_.erase(0, start);
    if (rest_.size() > buffer.size() * 2) rest_.clear();  // no line is that long
  }
  return out;
}

}  // namespace cloudos::health
