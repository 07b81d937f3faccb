#include <algorithm>
#include <format>

#include <sys/stat.h>
#include <unistd.h>

#include "agent/facts/look.hpp"
#include "core/base/text.hpp"

namespace cloudos::facts {

namespace fs = std::filesystem;

namespace {

using Feature = model::HostFacts::Feature;

// Makes and removes a group, which is what the kubelet and runc must be able to do.
Feature try_group(const fs::path& hierarchy) {
  const auto group = hierarchy / std::format("cloudos-trial-{}", getpid());
  if (mkdir(group.c_str(), 0755) != 0) return {.reason = fail_errno("making a group in " + hierarchy.string(), errno).error().message};
  rmdir(group.c_str());
  return {.works = true};
}

// Version 1: each controller has a hierarchy of its own, mounted anywhere.
void version_1(const Roots& roots, model::HostFacts& facts) {
  const auto mounts = parse_mountinfo(text_of(roots.procfs / "self/mountinfo"));
  for (const auto* name : {"cpu", "cpuset", "memory", "pids", "devices", "freezer"}) {
    auto& feature = facts.features[std::string("cgroup-") + name];
    const auto mount = std::ranges::find_if(
        mounts, [&](const auto& m) { return m.type == "cgroup" && std::ranges::contains(split(m.super_options, ','), name); });
    if (mount == mounts.end()) {
      feature.reason = std::format("no cgroup version 1 hierarchy with the {} controller is mounted", name);
      continue;
    }
    facts.cgroup.controllers.emplace_back(name);
    if (mount->read_only) feature.reason = mount->path + " is mounted read-only";
    else if (roots.real()) feature = try_group(mount->path);
    else feature.works = true;
  }
}

// Version 2: one hierarchy; devices are guarded by BPF programs and the freezer is part of the core (cgroup-v2.rst).
void version_2(const Roots& roots, std::string_view controllers, model::HostFacts& facts) {
  facts.cgroup.controllers = split(controllers, ' ');
  const auto tried = roots.real() ? try_group(roots.sysfs / "fs/cgroup") : Feature{.works = true};
  for (const auto* name : {"cpu", "cpuset", "memory", "pids", "devices", "freezer"}) {
    const bool in_core = std::string_view(name) == "devices" || std::string_view(name) == "freezer";
    auto& feature = facts.features[std::string("cgroup-") + name];
    if (in_core || std::ranges::contains(facts.cgroup.controllers, name)) feature = tried;
    else feature.reason = std::format("the {} controller is not in cgroup.controllers", name);
  }
}

}  // namespace

void look_at_cgroups(const Roots& roots, model::HostFacts& facts) {
  const auto controllers = text_of(roots.sysfs / "fs/cgroup/cgroup.controllers");
  facts.cgroup.version = controllers.empty() ? 1 : 2;
  if (controllers.empty()) version_1(roots, facts);
  else version_2(roots, controllers, facts);
  // With version 2 systemd owns the tree and delegates; two writers would fight, so it does the work. With version 1 a
  // systemd that is new enough for containers gives only some controllers to the groups that it makes (256 and later
  // refuse version 1 unless told otherwise), so the groups are made by hand.
  facts.cgroup.driver = facts.cgroup.version == 2 && facts.init.name == "systemd" ? "systemd" : "cgroupfs";
}

}  // namespace cloudos::facts
