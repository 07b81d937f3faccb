#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <format>
#include <functional>

// Before the kernel's headers, which then leave out what this defines.
#include <netinet/in.h>

#include <fcntl.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/facts/look.hpp"
#include "agent/facts/netlink.hpp"
#include "core/base/text.hpp"
#include "core/model/paths.hpp"
#include "core/os/file/file.hpp"

// Each trial runs in one child process with network and mount namespaces of its own, which end with it. Whatever it makes
// there, the machine never sees.

namespace cloudos::facts {

namespace fs = std::filesystem;

namespace {

constexpr Milliseconds patience{5000};

// Overlay over the file system that containerd's root will be on: not every one can carry it (overlayfs(5): xfs without
// ftype, another overlay, NFS). Without our folder there, over a tmpfs.
Status try_overlay() {
  std::string base = std::string(paths::state) + "/.overlay-trial-XXXXXX";
  if (mkdtemp(base.data()) == nullptr) {
    if (mount("none", "/run", "tmpfs", 0, nullptr) != 0) return fail_errno("mounting a tmpfs", errno);
    base = "/run";
  }
  for (const auto* name : {"/lower", "/upper", "/work", "/merged"}) mkdir((base + name).c_str(), 0700);
  const auto options = std::format("lowerdir={0}/lower,upperdir={0}/upper,workdir={0}/work", base);
  const int error = mount("overlay", (base + "/merged").c_str(), "overlay", 0, options.c_str()) == 0 ? 0 : errno;
  if (error == 0) umount2((base + "/merged").c_str(), MNT_DETACH);
  if (base != "/run") (void)os::remove_tree(base);
  if (error != 0) return fail_errno("mounting an overlay in " + base, error);
  return {};
}

// iptables has two ways into the kernel; either will do.
Status try_iptables() {
  const os::Fd fd(socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW));
  ipt_getinfo info{};
  std::ranges::copy(std::string_view("nat"), info.name);
  socklen_t size = sizeof info;
  if (fd && getsockopt(fd.get(), IPPROTO_IP, IPT_SO_GET_INFO, &info, &size) == 0) return {};
  return has_xtables_compat();
}

// What runc does for a pod's sandbox: -998. Without CAP_SYS_RESOURCE nobody may go below where they started (proc(5)).
Status try_oom_score() {
  CLOUDOS_ASSIGN(const os::Fd fd, os::open("/proc/self/oom_score_adj", O_WRONLY));
  if (write(fd.get(), "-998", 4) != 4) return fail_errno("lowering /proc/self/oom_score_adj to -998", errno);
  return {};
}

// Writes back what a setting already is.
Status rewrite(const fs::path& setting) {
  CLOUDOS_ASSIGN(const std::string value, os::read(setting));
  CLOUDOS_ASSIGN(const os::Fd fd, os::open(setting, O_WRONLY));
  if (write(fd.get(), value.data(), value.size()) < 0) return fail_errno("writing " + setting.string(), errno);
  return {};
}

Status try_sysctls() {
  for (const auto* name : {"net/ipv4/ip_forward", "vm/overcommit_memory", "kernel/panic"})
    CLOUDOS_TRY(rewrite(fs::path("/proc/sys") / name));
  return {};
}

Status try_seccomp() {
  // A null filter: EFAULT from a kernel that would have taken one, EINVAL from one without filters (seccomp(2)).
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, nullptr) == -1 && errno == EFAULT) return {};
  return fail_errno("the kernel has no seccomp filters", errno);
}

// kubelet and containerd need some dozens; machines of one host share the limit, so opening them tells more than reading it.
Status try_inotify() {
  constexpr int wanted = 32;
  std::vector<os::Fd> opened;
  while (opened.size() < wanted) {
    os::Fd fd(inotify_init1(IN_CLOEXEC));
    if (!fd)
      return fail_errno(std::format("opening inotify instance {} of {} (limit: fs.inotify.max_user_instances)", opened.size() + 1, wanted),
                        errno);
    opened.push_back(std::move(fd));
  }
  return {};
}

Status exists(const char* path, const char* what) {
  if (access(path, F_OK) != 0) return fail(ErrorKind::failed, std::format("{}: {} is missing", what, path));
  return {};
}

Status enter(int flags, const char* what) {
  if (unshare(flags) != 0) return fail_errno(std::format("making a {} namespace", what), errno);
  return {};
}

using Tell = std::function<void(std::string_view name, const Status& status)>;

// Order matters: the trials before the first namespace see the machine's own.
void try_all(const std::string& kernel, const Tell& tell) {
  tell("seccomp", try_seccomp());
  tell("inotify-instances", try_inotify());
  tell("sysctl-write", try_sysctls());
  tell("oom-score-lower", try_oom_score());
  tell("conntrack-write", rewrite("/proc/sys/net/netfilter/nf_conntrack_max"));

  auto mounts = enter(CLONE_NEWNS, "mount");
  if (mounts && mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) mounts = fail_errno("making mounts private", errno);
  tell("overlayfs", mounts ? try_overlay() : mounts);

  const auto network = enter(CLONE_NEWNET, "network");
  tell("netns", network);
  for (const auto* kind : {"bridge", "veth", "vxlan"}) tell(kind, network ? make_link(kind) : network);
  auto rule = network ? make_nat_rule() : network;
  tell("conntrack", rule ? rule : exists("/proc/sys/net/netfilter/nf_conntrack_max", "no connection tracking"));
  // KEP-3866: kube-proxy's nftables mode wants 5.13.
  if (rule && !kernel_at_least(kernel, 5, 13))
    rule = fail(ErrorKind::failed, "kube-proxy's nftables mode needs Linux 5.13, this is " + kernel);
  tell("nft", rule);
  tell("iptables", network ? try_iptables() : network);
}

[[noreturn]] void trial_process(const std::string& kernel, int out) {
  try_all(kernel, [out](std::string_view name, const Status& status) {
    const auto line = std::format("{}\t{}\n", name, status ? std::string() : status.error().message);
    (void)os::write_all(out, std::as_bytes(std::span(line)));
  });
  _exit(0);
}

// What the child wrote, until it closes its end or the deadline.
std::string read_until(int fd, Deadline deadline) {
  std::string text;
  char buffer[4096];
  while (true) {
    const auto left = std::chrono::duration_cast<Milliseconds>(deadline - std::chrono::steady_clock::now()).count();
    pollfd wait{.fd = fd, .events = POLLIN, .revents = 0};
    if (left <= 0 || poll(&wait, 1, static_cast<int>(left)) <= 0) return text;
    const auto got = read(fd, buffer, sizeof buffer);
    if (got <= 0) return text;
    text.append(buffer, static_cast<std::size_t>(got));
  }
}

}  // namespace

void try_features(model::HostFacts& facts) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    facts.unknown["features"] = fail_errno("pipe", errno).error().message;
    return;
  }
  const os::Fd from(ends[0]);
  os::Fd to(ends[1]);
  const auto child = fork();
  if (child == 0) trial_process(facts.kernel.release, to.get());
  to.reset();
  if (child < 0) {
    facts.unknown["features"] = fail_errno("fork", errno).error().message;
    return;
  }
  for (const auto& line : split(read_until(from.get(), in(patience)), '\n')) {
    const auto tab = line.find('\t');
    if (tab == std::string::npos) continue;
    const auto reason = line.substr(tab + 1);
    facts.features[line.substr(0, tab)] = {.works = reason.empty(), .reason = reason};
  }
  // Its namespaces are torn down in the background; nothing waits for that.
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  if (!facts.features.contains("iptables")) facts.unknown["features"] = "the trials did not end within 5 s";
}

}  // namespace cloudos::facts
