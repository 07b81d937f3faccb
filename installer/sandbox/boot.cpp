#include "installer/sandbox/boot.hpp"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cmath>
#include <format>
#include <thread>

#include "core/base/text.hpp"
#include "core/os/file/file.hpp"
#include "core/os/process/process.hpp"
#include "installer/sandbox/cgroup.hpp"
#include "installer/sandbox/child.hpp"
#include "installer/sandbox/disk.hpp"
#include "installer/sandbox/names.hpp"
#include "installer/sandbox/vm.hpp"

namespace cloudos::sandbox {
namespace {

constexpr Milliseconds poll_interval{20};
constexpr int reboot_status = 133;  // how systemd-nspawn --keep-unit tells that the machine rebooted (systemd-nspawn@.service)

Argv nspawn_command(const Record& record, const MachineRecord& machine, const fs::path& root) {
  Argv argv{"systemd-nspawn",
            "--quiet",
            "--directory=" + root.string(),
            "--machine=" + machine.name,
            "--network-bridge=" + link_name(record.name),
            "--register=no",
            "--keep-unit",
            "--capability=all",
            "--console=pipe",
            "--resolv-conf=off",
            "--timezone=off",
            "--link-journal=no"};
  std::error_code error;
  // The kubelet's OOM watcher reads kmsg; fuse-overlayfs and friends need fuse.
  for (const auto* device : {"/dev/kmsg", "/dev/fuse"})
    if (fs::exists(device, error)) argv += std::string("--bind=") + device;
  argv += "/usr/local/sbin/sandbox-init";
  return argv;
}

bool systemd_is_here() {
  std::error_code error;
  return fs::exists("/run/systemd/system", error);  // sd_booted(3)
}

// Under a systemd with cgroup v2 a group is only safe from it in a unit with Delegate= (systemd's CGROUP_DELEGATION).
Argv in_scope(const Argv& command, const std::string& group, const MachineSize& size) {
  Argv argv{"systemd-run",
            "--scope",
            "--quiet",
            "--collect",
            "--unit=" + group + ".scope",
            "--property=Delegate=yes",
            "--property=TasksMax=infinity",
            std::format("--property=MemoryMax={}", size.memory.count),
            "--property=MemorySwapMax=0"};
  if (size.cpus > 0) argv += std::format("--property=CPUQuota={:.0f}%", size.cpus * 100);
  argv += "--";
  argv.words.insert(argv.words.end(), command.words.begin(), command.words.end());
  return argv;
}

// What systemd-nspawn keeps about machines by their names is this machine's own: two sandboxes both have a master-1.
Status own_nspawn_state() {
  CLOUDOS_TRY(os::make_folders("/run/systemd/nspawn"));
  if (::mount("tmpfs", "/run/systemd/nspawn", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=1m") != 0)
    return fail_errno("mount a tmpfs on /run/systemd/nspawn", errno);
  return {};
}

// Whether an SSH server greets ("SSH-2.0-…", RFC 4253, section 4.2) before the interval or the deadline is over.
bool greets(const std::string& address) {
  const os::Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(22);
  if (!socket || ::inet_pton(AF_INET, address.c_str(), &to.sin_addr) != 1) return false;
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0 && errno != EINPROGRESS) return false;
  // A machine that is just taking its address answers no SYN, and the kernel tries again only after a second.
  pollfd event{.fd = socket.get(), .events = POLLOUT};
  if (::poll(&event, 1, 200) != 1 || (event.revents & (POLLERR | POLLHUP)) != 0) return false;
  event.events = POLLIN;
  if (::poll(&event, 1, 5'000) != 1) return false;
  std::array<char, 4> greeting{};
  return ::recv(socket.get(), greeting.data(), greeting.size(), 0) == 4 && std::string_view(greeting.data(), 4) == "SSH-";
}

}  // namespace

Status boot(const Record& record, const MachineRecord& machine) {
  const auto at = machine_folder(record.name, machine.name);
  const auto root = at / "root";
  const auto group = group_name(record.name, machine.name);
  const bool vm = record.kind == Kind::vm;
  auto limits = machine.size;
  if (vm) limits.memory += qemu_overhead;
  CLOUDOS_ASSIGN(const auto cgroups, cgroups_here());
  CLOUDOS_TRY(destroy_groups(cgroups, group));
  CLOUDOS_TRY(await_detached(disk_of(at), in(Milliseconds{10'000})));
  CLOUDOS_TRY(vm ? make_tap(record.name, port_name(machine.name)) : remove_port(record.name, port_name(machine.name)));
  const bool scope = cgroups.unified && systemd_is_here();
  if (!scope) CLOUDOS_TRY(make_groups(cgroups, group, limits));
  const auto command = vm ? qemu_command(record, machine) : nspawn_command(record, machine, root);
  return launch({.prepare = [&]() -> Status {
                   CLOUDOS_TRY(private_mounts());
                   if (!vm) CLOUDOS_TRY(mount_disk(disk_of(at), root));
                   if (!vm) CLOUDOS_TRY(own_nspawn_state());
                   CLOUDOS_TRY(enter_network(switch_namespace(record.name)));
                   return scope ? Status{} : enter_groups(cgroups, group);
                 },
                 .command = scope ? in_scope(command, group, limits) : command,
                 // SECCOMP: its default filter forbids what containers in the machine need (keyctl, bpf, …). TMPFS_TMP: a
                 // server's /tmp is on its disk, not a tenth of the host's memory.
                 .environment = {{"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", cgroups.unified ? "1" : "0"},
                                 {"SYSTEMD_SECCOMP", "0"},
                                 {"SYSTEMD_NSPAWN_TMPFS_TMP", "0"}},
                 .log = (at / "console.log").string(),
                 .again_on = reboot_status});
}

Milliseconds boot_time(const Record& record) { return record.accelerator == "tcg" ? Milliseconds{900'000} : Milliseconds{180'000}; }

Status await_sshd(const std::string& address, Deadline deadline) {
  while (!greets(address)) {
    if (std::chrono::steady_clock::now() > deadline) return fail(ErrorKind::timeout, std::format("no sshd answers on {}", address));
    std::this_thread::sleep_for(poll_interval);
  }
  return {};
}

}  // namespace cloudos::sandbox
