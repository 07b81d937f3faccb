// Inside agent/facts: texts of the kernel and of files, turned into values. Pure; whatever is not understood is left out.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/model/event.hpp"
#include "core/model/facts.hpp"

namespace cloudos::facts {

// KEY=value lines, values bare, in single or in double quotes: os-release(5), systemctl show, ufw.conf.
[[nodiscard]] std::map<std::string, std::string> parse_assignments(std::string_view text);
[[nodiscard]] model::HostFacts::Cpu parse_cpuinfo(std::string_view text);
// /proc/meminfo: "MemTotal:  123 kB".
[[nodiscard]] model::HostFacts::Memory parse_meminfo(std::string_view text);

// A line of /proc/PID/mountinfo (proc(5)), with its octal escapes undone.
struct MountLine {
  std::string device_number;  // "254:0"
  std::string subtree;        // the part of the file system that is seen: "/" unless it is a bind mount or a subvolume
  std::string path, type, device;
  bool read_only = false;
  std::string super_options;  // of cgroup v1 mounts: their controllers
};
[[nodiscard]] std::vector<MountLine> parse_mountinfo(std::string_view text);
// The mount that `path` lies on: the last one with the longest path above it.
[[nodiscard]] const MountLine* mount_of(const std::vector<MountLine>& mounts, std::string_view path);

// /proc/net/route (IPv4, main table) and /proc/net/ipv6_route without loopback, link-local and multicast entries.
[[nodiscard]] std::vector<model::HostFacts::Route> parse_routes(std::string_view text);
[[nodiscard]] std::vector<model::HostFacts::Route> parse_routes6(std::string_view text);

// A socket that waits for peers: TCP in state LISTEN, UDP bound without a peer.
struct Waiting {
  std::string protocol, address;
  std::uint16_t port = 0;
  std::uint64_t inode = 0;
};
// /proc/net/{tcp,tcp6,udp,udp6}; `protocol` is one of those four names.
[[nodiscard]] std::vector<Waiting> parse_sockets(std::string_view protocol, std::string_view text);

// The unit that a process belongs to by its /proc/PID/cgroup: the first part of the path that is not a slice
// ("kubelet.service"), "" when there is none. Paths of machines nested in this one give the outer unit.
[[nodiscard]] std::string unit_of_cgroup(std::string_view text);

// systemd-detect-virt's names, from what PID 1's container manager wrote, DMI's vendor and product, and the CPU's flag.
[[nodiscard]] std::string virtualisation_of(std::string_view container, std::string_view dmi, bool hypervisor_flag);

// How far the journal says that this machine came into a cluster: "none", "partial" or "joined".
[[nodiscard]] std::string join_state(const std::vector<model::JournalRecord>& journal);

// The value of a flag of a static pod's command line in its manifest: "--advertise-address" -> "10.0.0.1".
[[nodiscard]] std::string manifest_flag(std::string_view manifest, std::string_view flag);

// The 12 hex digits in ".../agent/<digest>/lib/…", or "".
[[nodiscard]] std::string agent_digest_of(std::string_view executable);

// "6.1.0-18-amd64" is at least major.minor.
[[nodiscard]] bool kernel_at_least(std::string_view release, int major, int minor);

// A PCI function of a graphics or accelerator class and one of the three vendors; nothing otherwise. The four values are
// as sysfs has them ("0x030200", "0x10de", "0x2330"); `driver` is the bound driver's name or "".
[[nodiscard]] std::optional<model::HostFacts::Gpu> gpu_of(std::string_view pci_class, std::string_view vendor, std::string_view device,
                                                          std::string_view driver);

}  // namespace cloudos::facts
