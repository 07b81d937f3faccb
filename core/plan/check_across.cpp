#include <algorithm>
#include <array>
#include <cstdlib>
#include <format>
#include <functional>
#include <map>

#include "core/base/text.hpp"
#include "core/plan/checks.hpp"

namespace cloudos::plan {
namespace {

// etcd warns at one second between members; certificates and leases bear some more. Above this, joins fail in odd ways.
constexpr Milliseconds tolerated{5000};

void check_same(const Cluster& cluster, const std::function<std::string(const Member&)>& value,
                const std::function<void(const Member& first, const Member& second)>& tell) {
  std::map<std::string, const Member*> seen;
  for (const auto& member : cluster.members) {
    const auto key = value(member);
    if (key.empty()) continue;
    const auto [first, fresh] = seen.emplace(key, &member);
    if (!fresh) tell(*first->second, member);
  }
}

struct Version {
  std::uint64_t major = 0, minor = 0, patch = 0;
  auto operator<=>(const Version&) const = default;
};
std::optional<Version> parse_version(std::string_view text) {
  if (text.starts_with('v')) text.remove_prefix(1);
  const auto parts = split(text.substr(0, text.find('-')), '.');
  if (parts.size() != 3) return std::nullopt;
  std::array<std::uint64_t, 3> numbers{};
  for (std::size_t i = 0; i < 3; ++i) {
    const auto number = parse_number(parts[i], 0, 1'000'000);
    if (!number) return std::nullopt;
    numbers[i] = *number;
  }
  return Version{numbers[0], numbers[1], numbers[2]};
}

void check_version(const Input& input, const Member& m, Report& report) {
  const auto have = parse_version(m.facts->kubernetes.version);
  const auto want = parse_version(input.bundle.version);
  if (!m.joined || !have || !want || *have == *want) return;
  if (*want < *have)
    report.error(m.id(), "downgrade",
                 std::format("it runs Kubernetes {}, the bundle has the older {}", m.facts->kubernetes.version, input.bundle.version),
                 "Kubernetes cannot go back: use the bundle that is installed, or a newer one");
  else
    report.error(m.id(), "other-version",
                 std::format("it runs Kubernetes {}, the bundle has {}", m.facts->kubernetes.version, input.bundle.version),
                 std::format("install does not change versions: use the bundle of {}{}", m.facts->kubernetes.version,
                             want->minor > have->minor + 1 ? "; an upgrade may not skip a minor version either" : ""));
}

void check_unreachable(const Input& input, const Cluster& cluster, Report& report) {
  for (const auto& config : input.config.machines) {
    const auto found = input.unreachable.find(config.id);
    if (found == input.unreachable.end()) continue;
    const auto why = sanitise(found->second.message);
    const auto remedy = found->second.hint.empty() ? "make it reachable; the next run takes it up" : sanitise(found->second.hint);
    // It may hold the cluster already: founding a second one beside it could not be undone.
    if (config.role == model::Role::master && !cluster.exists)
      report.error(config.id, "master-unreachable",
                   std::format("does not answer ({}), and no other master is in a cluster yet: it might be", why),
                   "make it reachable, or leave it out of the list if it never was a master");
    else report.warning(config.id, "unreachable", std::format("does not answer ({}); the others go on without it", why), remedy);
  }
}

}  // namespace

void check_identities(const Cluster& cluster, Report& report) {
  check_same(
      cluster, [](const Member& m) { return m.node; },
      [&](const Member& first, const Member& second) {
        report.error(second.id(), "same-hostname",
                     std::format("its node name '{}' is also that of {}", sanitise(second.node), first.id().value),
                     "set hostname for one of them in cluster.toml, or change it there with hostnamectl");
      });
  check_same(
      cluster, [](const Member& m) { return m.facts->machine_id; },
      [&](const Member& first, const Member& second) {
        const bool one_machine = !first.facts->boot_id.empty() && first.facts->boot_id == second.facts->boot_id && !container(*first.facts);
        report.error(second.id(), one_machine ? "same-machine" : "same-machine-id",
                     one_machine ? std::format("is the same machine as {}", first.id().value)
                                 : std::format("its machine-id is also that of {}", first.id().value),
                     one_machine
                         ? "name each machine once"
                         : "one was copied from the other: on one of them remove /etc/machine-id, run systemd-machine-id-setup and reboot");
      });
  check_same(
      cluster, [](const Member& m) { return m.address; },
      [&](const Member& first, const Member& second) {
        report.error(second.id(), "same-address",
                     std::format("its cluster address {} is also that of {}", sanitise(second.address), first.id().value),
                     "set address for one of them in cluster.toml");
      });
}

// Offsets are to the installer's clock, known to half a round trip. The median names who is wrong: the installer's own
// clock counts where the number of machines is even, so that two machines do not accuse each other.
void check_clocks(const Input& input, Report& report) {
  std::vector<Milliseconds> offsets;
  offsets.reserve(input.machines.size() + 1);
  for (const auto& [id, seen] : input.machines) offsets.push_back(seen.clock_offset);
  if (offsets.empty()) return;
  if (offsets.size() % 2 == 0) offsets.emplace_back(0);
  const auto middle = offsets.begin() + static_cast<std::ptrdiff_t>(offsets.size() / 2);
  std::ranges::nth_element(offsets, middle);
  const auto median = *middle;
  for (const auto& [id, seen] : input.machines) {
    const auto off = seen.clock_offset - median;
    if (std::chrono::abs(off) - seen.round_trip / 2 <= tolerated) continue;
    report.error(id, "clock",
                 std::format("its clock is {} {} the others'", human(std::chrono::abs(off)), off.count() > 0 ? "ahead of" : "behind"),
                 "set it (chronyc makestep, timedatectl set-time), and keep it in step with NTP");
  }
}

void check_cluster(const Input& input, const Cluster& cluster, Report& report) {
  check_unreachable(input, cluster, report);
  if (!cluster.lead && input.unreachable.empty())
    report.error(MachineId{"masters"}, "no-masters", "no machine is a master", "name at least one with --masters");
  for (const auto& m : cluster.members) {
    const auto& kubernetes = m.facts->kubernetes;
    if (!kubernetes.cluster_id.empty() && kubernetes.cluster_id != input.cluster_id)
      report.error(m.id(), "other-cluster", std::format("it belongs to another cluster ({})", sanitise(kubernetes.cluster_id)),
                   std::format("`cloudos reset --nodes {}` first if it is to change, or leave it out of the list", m.id().value));
    // Without a joined master there is no cluster that it could be a part of.
    else if (m.joined && !cluster.exists && !m.master())
      report.error(m.id(), "masters-missing", "it is a node of this cluster, but no master in the list is",
                   "name the cluster's masters; this would found a second cluster");
    check_version(input, m, report);
  }
}

}  // namespace cloudos::plan
