// agent/facts: what a machine is, read from /proc, /sys, netlink and by trying things in a child process with namespaces of
// its own; and whom it can reach. It decides nothing and changes nothing that outlives the call: what to make of a fact is
// the planner's. Parsers are in parse.hpp, pure.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agent/facts/gpu_probe.hpp"
#include "core/model/facts.hpp"

namespace cloudos::facts {

// Where to look. Other roots than the machine's own replay a stored tree: then nothing is tried and no socket is asked, and
// what only those could tell is named in HostFacts::unknown.
struct Roots {
  std::filesystem::path root = "/";
  std::filesystem::path procfs = "/proc";
  std::filesystem::path sysfs = "/sys";
  std::filesystem::path devfs = "/dev";
  // The machine's own, all four.
  [[nodiscard]] bool real() const { return root == "/" && procfs == "/proc" && sysfs == "/sys" && devfs == "/dev"; }
  // An absolute path of the machine, below `root`.
  [[nodiscard]] std::filesystem::path at(std::string_view path) const { return root / std::filesystem::path(path).relative_path(); }
};

// Takes all facts, in some tens of milliseconds. Single facts that cannot be read are no error; see HostFacts::unknown.
// Errors: io, when `procfs` is not a proc file system at all.
// `probes` say what only a driver's library knows; one that fails leaves "gpu_devices.VENDOR" in HostFacts::unknown.
[[nodiscard]] Result<model::HostFacts> gather(const Roots& roots, std::span<GpuProbe* const> probes = {});
// Only what the machine and its system are, not what runs on it: no walk over processes and sockets, no other program. In some
// milliseconds, for those who look again and again.
[[nodiscard]] Result<model::HostFacts> gather_hardware(const Roots& roots, std::span<GpuProbe* const> probes = {});

// How long small writes to a new file in `folder` take to become durable: `writes` times 2300 bytes and fdatasync(2), as
// etcd's documentation measures a disk for its log. Takes as long as the disk needs, at most five seconds (then fewer
// writes). The file is gone afterwards. Errors: io.
[[nodiscard]] Result<model::HostFacts::SyncLatency> measure_sync(const std::filesystem::path& folder, int writes = 100);

struct ReachTarget {
  MachineId id;
  std::string host;  // an address, not a name
  std::uint16_t port = 22;
  bool mtu_probe = false;
};
struct ReachRequest {
  MachineId from;
  std::vector<ReachTarget> targets;
};
// {"from":"ID","targets":[{"id":"ID","host":"10.0.0.2","port":22,"mtu_probe":true}]}. Errors: input.
[[nodiscard]] Result<ReachRequest> parse_reach_request(std::string_view text);
// Connects to all targets at once, each within `patience`, and gives one answer a target, in their order. The MTU is that
// of the path as the kernel knows it after datagrams of that size were sent that nobody may fragment (ip(7), IP_MTU).
[[nodiscard]] std::vector<model::Reach> reach(const ReachRequest& request, Milliseconds patience = Milliseconds{3000});

}  // namespace cloudos::facts
