#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>
#include <tuple>

#include "agent/facts/parse.hpp"
#include "agent/metrics/collectors.hpp"
#include "core/base/text.hpp"

namespace cloudos::metrics {
namespace {

// node_exporter's defaults: "^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)".
bool left_out(std::string_view path) {
  const auto at_or_below = [&](std::string_view folder) {
    return path.starts_with(folder) && (path.size() == folder.size() || path[folder.size()] == '/');
  };
  const auto below = [&](std::string_view folder) { return path.starts_with(folder) && path.size() > folder.size(); };
  return at_or_below("/dev") || at_or_below("/proc") || at_or_below("/sys") || below("/run/credentials/") || below("/var/lib/docker/") ||
         below("/var/lib/containers/storage/");
}

bool no_storage(std::string_view type) {
  static constexpr std::array types = {"autofs",   "binfmt_misc", "bpf",     "cgroup",    "cgroup2",    "configfs",   "debugfs",
                                       "devpts",   "devtmpfs",    "fusectl", "hugetlbfs", "iso9660",    "mqueue",     "nsfs",
                                       "overlay",  "proc",        "procfs",  "pstore",    "rpc_pipefs", "securityfs", "selinuxfs",
                                       "squashfs", "erofs",       "sysfs",   "tracefs"};
  return std::ranges::contains(types, type);
}

// Those that ask somebody else: a server, or a program.
bool over_network(std::string_view type) {
  static constexpr std::array types = {"nfs",    "nfs4",   "cifs", "smb3", "ceph",  "9p",      "afs",
                                       "lustre", "beegfs", "gpfs", "gfs2", "ocfs2", "virtiofs"};
  return type.starts_with("fuse") || std::ranges::contains(types, type);
}

// As Go says errors: "permission denied".
std::string text_of(int error) {
  std::string text = std::strerror(error);  // NOLINT(concurrency-mt-unsafe): glibc's is safe for errors that it knows
  if (!text.empty() && text[0] >= 'A' && text[0] <= 'Z') text[0] = static_cast<char>(text[0] - 'A' + 'a');
  return text;
}

std::vector<facts::MountLine> mounts_of(Look& look) {
  // Those of the machine, not those that this process is given to see. Where processes of others are hidden, its own.
  auto text = look.proc.text("1/mountinfo", look.room);
  const bool own = !text;
  if (own) text = look.proc.text("self/mountinfo", look.room);
  auto mounts = facts::parse_mountinfo(text.value_or(""));
  // A service's own view is read-only where its unit says so (ProtectSystem); what the file system itself is, it says after all.
  for (auto& mount : mounts)
    if (own) mount.read_only = std::ranges::contains(split(mount.super_options, ','), "ro");
  std::erase_if(mounts, [](const auto& mount) { return left_out(mount.path) || no_storage(mount.type); });
  // Of several on one path the last hides those before.
  std::set<std::tuple<std::string, std::string, std::string>> seen;
  std::ranges::reverse(mounts);
  std::erase_if(mounts, [&](const auto& mount) { return !seen.emplace(mount.device, mount.path, mount.type).second; });
  std::ranges::reverse(mounts);
  return mounts;
}

struct Families {
  Family &error, &readonly, &size, &free, &avail, &files, &files_free, &info;
  explicit Families(Page& page)
      : error(page.gauge("node_filesystem_device_error", "Whether the file system could not be asked how full it is.")),
        readonly(page.gauge("node_filesystem_readonly", "Whether the file system is read-only.")),
        size(page.gauge("node_filesystem_size_bytes", "Size of the file system.")),
        free(page.gauge("node_filesystem_free_bytes", "Free space of the file system.")),
        avail(page.gauge("node_filesystem_avail_bytes", "Space of the file system that is free to users other than root.")),
        files(page.gauge("node_filesystem_files", "File nodes of the file system.")),
        files_free(page.gauge("node_filesystem_files_free", "Free file nodes of the file system.")),
        info(page.gauge("node_filesystem_mount_info", "Which device is mounted where, always 1.")) {}
};

void tell(Families& to, const facts::MountLine& mount, const Spaces::Answer& answer) {
  const bool wrong = !answer.answered || answer.error != 0;
  const auto error = !answer.answered ? "mountpoint timeout" : answer.error != 0 ? text_of(answer.error) : "";
  const Labels labels = {{"device", mount.device}, {"mountpoint", mount.path}, {"fstype", mount.type}, {"device_error", error}};
  to.error.add(wrong ? 1 : 0, labels);
  to.readonly.add(mount.read_only ? 1 : 0, labels);
  if (wrong) return;
  // statfs(2) counts in f_bsize where statvfs(3) says f_frsize; glibc gives the kernel's f_frsize, which is the same on Linux.
  const auto block = static_cast<double>(answer.space.f_frsize);
  to.size.add(static_cast<double>(answer.space.f_blocks) * block, labels);
  to.free.add(static_cast<double>(answer.space.f_bfree) * block, labels);
  to.avail.add(static_cast<double>(answer.space.f_bavail) * block, labels);
  to.files.add(answer.space.f_files, labels);
  to.files_free.add(answer.space.f_ffree, labels);
  const auto colon = std::min(mount.device_number.find(':'), mount.device_number.size());
  const auto number = std::string_view(mount.device_number);
  to.info.add(1, {{"device", mount.device},
                  {"major", number.substr(0, colon)},
                  {"minor", number.substr(std::min(colon + 1, number.size()))},
                  {"mountpoint", mount.path}});
}

}  // namespace

bool collect_filesystem(Look& look) {
  const auto mounts = mounts_of(look);
  if (mounts.empty()) return false;
  std::vector<Spaces::Question> questions;
  questions.reserve(mounts.size());
  for (const auto& mount : mounts) questions.push_back({.path = look.roots.at(mount.path).string(), .network = over_network(mount.type)});
  const auto answers = look.spaces.ask(std::move(questions));
  Families families(look.page);
  for (std::size_t i = 0; i < mounts.size(); ++i) tell(families, mounts[i], answers[i]);
  return true;
}

}  // namespace cloudos::metrics
