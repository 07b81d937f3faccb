#include "installer/sandbox/cgroup.hpp"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <format>
#include <ranges>
#include <set>
#include <thread>

#include "core/base/text.hpp"
#include "core/os/file/file.hpp"

namespace cloudos::sandbox {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t period_us = 100'000;  // of the CPU quota: the kernel's default

struct Mount {
  std::string root, point, type;
  std::vector<std::string> options;  // of the superblock: the controllers among them
};

std::vector<Mount> cgroup_mounts(std::string_view mountinfo) {
  std::vector<Mount> mounts;
  for (const auto& line : split(mountinfo, '\n')) {
    const auto words = split(line, ' ');
    const auto dash = std::ranges::find(words, "-");
    if (words.size() < 6 || words.end() - dash < 4) continue;
    if (!dash[1].starts_with("cgroup")) continue;
    mounts.push_back({.root = words[3], .point = words[4], .type = dash[1], .options = split(dash[3], ',')});
  }
  return mounts;
}

// Below a mount that does not show the whole hierarchy (a container), paths are seen from its root.
fs::path below(const Mount& mount, std::string path) {
  if (mount.root != "/" && path.starts_with(mount.root)) path = path.substr(mount.root.size());
  const auto relative = std::string(path.starts_with('/') ? path.substr(1) : path);
  return relative.empty() ? fs::path(mount.point) : fs::path(mount.point) / relative;
}

Status put(const fs::path& file, std::string_view value) {
  CLOUDOS_ASSIGN(const auto fd, os::open(file, O_WRONLY));
  if (::write(fd.get(), value.data(), value.size()) < 0)
    return fail_errno(std::format("write {} to {}", trim(value), file.string()), errno);
  return {};
}

std::vector<fs::path> with_children(const fs::path& group) {
  std::vector<fs::path> all{group};
  std::error_code error;
  for (fs::recursive_directory_iterator at(group, error), end; !error && at != end; at.increment(error))
    if (at->is_directory(error)) all.push_back(at->path());
  return all;
}

std::set<pid_t> processes(const std::vector<fs::path>& groups) {
  std::set<pid_t> pids;
  for (const auto& top : groups)
    for (const auto& group : with_children(top)) {
      const auto text = os::read_if_any(group / "cgroup.procs");
      if (!text || !*text) continue;
      for (const auto& line : split(**text, '\n'))
        if (const auto pid = parse_number(trim(line), 1, 1U << 30)) pids.insert(static_cast<pid_t>(*pid));
    }
  return pids;
}

// A frozen process of v1 takes no signal until it is thawed.
void kill_all(const std::vector<fs::path>& groups) {
  for (const auto& top : groups)
    for (const auto& group : with_children(top)) {
      std::error_code error;
      if (fs::exists(group / "freezer.state", error)) (void)put(group / "freezer.state", "THAWED");
      if (fs::exists(group / "cgroup.kill", error)) (void)put(group / "cgroup.kill", "1");
    }
  for (const auto pid : processes(groups)) ::kill(pid, SIGKILL);
}

std::string quota(double cpus) { return cpus > 0 ? std::format("{}", std::llround(cpus * static_cast<double>(period_us))) : "-1"; }

Status limit_v1(const fs::path& group, const std::string& controller, const MachineSize& limits) {
  if (controller == "cpuset") {
    // A new group of v1 has no CPU and no memory node, and takes no process until it has (cpusets.rst).
    CLOUDOS_TRY(put(group / "cgroup.clone_children", "1"));
    for (const auto* file : {"cpuset.cpus", "cpuset.mems"}) {
      CLOUDOS_ASSIGN(const auto of_parent, os::read(group.parent_path() / file));
      CLOUDOS_TRY(put(group / file, of_parent));
    }
  }
  if (controller == "memory") {
    CLOUDOS_TRY(put(group / "memory.limit_in_bytes", std::to_string(limits.memory.count)));
    // Memory and swap together: a machine that may not swap, as the kubelet wants it. Absent without swap accounting.
    std::error_code error;
    if (fs::exists(group / "memory.memsw.limit_in_bytes", error))
      CLOUDOS_TRY(put(group / "memory.memsw.limit_in_bytes", std::to_string(limits.memory.count)));
  }
  if (controller == "cpu") {
    CLOUDOS_TRY(put(group / "cpu.cfs_period_us", std::to_string(period_us)));
    CLOUDOS_TRY(put(group / "cpu.cfs_quota_us", quota(limits.cpus)));
  }
  return {};
}

Status limit_v2(const fs::path& group, const MachineSize& limits) {
  std::error_code error;
  if (!fs::exists(group / "memory.max", error))
    return fail(ErrorKind::refused, std::format("the memory controller is not available in {}", group.parent_path().string()),
                "boot this computer without cgroup_disable=memory");
  CLOUDOS_TRY(put(group / "memory.max", std::to_string(limits.memory.count)));
  if (fs::exists(group / "memory.swap.max", error)) CLOUDOS_TRY(put(group / "memory.swap.max", "0"));
  const auto cpu = limits.cpus > 0 ? quota(limits.cpus) : "max";
  if (limits.cpus > 0 || fs::exists(group / "cpu.max", error)) CLOUDOS_TRY(put(group / "cpu.max", std::format("{} {}", cpu, period_us)));
  return {};
}

bool matches(const std::string& name, const std::string& group) {
  if (group.ends_with('.')) return name.starts_with(group);
  return name == group || name == group + ".scope";
}

}  // namespace

Result<Cgroups> parse_cgroups(std::string_view self_cgroup, std::string_view mountinfo) {
  const auto mounts = cgroup_mounts(mountinfo);
  Cgroups found;
  std::optional<Hierarchy> v2;
  for (const auto& line : split(self_cgroup, '\n')) {
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const auto controllers = line.substr(first + 1, second - first - 1);
    const auto names = split(controllers, ',');
    for (const auto& mount : mounts) {
      if (controllers.empty() && mount.type == "cgroup2") v2 = Hierarchy{.controllers = {}, .mount = mount.point, .parent = mount.point};
      if (controllers.empty() || mount.type != "cgroup") continue;
      if (!std::ranges::all_of(names, [&](const auto& one) { return std::ranges::contains(mount.options, one); })) continue;
      found.hierarchies.push_back({.controllers = names, .mount = mount.point, .parent = below(mount, line.substr(second + 1))});
      break;
    }
  }
  const auto has = [&](std::string_view controller) {
    return std::ranges::any_of(found.hierarchies, [&](const auto& one) { return std::ranges::contains(one.controllers, controller); });
  };
  if (has("memory")) {
    // The hybrid layout: systemd-nspawn makes its payload group in the systemd hierarchy by the path that it has in v2, so
    // without a group there all machines would share one.
    if (v2) found.hierarchies.push_back(*v2);
    return found;
  }
  // v1 hierarchies without the memory controller are a systemd hybrid layout of a v2 host: v2 has it.
  if (v2) return Cgroups{.unified = true, .hierarchies = {*v2}};
  return fail(ErrorKind::refused, "no control group hierarchy with a memory controller is mounted on this computer",
              "mount cgroup2 on /sys/fs/cgroup");
}

Result<Cgroups> cgroups_here() {
  CLOUDOS_ASSIGN(const auto own, os::read("/proc/self/cgroup"));
  CLOUDOS_ASSIGN(const auto mounts, os::read("/proc/self/mountinfo"));
  return parse_cgroups(own, mounts);
}

Status make_groups(const Cgroups& cgroups, const std::string& group, const MachineSize& limits) {
  for (const auto& hierarchy : cgroups.hierarchies) {
    // Each by itself: one that the kernel lacks must not cost the others.
    if (cgroups.unified)
      for (const auto* controller : {"+memory", "+cpu", "+cpuset", "+io", "+pids", "+hugetlb"})
        (void)put(hierarchy.parent / "cgroup.subtree_control", controller);
    const auto path = hierarchy.parent / group;
    std::error_code error;
    fs::create_directory(path, error);
    if (error) return fail(ErrorKind::io, std::format("make control group {}: {}", path.string(), error.message()));
    if (cgroups.unified) CLOUDOS_TRY(limit_v2(path, limits));
    for (const auto& controller : hierarchy.controllers) CLOUDOS_TRY(limit_v1(path, controller, limits));
  }
  return {};
}

Status enter_groups(const Cgroups& cgroups, const std::string& group) {
  for (const auto& hierarchy : cgroups.hierarchies) CLOUDOS_TRY(put(hierarchy.parent / group / "cgroup.procs", std::to_string(::getpid())));
  return {};
}

std::vector<fs::path> find_groups(const Cgroups& cgroups, const std::string& group) {
  std::vector<fs::path> found;
  for (const auto& hierarchy : cgroups.hierarchies) {
    std::error_code error;
    for (fs::recursive_directory_iterator at(hierarchy.mount, error), end; !error && at != end; at.increment(error)) {
      if (!at->is_directory(error)) continue;
      const auto name = at->path().filename().string();
      if (name.starts_with("cloudos-sandbox.")) at.disable_recursion_pending();  // a machine's own tree is deep
      if (matches(name, group)) found.push_back(at->path());
    }
  }
  return found;
}

bool populated(const std::vector<fs::path>& groups) { return !processes(groups).empty(); }

Status destroy_groups(const Cgroups& cgroups, const std::string& group) {
  const auto groups = find_groups(cgroups, group);
  const auto deadline = in(Milliseconds{10'000});
  while (populated(groups)) {
    if (std::chrono::steady_clock::now() > deadline)
      return fail(ErrorKind::timeout, std::format("processes of {} do not die", group), "look at them in " + groups.front().string());
    kill_all(groups);
    std::this_thread::sleep_for(Milliseconds{10});
  }
  for (const auto& top : groups) {
    const auto all = with_children(top);
    // The kernel may hold a group that has just been emptied for a moment longer (EBUSY).
    for (const auto& one : all | std::views::reverse)
      while (::rmdir(one.c_str()) != 0 && errno == EBUSY && std::chrono::steady_clock::now() < deadline)
        std::this_thread::sleep_for(Milliseconds{10});
    std::error_code error;
    if (fs::exists(top, error)) return fail(ErrorKind::io, std::format("control group {} cannot be removed", top.string()));
  }
  return {};
}

}  // namespace cloudos::sandbox
