#include <algorithm>
#include <array>
#include <format>

#include "agent/facts/look.hpp"
#include "agent/facts/netlink.hpp"
#include "core/base/text.hpp"
#include "core/os/process/process.hpp"

namespace cloudos::facts {

namespace fs = std::filesystem;

namespace {

struct KnownRuntime {
  const char* name;
  const char* socket;
  const char* program;
};
constexpr std::array runtimes = {KnownRuntime{"containerd", "/run/containerd/containerd.sock", "containerd"},
                                 KnownRuntime{"docker", "/run/docker.sock", "dockerd"},
                                 KnownRuntime{"crio", "/run/crio/crio.sock", "crio"},
                                 KnownRuntime{"cri-dockerd", "/run/cri-dockerd.sock", "cri-dockerd"},
                                 KnownRuntime{"k3s", "/run/k3s/containerd/containerd.sock", "k3s"},
                                 KnownRuntime{"podman", "/run/podman/podman.sock", "podman"}};

std::string program_path(const Roots& roots, std::string_view program) {
  for (const auto* folder : {"/usr/local/bin", "/usr/bin", "/usr/sbin", "/usr/local/sbin"}) {
    const auto path = std::string(folder) + "/" + std::string(program);
    std::error_code error;
    if (fs::exists(roots.at(path), error)) return path;
  }
  return {};
}

// The first word of `PROGRAM --version` that looks like a version: "v1.7.28", "27.5.1,".
std::string version_of(const std::string& program) {
  const auto shown = os::capture({program, "--version"}, {.deadline = in(Milliseconds{1000})});
  if (!shown) return {};
  for (auto word : split(shown->out.substr(0, shown->out.find('\n')), ' ')) {
    std::erase(word, ',');
    const auto digits = std::string_view(word).substr(word.starts_with('v') ? 1 : 0);
    if (!digits.empty() && digits.front() >= '0' && digits.front() <= '9' && digits.contains('.')) return std::string(digits);
  }
  return {};
}

void look_at_runtimes(const Roots& roots, model::HostFacts& facts) {
  for (const auto& known : runtimes) {
    std::error_code error;
    const bool has_socket = fs::exists(roots.at(known.socket), error);
    const auto program = program_path(roots, known.program);
    if (!has_socket && program.empty()) continue;
    model::HostFacts::Runtime runtime{.name = known.name, .socket = known.socket};
    if (roots.real()) {
      runtime.running = has_socket && unix_socket_answers(known.socket);
      if (!program.empty()) runtime.version = version_of(program);
    }
    if (runtime.version.empty()) facts.unknown["runtime " + runtime.name + " version"] = "its program did not say one";
    facts.runtimes.push_back(std::move(runtime));
  }
}

void look_at_firewalls(const Roots& roots, const std::vector<Process>& processes, model::HostFacts& facts) {
  auto ufw = parse_assignments(text_of(roots.at("/etc/ufw/ufw.conf")));
  if (ufw["ENABLED"] == "yes") facts.firewalls.emplace_back("ufw");
  if (has_unit(processes, "firewalld.service")) facts.firewalls.emplace_back("firewalld");
  if (!roots.real()) return;
  const auto rules = count_nft_rules();
  if (!rules) facts.unknown["firewalls.nftables"] = rules.error().message;
  else if (*rules > 0) facts.firewalls.push_back(std::format("nftables: {} rules", *rules));
}

}  // namespace

void look_at_software(const Roots& roots, const std::vector<Process>& processes, model::HostFacts& facts) {
  look_at_runtimes(roots, facts);
  look_at_firewalls(roots, processes, facts);
  constexpr std::string_view prefix = "cloudos-apply-", suffix = ".service";
  for (const auto& process : processes) {
    const std::string_view unit = process.unit;
    if (unit.starts_with(prefix) && unit.ends_with(suffix))
      facts.running_apply = unit.substr(prefix.size(), unit.size() - prefix.size() - suffix.size());
  }
}

}  // namespace cloudos::facts
