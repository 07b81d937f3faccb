#include <algorithm>
#include <format>
#include <map>
#include <set>

#include "core/base/text.hpp"
#include "core/model/paths.hpp"
#include "core/plan/checks.hpp"

namespace cloudos::plan {
namespace {

using Mount = model::HostFacts::Mount;

// Files of a typical layer with a distribution's programs in it. An index does not say how many files a layer has.
constexpr std::uint64_t inodes_of_layer = 2000;

struct Need {
  Bytes bytes;
  std::uint64_t inodes = 0;
};

// The file system that holds a path: the mount with the longest path above it.
const Mount* mount_of(const model::HostFacts& facts, std::string_view path) {
  const Mount* best = nullptr;
  for (const auto& mount : facts.mounts) {
    const bool above = mount.path == "/" || path == mount.path || path.starts_with(mount.path + "/");
    if (above && (!best || mount.path.size() > best->path.size())) best = &mount;
  }
  return best;
}

// What of the bundle goes to a machine, as it is stored, installed and unpacked.
struct Whole {
  Bytes stored, files, layers, unpacked;
  std::uint64_t blobs = 0, installed = 0, layer_count = 0;
};

// Counts each blob once, however many files and images share it.
class Sum {
 public:
  Sum(const model::BundleIndex& bundle, bool master) : bundle_(bundle) {
    for (const auto& component : bundle.components) {
      for (const auto& file : component.files) add(file);
      for (const auto& image : component.images)
        if (master || image.phase != "control-plane") add(image);
    }
  }
  [[nodiscard]] const Whole& whole() const { return whole_; }

 private:
  Bytes take(const Digest& digest) {
    const auto blob = bundle_.blobs.find(digest.hex());
    if (blob == bundle_.blobs.end() || !seen_.insert(digest).second) return {};
    whole_.stored += blob->second.size;
    ++whole_.blobs;
    return blob->second.size;
  }
  void add(const model::BundleFile& file) {
    take(file.digest);
    whole_.files += file.content_size;
    ++whole_.installed;
  }
  void add(const model::BundleImage& image) {
    take(image.digest);
    take(image.config);
    for (const auto& layer : image.layers) {
      if (!seen_.contains(layer)) ++whole_.layer_count;
      whole_.layers += take(layer);
    }
    whole_.unpacked += image.unpacked;
  }

  const model::BundleIndex& bundle_;
  std::set<Digest> seen_;
  Whole whole_;
};

// The part of `all` that goes with the bytes still missing.
Bytes share(Bytes all, Bytes missing, Bytes stored) {
  if (stored.count == 0) return {};
  const auto part = static_cast<double>(std::min(missing.count, stored.count)) / static_cast<double>(stored.count);
  return {static_cast<std::uint64_t>(static_cast<double>(all.count) * part)};
}

// What is still to be written, by the folder it goes to.
std::map<std::string, Need> needs(const Input& input, const Member& member) {
  const auto found = input.missing.find(member.id());
  const auto missing = found == input.missing.end() ? Bytes{} : found->second;
  if (missing.count == 0) return {};
  const auto all = Sum(input.bundle, member.master()).whole();
  const auto part = [&](Bytes of) { return share(of, missing, all.stored); };
  return {{paths::store, {missing, all.blobs}},
          {paths::versions, {part(all.files), all.installed}},
          // containerd keeps the layers as they came, and unpacked.
          {paths::containerd_root, {part(all.layers) + part(all.unpacked), all.layer_count * inodes_of_layer}}};
}

void check_writable(const Member& m, Report& report) {
  std::set<const Mount*> told;
  for (const auto* folder :
       {paths::state, paths::config, paths::kubelet_state, paths::kubernetes, paths::etcd_state, "/etc/systemd/system"})
    if (const auto* mount = mount_of(*m.facts, folder); mount && mount->read_only && told.insert(mount).second)
      report.error(m.id(), "read-only", std::format("{} is mounted read-only, {} would be written to", sanitise(mount->path), folder),
                   std::format("mount -o remount,rw {}", sanitise(mount->path)));
}

}  // namespace

void check_space(const Input& input, const Member& member, Report& report) {
  check_writable(member, report);
  std::map<const Mount*, Need> by_mount;
  for (const auto& [folder, need] : needs(input, member))
    if (const auto* mount = mount_of(*member.facts, folder); mount && mount->total.count > 0) {
      by_mount[mount].bytes += need.bytes;
      by_mount[mount].inodes += need.inodes;
    }
  for (const auto& [mount, need] : by_mount) {
    const auto path = sanitise(mount->path);
    if (need.bytes > mount->free)
      report.error(member.id(), "disk-full",
                   std::format("{} has {} free, the install needs {}: {} are missing", path, human(mount->free), human(need.bytes),
                               human(Bytes{need.bytes.count - mount->free.count})),
                   std::format("free that much on {}, or mount a larger disk at {}", path, paths::state));
    else if ((mount->free.count - need.bytes.count) < mount->total.count / 100 * 15)
      // The kubelet's default hard eviction threshold for imagefs.available (node-pressure eviction).
      report.warning(member.id(), "disk-nearly-full",
                     std::format("{} will have less than 15 % free after the install ({} of {})", path,
                                 human(Bytes{mount->free.count - need.bytes.count}), human(mount->total)),
                     "the kubelet evicts pods below that: free some, or mount a larger disk");
    if (mount->inodes_total > 0 && need.inodes > mount->inodes_free)
      report.error(member.id(), "inodes-full",
                   std::format("{} has {} inodes free, the install needs about {}", path, mount->inodes_free, need.inodes),
                   std::format("remove files from {}, or mount another file system at {}", path, paths::state));
  }
}

}  // namespace cloudos::plan
