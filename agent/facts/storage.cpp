#include <algorithm>
#include <array>
#include <set>

#include "agent/facts/look.hpp"
#include "core/base/text.hpp"
#include "core/model/paths.hpp"
#include "core/os/file/file.hpp"

namespace cloudos::facts {

namespace {

constexpr std::array ours = {
    "/", paths::state, paths::config, paths::runtime, paths::kubelet_state, paths::etcd_state, paths::kubernetes, "/var/log"};

// A file system on a device of this machine, seen whole. Not those over the network: asking a server that is gone for its
// free space would hang; and not what the kubelet and the runtime mount for pods.
bool worth_telling(const MountLine& mount) {
  static constexpr std::array types = {"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "jfs", "reiserfs", "bcachefs", "vfat"};
  return mount.subtree == "/" && std::ranges::contains(types, mount.type) &&
         !mount.path.starts_with(std::string(paths::kubelet_state) + "/") && !mount.path.starts_with(std::string(paths::runtime) + "/");
}

bool over_network(const MountLine& mount) {
  return mount.type.starts_with("nfs") || mount.type.starts_with("fuse") || mount.type == "cifs" || mount.type == "smb3" ||
         mount.type == "ceph" || mount.type == "9p" || mount.type == "autofs";
}

void add_mount(const MountLine& mount, const Roots& roots, model::HostFacts& facts) {
  model::HostFacts::Mount out{.path = mount.path, .device = mount.device, .type = mount.type, .read_only = mount.read_only};
  if (roots.real() && !over_network(mount)) {
    if (const auto space = os::space_of(mount.path)) {
      out.total = space->total;
      out.free = space->free;
      out.inodes_total = space->inodes_total;
      out.inodes_free = space->inodes_free;
    } else {
      facts.unknown["mount " + mount.path] = space.error().message;
    }
  }
  facts.mounts.push_back(std::move(out));
}

void look_at_mounts(const Roots& roots, model::HostFacts& facts) {
  const auto mounts = parse_mountinfo(text_of(roots.procfs / "self/mountinfo"));
  if (mounts.empty()) facts.unknown["mounts"] = "self/mountinfo is empty";
  std::set<std::string> told;
  for (const auto* folder : ours) {
    if (const auto* mount = mount_of(mounts, folder); mount != nullptr && told.insert(mount->path).second) add_mount(*mount, roots, facts);
  }
  for (const auto& mount : mounts) {
    if (worth_telling(mount) && told.insert(mount.path).second) add_mount(mount, roots, facts);
  }
  std::ranges::sort(facts.mounts, {}, &model::HostFacts::Mount::path);
  if (!roots.real()) facts.unknown["mounts.free"] = "only asked on the machine itself";
}

void look_at_disks(const Roots& roots, model::HostFacts& facts) {
  for (const auto& name : names_in(roots.sysfs / "block")) {
    static constexpr std::array virtual_ones = {"loop", "ram", "zram", "dm-", "sr", "fd", "nbd"};
    if (std::ranges::any_of(virtual_ones, [&](std::string_view prefix) { return name.starts_with(prefix); })) continue;
    const auto folder = roots.sysfs / "block" / name;
    // The size is in sectors of 512 bytes whatever the device's own sector size (Documentation/ABI/stable/sysfs-block).
    facts.disks.push_back({.name = name,
                           .model = text_of(folder / "device/model"),
                           .size = Bytes{parse_number(text_of(folder / "size"), 0, 1ULL << 54U).value_or(0) * 512},
                           .rotational = text_of(folder / "queue/rotational") == "1",
                           .numa_node = numa_node_of(folder / "device").value_or(-1)});
  }
}

}  // namespace

void look_at_storage(const Roots& roots, model::HostFacts& facts) {
  look_at_mounts(roots, facts);
  look_at_disks(roots, facts);
}

}  // namespace cloudos::facts
