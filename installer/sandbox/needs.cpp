#include "installer/sandbox/needs.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <format>
#include <set>

#include "core/base/text.hpp"
#include "installer/sandbox/names.hpp"

namespace cloudos::sandbox {
namespace {

struct Need {
  const char* program = nullptr;
  const char* package = nullptr;  // of Debian and Ubuntu
  bool vm_only = false;
};

constexpr std::array needs{Need{"systemd-nspawn", "systemd-container"},
                           Need{"mmdebstrap", "mmdebstrap"},
                           Need{"ip", "iproute2"},
                           Need{"mke2fs", "e2fsprogs"},
                           Need{"mount", "mount"},
                           Need{"cp", "coreutils"},
                           Need{"chroot", "coreutils"},
                           Need{"ssh", "openssh-client"},
                           Need{"ssh-keygen", "openssh-client"},
                           Need{"qemu-system-x86_64", "qemu-system-x86", true}};

constexpr std::array<std::string_view, 3> releases{"bullseye", "bookworm", "trixie"};
constexpr std::array<std::string_view, 3> shells{"bash", "zsh", "fish"};
constexpr Bytes least_memory = 128_MiB, least_disk = 1_GiB;

bool in_path(const std::string& program) {
  const char* path = std::getenv("PATH");
  std::error_code error;
  return std::ranges::any_of(split(path == nullptr ? "/usr/sbin:/usr/bin:/sbin:/bin" : path, ':'),
                             [&](const auto& at) { return ::access((fs::path(at) / program).c_str(), X_OK) == 0; });
}

Status one_of(std::string_view what, const std::string& word, std::span<const std::string_view> known) {
  if (std::ranges::contains(known, word)) return {};
  std::string all;
  for (const auto one : known) all += (all.empty() ? "" : ", ") + std::string(one);
  const auto meant = nearest(word, known);
  return fail(ErrorKind::usage, std::format("'{}' is no {} of sandbox machines; there are {}", sanitise(word), what, all),
              meant.empty() ? "" : std::format("did you mean '{}'?", meant));
}

}  // namespace

Status check_name(std::string_view name) {
  const auto lower = [](char c) { return c >= 'a' && c <= 'z'; };
  const auto good = !name.empty() && name.size() <= 11 && lower(name.front()) && name.back() != '-' &&
                    std::ranges::all_of(name, [&](char c) { return lower(c) || (c >= '0' && c <= '9') || c == '-'; });
  if (good) return {};
  return fail(ErrorKind::usage, std::format("'{}' cannot be the name of a sandbox", sanitise(name)),
              "1 to 11 of a-z, 0-9 and -, beginning with a letter: it becomes part of a network link's name");
}

Result<UpRequest> check_request(UpRequest request, bool unified) {
  if (request.release.empty()) request.release = request.kind == Kind::vm ? "trixie" : "bookworm";
  CLOUDOS_TRY(one_of("release", request.release, releases));
  CLOUDOS_TRY(one_of("shell", request.shell, shells));
  if (request.masters + request.nodes == 0)
    return fail(ErrorKind::usage, "a sandbox of no machines", "say how many: --masters 1 --nodes 2");
  if (request.size.memory < least_memory || request.size.disk < least_disk)
    return fail(ErrorKind::usage,
                std::format("a machine needs at least --memory {} and --disk {}", human(least_memory), human(least_disk)));
  if (request.size.cpus < 0 || request.size.cpus > 1024) return fail(ErrorKind::usage, "--cpus must be a number from 0.1 to 1024");
  // systemd 256 and newer refuse to boot on cgroup v1 (its NEWS), and so do the containers on a host that has it.
  if (!unified && request.kind == Kind::container && request.release == "trixie")
    return fail(ErrorKind::refused, "the systemd of trixie does not boot on this computer's control groups (version 1)",
                "--release bookworm, or --vm for a machine with a kernel of its own");
  return request;
}

Status check_needs(Kind kind) {
  CLOUDOS_TRY(check_root());
  std::vector<std::string> missing;
  std::set<std::string> packages;
  for (const auto& need : needs)
    if ((!need.vm_only || kind == Kind::vm) && !in_path(need.program)) {
      missing.emplace_back(need.program);
      packages.insert(need.package);
    }
  if (missing.empty()) return {};
  const std::vector<std::string> list(packages.begin(), packages.end());
  return fail(ErrorKind::refused, std::format("this computer lacks {}", join(missing, ", ")),
              std::format("install them, on Debian and Ubuntu with: apt-get install --no-install-recommends {}", join(list, " ")));
}

Status check_root() {
  if (::geteuid() == 0) return {};
  return fail(ErrorKind::refused, "sandbox machines need root: mounts, network namespaces and control groups", "run it with sudo");
}

}  // namespace cloudos::sandbox
