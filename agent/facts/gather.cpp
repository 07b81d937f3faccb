#include <algorithm>
#include <cstring>

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/facts/look.hpp"
#include "core/base/text.hpp"
#include "core/os/file/file.hpp"

namespace cloudos::facts {

namespace fs = std::filesystem;

bool unix_socket_answers(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return false;
  std::ranges::copy(path, address.sun_path);
  const os::Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  // EAGAIN: its backlog is full, so somebody listens.
  return fd && (connect(fd.get(), static_cast<sockaddr*>(static_cast<void*>(&address)), sizeof address) == 0 || errno == EAGAIN);
}

bool tcp_port_answers(const std::string& address, std::uint16_t port) {
  const auto answers = reach({.from = {}, .targets = {{.id = {}, .host = address, .port = port}}}, Milliseconds{500});
  return answers.front().tcp;
}

std::vector<Process> processes(const Roots& roots) {
  std::vector<Process> out;
  for (const auto& name : names_in(roots.procfs)) {
    const auto pid = parse_number(name, 1, 1U << 30U);
    // Kernel threads are in no unit; a process that is gone by now neither.
    if (pid) out.push_back({.pid = static_cast<int>(*pid), .unit = unit_of_cgroup(text_of(roots.procfs / name / "cgroup"))});
  }
  return out;
}

bool has_unit(const std::vector<Process>& processes, std::string_view unit) {
  return std::ranges::any_of(processes, [&](const auto& p) { return p.unit == unit; });
}

Result<model::HostFacts> gather_hardware(const Roots& roots, std::span<GpuProbe* const> probes) {
  if (!fs::exists(roots.procfs / "meminfo")) {
    return fail(ErrorKind::io, roots.procfs.string() + " is not a proc file system: it has no meminfo");
  }
  model::HostFacts facts;
  look_at_machine(roots, facts);
  look_at_memory(roots, facts);
  look_at_storage(roots, facts);
  look_at_cgroups(roots, facts);
  look_at_devices(roots, facts);
  ask_probes(probes, facts);
  look_at_interfaces(roots, facts);
  return facts;
}

Result<model::HostFacts> gather(const Roots& roots, std::span<GpuProbe* const> probes) {
  CLOUDOS_ASSIGN(auto facts, gather_hardware(roots, probes));
  const auto all = processes(roots);
  look_at_network(roots, all, facts);
  look_at_software(roots, all, facts);
  look_at_kubernetes(roots, all, facts);
  if (roots.real()) try_features(facts);
  else facts.unknown["features"] = "only tried on the machine itself";
  return facts;
}

}  // namespace cloudos::facts
