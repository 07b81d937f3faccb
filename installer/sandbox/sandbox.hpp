// installer/sandbox: disposable machines on this computer: a Debian root file system each, systemd as PID 1, a real sshd, a
// disk, a network and limits of their own. For trying cloudos out and for its tests. Not here: anything that installs
// Kubernetes; to the rest of cloudos a sandbox machine is a machine like any other. Everything needs root.
//
// A sandbox is a network of its own (a bridge in a network namespace that nothing routes out of) with machines on it, named
// master-1…, node-1…. What it owns on this computer can be found by its name alone, so that it can be taken down even after
// a crash in the middle of anything: see names.hpp.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/base/argv.hpp"
#include "core/base/result.hpp"
#include "core/base/secret.hpp"
#include "core/base/units.hpp"

namespace cloudos::sandbox {

enum class Kind { container, vm };  // systemd-nspawn, or qemu with a kernel of its own

struct MachineSize {
  double cpus = 0;       // of CPU time; 0: all that the computer has
  Bytes memory = 3_GiB;  // a hard limit, page cache included
  Bytes disk = 20_GiB;   // of the machine's own file system; sparse on the host
};

struct UpRequest {
  std::string name = "dev";
  unsigned masters = 1, nodes = 0;  // grows to so many; never shrinks
  MachineSize size = {};
  Kind kind = Kind::container;
  std::string release = {};                 // "bookworm", "bullseye", "trixie"; empty: what fits this computer and kind
  std::string mirror = {};                  // of Debian; empty: the one that this computer's apt uses
  std::string shell = "bash";               // login shell of root and ops: "bash", "zsh", "fish"
  std::optional<Secret> ops_password = {};  // of the user "ops", who may sudo with it; none: locked
  std::string motd = {};                    // printed at every login and by every shell start: a noisy machine
  std::optional<std::filesystem::path> key_out = {}, known_hosts_out = {};
};

enum class MachineState { running, stopped, partitioned };
[[nodiscard]] std::string_view name(MachineState state);

struct Machine {
  std::string name;     // "master-1", its host name
  std::string address;  // IPv4
  MachineSize size;
  MachineState state = MachineState::stopped;
  std::filesystem::path log;  // its console
};

struct Escapes {
  std::uint64_t packets = 0;  // all of them, look-ups of names included
  // Look-ups of names alone. A cluster's CoreDNS makes some on its own as soon as it starts, and two a second from then on:
  // the question of its loop plugin, and the health checks of its forward plugin when that was not answered.
  std::uint64_t name_lookups = 0;
  bool operator==(const Escapes&) const = default;
};

struct Sandbox {
  std::string name;
  Kind kind = Kind::container;
  std::string release;
  std::string subnet;                      // "10.77.3.0/24"
  std::filesystem::path key, known_hosts;  // of root and ops on every machine
  // Packets by which a machine tried to reach anything beyond the sandbox since its network came up. Addresses in 10.0.0.0/8 are not
  // counted: a cluster's own pod and service addresses live there, and packets to them before kube-proxy knows them are no escape. Nothing
  // when the network is down.
  std::optional<Escapes> escapes = {};
  std::vector<Machine> machines;
};

// One sentence on what is being done, for people.
using Note = std::function<void(const std::string&)>;

// Makes or completes a sandbox and waits until every machine's sshd answers. What is there stays as it is, what is stopped
// is started. Errors: usage (a name, shell or release that cannot be), refused (programs that this computer lacks, no root),
// timeout (a machine that does not come up, with the end of its console), io, failed.
[[nodiscard]] Result<Sandbox> up(const UpRequest& asked, const Note& note);

// Every sandbox of this computer with its machines as they are now.
[[nodiscard]] Result<std::vector<Sandbox>> list();
// Errors: input, with the nearest name.
[[nodiscard]] Result<Sandbox> find(const std::string& name);
[[nodiscard]] Result<Machine> find_machine(const Sandbox& sandbox, const std::string& machine);

// Takes everything of it away: processes, network, control groups, files. Nothing to take away is fine. With a machine's
// name: only that machine and its disk.
[[nodiscard]] Status down(const std::string& name, const std::optional<std::string>& machine, const Note& note);

// Faults. power_cut: every process of the machine is killed at once; its disk stays. start: boots it again and waits for
// its sshd. partition and heal: its network cable, pulled and put back.
[[nodiscard]] Status power_cut(const std::string& name, const std::string& machine);
[[nodiscard]] Status start(const std::string& name, const std::string& machine);
[[nodiscard]] Status partition(const std::string& name, const std::string& machine);
[[nodiscard]] Status heal(const std::string& name, const std::string& machine);

// The ssh command that opens a session, or runs `command`, on a machine as `user`.
[[nodiscard]] Argv ssh_command(const Sandbox& sandbox, const Machine& machine, const std::string& user, const Argv& command);

}  // namespace cloudos::sandbox
