#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <set>

#include <sys/timex.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "agent/facts/look.hpp"
#include "core/base/clock.hpp"
#include "core/base/text.hpp"
#include "core/os/file/file.hpp"
#include "core/os/process/process.hpp"

namespace cloudos::facts {

namespace fs = std::filesystem;

namespace {

void look_at_names(const Roots& roots, model::HostFacts& facts) {
  const auto kernel = roots.procfs / "sys/kernel";
  facts.hostname = text_of(kernel / "hostname");
  facts.machine_id = text_of(roots.at("/etc/machine-id"));
  facts.boot_id = text_of(kernel / "random/boot_id");
  facts.kernel.release = text_of(kernel / "osrelease");
  auto machine = text_of(kernel / "arch");  // since Linux 6.1
  if (utsname names{}; machine.empty() && uname(&names) == 0) machine = names.machine;
  facts.arch = machine == "x86_64" ? "amd64" : machine == "aarch64" ? "arm64" : machine;

  auto release = parse_assignments(text_of(roots.at("/etc/os-release")));
  facts.os = {.id = release["ID"], .version_id = release["VERSION_ID"], .pretty_name = release["PRETTY_NAME"]};
  if (facts.machine_id.empty()) facts.unknown["machine_id"] = "/etc/machine-id is missing or empty";
  if (facts.os.id.empty()) facts.unknown["os"] = "/etc/os-release has no ID";
}

// The version in the name of the library that systemd's own programs share: libsystemd-shared-252.so, or -252-11.el9.so.
int systemd_version(const Roots& roots) {
  std::vector<fs::path> folders{roots.at("/usr/lib/systemd"), roots.at("/lib/systemd"), roots.at("/usr/lib64/systemd")};
  for (const auto& name : names_in(roots.at("/usr/lib"))) {
    if (name.contains("-linux-gnu")) folders.push_back(roots.at("/usr/lib") / name / "systemd");
  }
  constexpr std::string_view prefix = "libsystemd-shared-";
  for (const auto& folder : folders) {
    for (const auto& name : names_in(folder)) {
      if (!name.starts_with(prefix)) continue;
      const auto rest = std::string_view(name).substr(prefix.size());
      if (const auto version = parse_number(rest.substr(0, rest.find_first_not_of("0123456789")), 1, 100'000))
        return static_cast<int>(*version);
    }
  }
  return 0;
}

void look_at_init(const Roots& roots, model::HostFacts& facts) {
  facts.init.name = text_of(roots.procfs / "1/comm");
  if (facts.init.name != "systemd") return;
  facts.init.systemd_version = systemd_version(roots);
  if (!roots.real()) {
    facts.unknown["init.state"] = "only asked on the machine itself";
    return;
  }
  const auto shown = os::capture({"systemctl", "is-system-running"}, {.deadline = in(Milliseconds{2000})});
  // A state other than "running" exits 1 and still says its name.
  if (shown) facts.init.state = trim(shown->out);
  else facts.unknown["init.state"] = shown.error().message;
}

void look_at_virtualisation(const Roots& roots, model::HostFacts& facts) {
  std::string dmi;
  for (const auto* name : {"product_name", "sys_vendor", "board_vendor", "bios_vendor", "product_version"}) {
    dmi += text_of(roots.sysfs / "class/dmi/id" / name) + "\n";
  }
  const auto cpuinfo = text_of(roots.procfs / "cpuinfo");
  // PID 1 writes down what its environment said; only root may read that environment.
  facts.virtualisation = virtualisation_of(text_of(roots.at("/run/systemd/container")), dmi, cpuinfo.contains(" hypervisor"));
  facts.cpu = parse_cpuinfo(cpuinfo);
}

// Where /proc/cpuinfo does not tell packages and cores (arm64), sysfs does (Documentation/admin-guide/cputopology.rst).
void look_at_topology(const Roots& roots, model::HostFacts& facts) {
  const auto folder = roots.sysfs / "devices/system/cpu";
  std::set<std::string> packages;
  std::set<std::string> cores;  // by the threads that share one
  for (const auto& name : names_in(folder)) {
    if (!name.starts_with("cpu") || !parse_number(std::string_view(name).substr(3), 0, 1U << 16U)) continue;
    const auto siblings = text_of(folder / name / "topology/thread_siblings_list");
    if (siblings.empty()) continue;  // a CPU that is offline has no topology
    cores.insert(siblings);
    packages.insert(text_of(folder / name / "topology/physical_package_id"));
  }
  if (cores.empty()) return;
  facts.cpu.sockets = static_cast<int>(packages.size());
  facts.cpu.cores = static_cast<int>(cores.size());
  facts.cpu.multithreading = std::ranges::any_of(cores, [](const auto& list) { return list.find_first_of(",-") != std::string::npos; });
}

void look_at_hardware(const Roots& roots, model::HostFacts& facts) {
  const auto dmi = roots.sysfs / "class/dmi/id";
  facts.hardware = {.vendor = text_of(dmi / "sys_vendor"), .product = text_of(dmi / "product_name")};
  if (!facts.hardware.product.empty()) return;
  // Strings of a device tree end with a NUL.
  const auto model = text_of(roots.sysfs / "firmware/devicetree/base/model");
  facts.hardware.product = model.substr(0, model.find('\0'));
}

void look_at_clock(const Roots& roots, model::HostFacts& facts) {
  facts.clock_ms = wall_ms();
  facts.clock_source = text_of(roots.sysfs / "devices/system/clocksource/clocksource0/current_clocksource");
  if (!roots.real()) return;
  timex state{};
  if (adjtimex(&state) == -1) return;
  facts.clock_synchronised = (state.status & STA_UNSYNC) == 0;
  facts.clock_offset_us = (state.status & STA_NANO) != 0 ? state.offset / 1000 : state.offset;
  facts.clock_max_error_us = state.maxerror;
}

// Our side of the SSH connection that this runs under. sudo drops the variable, so the parents' environments are asked too.
std::string ssh_client(const Roots& roots) {
  if (const char* own = std::getenv("SSH_CONNECTION")) return split(own, ' ').front();
  auto pid = getppid();
  for (int depth = 0; depth < 8 && pid > 1; ++depth) {
    const auto process = roots.procfs / std::to_string(pid);
    for (const auto& variable : split(text_of(process / "environ"), '\0')) {
      if (variable.starts_with("SSH_CONNECTION=")) return split(variable.substr(15), ' ').front();
    }
    const auto stat = text_of(process / "stat");
    // "pid (name) state ppid …"; the name may hold anything, so the last ")" counts.
    const auto after = split(stat.substr(std::min(stat.rfind(')'), stat.size())), ' ');
    const auto parent = after.size() > 2 ? parse_number(after[2], 0, 1U << 30U) : Result<std::uint64_t>(0);
    pid = static_cast<pid_t>(parent.value_or(0));
  }
  return {};
}

void look_at_settings(const Roots& roots, model::HostFacts& facts) {
  const auto value = [&](std::string key) {
    std::ranges::replace(key, '.', '/');
    return text_of(roots.procfs / "sys" / key);
  };
  for (const auto* key :
       {"net.ipv4.ip_forward", "net.ipv4.conf.all.rp_filter", "net.ipv6.conf.all.forwarding", "net.bridge.bridge-nf-call-iptables",
        "net.bridge.bridge-nf-call-ip6tables", "net.netfilter.nf_conntrack_max", "vm.overcommit_memory", "vm.panic_on_oom",
        "vm.max_map_count", "kernel.panic", "kernel.panic_on_oops", "kernel.keys.root_maxkeys", "kernel.keys.root_maxbytes"}) {
    if (auto text = value(key); !text.empty()) facts.sysctls[key] = std::move(text);
  }
  for (const auto* key :
       {"fs.inotify.max_user_instances", "fs.inotify.max_user_watches", "fs.file-max", "kernel.pid_max", "kernel.threads-max"}) {
    if (auto text = value(key); !text.empty()) facts.limits[key] = std::move(text);
  }
}

}  // namespace

void look_at_machine(const Roots& roots, model::HostFacts& facts) {
  look_at_names(roots, facts);
  look_at_init(roots, facts);
  look_at_virtualisation(roots, facts);
  look_at_topology(roots, facts);
  look_at_hardware(roots, facts);
  look_at_clock(roots, facts);
  look_at_settings(roots, facts);
  facts.root = geteuid() == 0;
  if (!roots.real()) return;
  std::error_code error;
  facts.agent_digest = agent_digest_of(fs::read_symlink("/proc/self/exe", error).string());
  facts.ssh_client_address = ssh_client(roots);
}

}  // namespace cloudos::facts
