// Inside agent/facts: one function for each group of facts, and what they share.
#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "agent/facts/facts.hpp"
#include "agent/facts/gpu_probe.hpp"
#include "agent/facts/parse.hpp"
#include "core/os/kernel_files/kernel_files.hpp"

namespace cloudos::facts {

using os::link_name;
using os::names_in;
using os::numa_node_of;
// With room for the tables of sockets of a busy machine.
[[nodiscard]] inline std::string text_of(const std::filesystem::path& file) { return os::text_of(file, 64U << 20U); }

// Connects to a stream socket of this machine.
[[nodiscard]] bool unix_socket_answers(const std::string& path);
[[nodiscard]] bool tcp_port_answers(const std::string& address, std::uint16_t port);

// All processes, in one walk.
struct Process {
  int pid = 0;
  std::string unit;
};
[[nodiscard]] std::vector<Process> processes(const Roots& roots);
[[nodiscard]] bool has_unit(const std::vector<Process>& processes, std::string_view unit);

void look_at_machine(const Roots& roots, model::HostFacts& facts);
void look_at_memory(const Roots& roots, model::HostFacts& facts);
void look_at_storage(const Roots& roots, model::HostFacts& facts);
void look_at_interfaces(const Roots& roots, model::HostFacts& facts);
// Routes, and who listens.
void look_at_network(const Roots& roots, const std::vector<Process>& processes, model::HostFacts& facts);
void look_at_cgroups(const Roots& roots, model::HostFacts& facts);
void look_at_devices(const Roots& roots, model::HostFacts& facts);
// Asks the probes whose vendor has a device with a driver; needs the devices looked at before.
void ask_probes(std::span<GpuProbe* const> probes, model::HostFacts& facts);
void look_at_software(const Roots& roots, const std::vector<Process>& processes, model::HostFacts& facts);
void look_at_kubernetes(const Roots& roots, const std::vector<Process>& processes, model::HostFacts& facts);
// Tries the features, in a child process; needs the real roots, and cgroups looked at before.
void try_features(model::HostFacts& facts);

}  // namespace cloudos::facts
