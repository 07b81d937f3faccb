#include "installer/sandbox/disk.hpp"

#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <format>
#include <thread>

#include "core/base/text.hpp"
#include "core/os/crypto/crypto.hpp"
#include "core/os/file/file.hpp"
#include "core/os/process/process.hpp"
#include "installer/sandbox/child.hpp"
#include "installer/sandbox/names.hpp"

namespace cloudos::sandbox {
namespace {

constexpr auto path_in_root = "/usr/sbin:/usr/bin:/sbin:/bin";
constexpr Milliseconds poll_interval{20};

Status in_root(const fs::path& root, Argv command, ByteSource input = no_bytes()) {
  command.words.insert(command.words.begin(), {"chroot", root.string()});
  CLOUDOS_TRY(os::must(command, {.stdin_source = std::move(input), .environment = {{"PATH", path_in_root}}}));
  return {};
}

Status write_identity(const fs::path& root, const Record& record, const MachineRecord& machine) {
  const auto gateway = record.subnet.gateway();
  // A container's link is host0 (systemd-nspawn --network-bridge), a VM's eth0 (net.ifnames=0).
  const auto* link = record.kind == Kind::vm ? "eth0" : "host0";
  CLOUDOS_TRY(os::write_atomic(root / "etc/hostname", machine.name + "\n", 0644));
  CLOUDOS_TRY(os::write_atomic(root / "etc/hosts", std::format("127.0.0.1 localhost\n{} {}\n", machine.address, machine.name), 0644));
  CLOUDOS_TRY(os::write_atomic(root / "etc/machine-id", os::random_hex(16) + "\n", 0444));
  CLOUDOS_TRY(
      os::write_atomic(root / "etc/network/interfaces",
                       std::format("auto lo\niface lo inet loopback\nauto {0}\niface {0} inet static\n  address {1}/24\n  gateway {2}\n",
                                   link, machine.address, gateway),
                       0644));
  std::error_code error;
  fs::remove(root / "etc/resolv.conf", error);
  return os::write_atomic(root / "etc/resolv.conf", std::format("nameserver {}\noptions timeout:1 attempts:1\n", gateway), 0644);
}

Status write_keys(const fs::path& root, const Record& record, const MachineRecord& machine) {
  for (const auto* type : {"ed25519", "ecdsa"}) {
    const auto key = root / std::format("etc/ssh/ssh_host_{}_key", type);
    CLOUDOS_TRY(os::must({"ssh-keygen", "-q", "-t", type, "-N", "", "-C", machine.name, "-f", key.string()}));
    CLOUDOS_ASSIGN(const auto text, os::read(key.string() + ".pub"));
    CLOUDOS_TRY(os::write_atomic(machine_folder(record.name, machine.name) / std::format("host_{}.pub", type), text, 0644));
  }
  CLOUDOS_ASSIGN(const auto authorized, os::read(folder(record.name) / "id_ed25519.pub"));
  for (const auto* home : {"root", "home/ops"}) {
    CLOUDOS_TRY(os::make_folders(root / home / ".ssh", 0700));
    CLOUDOS_TRY(os::write_atomic(root / home / ".ssh/authorized_keys", authorized, 0600));
  }
  return in_root(root, {"chown", "-R", "ops:ops", "/home/ops/.ssh"});
}

// What some servers greet with, at the login and in every shell that starts: text that a program must not take for an answer.
Status write_motd(const fs::path& root, const std::string& motd) {
  CLOUDOS_TRY(os::write_atomic(root / "etc/motd", motd + "\n", 0644));
  CLOUDOS_TRY(os::write_atomic(root / "etc/issue.net", motd + "\n", 0644));
  CLOUDOS_TRY(os::write_atomic(root / "etc/ssh/sshd_config.d/banner.conf", "Banner /etc/issue.net\n", 0644));
  const auto line = quote(Argv{"echo", motd}) + "\n";
  for (const auto* home : {"root", "home/ops"})
    for (const auto* file : {".bashrc", ".zshenv", ".config/fish/config.fish"})
      CLOUDOS_TRY(os::write_atomic(root / home / file, line, 0644));
  return in_root(root, {"chown", "-R", "ops:ops", "/home/ops"});
}

Status write_users(const fs::path& root, const Record& record, const UpRequest& request) {
  const auto shell = (record.shell == "bash" ? "/bin/" : "/usr/bin/") + record.shell;
  for (const auto* user : {"root", "ops"}) CLOUDOS_TRY(in_root(root, {"usermod", "--shell", shell, user}));
  if (request.ops_password) CLOUDOS_TRY(in_root(root, {"chpasswd"}, bytes_of(std::format("ops:{}\n", request.ops_password->reveal()))));
  if (!request.motd.empty()) CLOUDOS_TRY(write_motd(root, request.motd));
  return {};
}

// In a child: copies the image and makes it this machine's.
Status write_disk(const fs::path& disk, const Record& record, const MachineRecord& machine, const UpRequest& request,
                  const fs::path& image) {
  const auto root = machine_folder(record.name, machine.name) / "root";
  CLOUDOS_TRY(os::must({"cp", "--reflink=auto", "--sparse=always", image.string(), disk.string()}));
  CLOUDOS_TRY(private_mounts());
  CLOUDOS_TRY(mount_disk(disk, root));
  CLOUDOS_TRY(write_identity(root, record, machine));
  CLOUDOS_TRY(write_keys(root, record, machine));
  CLOUDOS_TRY(write_users(root, record, request));
  return ::umount2(root.c_str(), 0) == 0 ? Status{} : fail_errno("unmount " + root.string(), errno);
}

Result<bool> attached(const fs::path& disk) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/sys/block", error)) {
    if (!entry.path().filename().string().starts_with("loop")) continue;
    CLOUDOS_ASSIGN(const auto backing, os::read_if_any(entry.path() / "loop/backing_file"));
    if (backing && trim(*backing) == disk.string()) return true;
  }
  return false;
}

}  // namespace

// No barriers: the disk need not outlive this computer, and every fsync of a
// cluster's etcds would go to the one real disk.
Status mount_disk(const fs::path& disk, const fs::path& at) {
  CLOUDOS_TRY(os::make_folders(at, 0755));
  CLOUDOS_TRY(os::must({"mount", "-t", "ext4", "-o", "loop,discard,noinit_itable,nobarrier", disk.string(), at.string()}));
  return {};
}

Status make_disk(const Record& record, const MachineRecord& machine, const UpRequest& request, const fs::path& image) {
  const auto at = machine_folder(record.name, machine.name);
  const auto disk = disk_of(at);
  std::error_code error;
  if (fs::exists(disk, error)) return {};
  CLOUDOS_TRY(os::remove_tree(at));  // half of one, from a crash
  CLOUDOS_TRY(os::make_folders(at, 0700));
  const auto part = fs::path(disk.string() + ".part");
  const auto written = in_child([&] { return done(write_disk(part, record, machine, request, image)); });
  if (!written) return fail(Error(written.error()).with("making the disk of " + machine.name));
  CLOUDOS_TRY(await_detached(part, in(Milliseconds{10'000})));
  fs::rename(part, disk, error);
  return error ? Status(fail(ErrorKind::io, std::format("rename {}: {}", part.string(), error.message()))) : Status{};
}

Status await_detached(const fs::path& disk, Deadline deadline) {
  for (;;) {
    CLOUDOS_ASSIGN(const bool still, attached(disk));
    if (!still) return {};
    if (std::chrono::steady_clock::now() > deadline)
      return fail(ErrorKind::timeout, std::format("{} is still mounted", disk.string()), "look at it with `losetup --list`");
    std::this_thread::sleep_for(poll_interval);
  }
}

}  // namespace cloudos::sandbox
