#include "installer/sandbox/root.hpp"

#include <unistd.h>

#include <array>
#include <cstdlib>
#include <format>

#include "core/base/text.hpp"
#include "core/os/crypto/crypto.hpp"
#include "core/os/file/file.hpp"
#include "core/os/process/process.hpp"
#include "installer/sandbox/child.hpp"

namespace cloudos::sandbox {
namespace {

namespace fs = std::filesystem;

// What a minimal server has, and the login shells that cloudos must cope with. Nothing that Kubernetes needs beyond that:
// whatever an installation brings itself must be missed here first. No libpam-systemd: where control groups are version 1, a
// container's systemd is not told when a session's scope is empty, and every reboot would wait for it until a timeout.
constexpr std::array container_packages{"systemd", "systemd-sysv", "udev", "dbus", "openssh-server", "iproute2", "ifupdown", "procps",
                                        "kmod",    "sudo",         "zsh",  "fish"};
constexpr std::array vm_packages{"linux-image-cloud-amd64", "initramfs-tools"};

// Runs before systemd in a container: gives the machine back what a real one has and systemd-nspawn mounts read-only, its
// own control groups and its own sysctls, and mounts that propagate (containers with Bidirectional mounts).
constexpr std::string_view init_program = R"(#!/bin/sh
for group in /sys/fs/cgroup /sys/fs/cgroup/*; do
  [ ! -d "$group" ] || mount -o remount,bind,rw "$group" 2> /dev/null
done
mount -o remount,bind,rw /proc/sys
mount --make-rshared /
exec /lib/systemd/systemd "$@"
)";

// Timers that go out for updates by themselves: what leaves the machine must come from what is tried on it.
constexpr std::array own_errands{"apt-daily.timer", "apt-daily-upgrade.timer"};

std::vector<std::string> packages_of(Kind kind) {
  std::vector<std::string> all(container_packages.begin(), container_packages.end());
  if (kind == Kind::vm) all.insert(all.end(), vm_packages.begin(), vm_packages.end());
  return all;
}

std::string key_of(const UpRequest& request) {
  auto what = request.release + "\n" + request.mirror + "\n" + std::string(init_program);
  for (const auto& package : packages_of(request.kind)) what += "\n" + package;
  for (const auto* timer : own_errands) what += std::string("\n") + timer;
  return os::sha256(what).hex().substr(0, 16);
}

Result<std::string> mirror_here() {
  const Argv targets{"apt-get", "indextargets", "--format", "$(ORIGIN) $(LABEL) $(REPO_URI)", "Created-By: Packages"};
  auto listed = os::capture(targets);
  if (!listed) return std::string{};  // no apt here: mmdebstrap's own default
  if (trim(listed->out).empty()) {
    // Without downloaded Release files apt does not know whose mirrors they are.
    if (const auto updated = os::capture({"apt-get", "update", "-q"}); updated && updated->exit.ok()) listed = os::capture(targets);
  }
  return listed ? debian_mirror(listed->out) : std::string{};
}

Status bootstrap(const UpRequest& request, const fs::path& root) {
  Argv argv{"mmdebstrap",
            "-q",
            "--variant=minbase",
            "--aptopt=Acquire::Retries \"5\"",
            "--dpkgopt=path-exclude=/usr/share/man/*",
            "--dpkgopt=path-exclude=/usr/share/doc/*",
            "--dpkgopt=path-exclude=/usr/share/locale/*",
            "--include=" + join(packages_of(request.kind), ","),
            request.release,
            root.string()};
  auto mirror = request.mirror;
  if (mirror.empty()) { CLOUDOS_ASSIGN(mirror, mirror_here()); }
  if (!mirror.empty()) argv += std::format("deb {} {} main", mirror, request.release);
  CLOUDOS_TRY_WITH(os::must(argv), "making the root file system of the machines");
  return {};
}

Status finish_root(const fs::path& root) {
  const auto in_root = [&](Argv command) -> Status {
    command.words.insert(command.words.begin(), {"chroot", root.string()});
    CLOUDOS_TRY(os::must(command, {.environment = {{"PATH", "/usr/sbin:/usr/bin:/sbin:/bin"}}}));
    return {};
  };
  CLOUDOS_TRY(in_root({"useradd", "--create-home", "--groups", "sudo", "--shell", "/bin/bash", "ops"}));
  for (const auto* timer : own_errands) CLOUDOS_TRY(os::link_atomic(root / "etc/systemd/system" / timer, "/dev/null"));
  CLOUDOS_TRY(os::write_atomic(root / "usr/local/sbin/sandbox-init", init_program, 0755));
  std::error_code error;
  // Every machine gets keys and an identity of its own.
  for (const auto& file : fs::directory_iterator(root / "etc/ssh", error))
    if (file.path().filename().string().starts_with("ssh_host_")) fs::remove(file.path(), error);
  fs::remove(root / "var/lib/dbus/machine-id", error);
  return os::write_atomic(root / "etc/machine-id", "", 0444);
}

// Older root file systems of the same release, and their disks: machines are copies and need them no more.
Status drop_superseded(const fs::path& cache, const std::string& prefix) {
  std::error_code error;
  std::vector<fs::path> old;
  for (const auto& entry : fs::directory_iterator(cache, error))
    if (entry.path().filename().string().starts_with(prefix)) old.push_back(entry.path());
  for (const auto& path : old) CLOUDOS_TRY(os::remove_tree(path));
  return {};
}

}  // namespace

std::string debian_mirror(std::string_view indextargets) {
  for (const auto& line : split(indextargets, '\n'))
    if (const auto words = split(line, ' '); words.size() == 3 && words[0] == "Debian" && words[1] == "Debian") return words[2];
  return {};
}

Result<fs::path> cache_folder() {
  fs::path base;
  if (const char* xdg = std::getenv("XDG_CACHE_HOME"); xdg != nullptr && *xdg == '/') base = xdg;
  else if (const char* home = std::getenv("HOME"); home != nullptr && *home == '/') base = fs::path(home) / ".cache";
  else base = "/root/.cache";
  const auto folder = base / "cloudos" / "sandbox";
  CLOUDOS_TRY(os::make_folders(folder));
  return folder;
}

Result<fs::path> ensure_root(const UpRequest& request, const Note& note) {
  CLOUDOS_ASSIGN(const auto cache, cache_folder());
  const auto prefix = std::format("{}-{}-", request.kind == Kind::vm ? "vm" : "root", request.release);
  const auto root = cache / (prefix + key_of(request));
  std::error_code error;
  if (fs::exists(root, error)) return root;
  CLOUDOS_ASSIGN(const auto lock, os::Lock::take(cache / "lock", "cloudos sandbox", in(std::chrono::minutes{20})));
  if (fs::exists(root, error)) return root;  // somebody else made it meanwhile
  note(std::format("making a Debian root file system ({}), once; about half a minute", request.release));
  const auto part = cache / std::format("part-{}", prefix);
  CLOUDOS_TRY(os::remove_tree(part));
  const auto made = in_child([&] { return done(bootstrap(request, part).and_then([&] { return finish_root(part); })); });
  if (!made) return fail(made.error());
  CLOUDOS_TRY(drop_superseded(cache, prefix));
  fs::rename(part, root, error);
  if (error) return fail(ErrorKind::io, std::format("rename {}: {}", part.string(), error.message()));
  return root;
}

Result<fs::path> ensure_image(const fs::path& root, Bytes size, const Note& note) {
  const auto mib = size.count >> 20;
  const auto image = fs::path(std::format("{}-{}M.ext4", root.string(), mib));
  std::error_code error;
  if (fs::exists(image, error)) return image;
  CLOUDOS_ASSIGN(const auto lock, os::Lock::take(root.parent_path() / "lock", "cloudos sandbox", in(std::chrono::minutes{20})));
  if (fs::exists(image, error)) return image;
  note(std::format("making a disk of {} with it, once", human(size)));
  const auto part = fs::path(image.string() + ".part");
  fs::remove(part, error);
  // Lazy: tables that were never written are holes in the file, and stay holes.
  const auto made = in_child([&] {
    return os::must({"mke2fs", "-q", "-F", "-t", "ext4", "-m", "1", "-E", "lazy_itable_init=1,lazy_journal_init=1", "-d", root.string(),
                     part.string(), std::format("{}M", mib)});
  });
  if (!made) return fail(Error(made.error()).with(std::format("making a disk of {}", human(size))));
  fs::rename(part, image, error);
  if (error) return fail(ErrorKind::io, std::format("rename {}: {}", part.string(), error.message()));
  return image;
}

}  // namespace cloudos::sandbox
