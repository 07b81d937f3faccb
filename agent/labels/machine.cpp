#include <algorithm>
#include <format>
#include <set>

#include "agent/labels/groups.hpp"
#include "core/base/text.hpp"

namespace cloudos::labels {

namespace {

void feature(Found& found, std::string_view name, std::string value = "true") {
  add(found.labels, std::string(nfd) + std::string(name), std::move(value));
}

void unknown(Found& found, std::string_view group) { found.unknown.insert(std::string(nfd) + std::string(group)); }

void add_cpu(const model::HostFacts& facts, Found& found) {
  const auto& cpu = facts.cpu;
  if (cpu.threads == 0) return unknown(found, "cpu-");
  for (const auto& flag : cpu.flags) {
    if (const auto name = cpuid_flag(facts.arch, flag); !name.empty()) feature(found, "cpu-cpuid." + name);
  }
  feature(found, "cpu-model.vendor_id", cpu_vendor(cpu.vendor));
  feature(found, "cpu-model.family", std::to_string(cpu.family));
  feature(found, "cpu-model.id", std::to_string(cpu.id));
  feature(found, "cpu-hardware_multithreading", cpu.multithreading ? "true" : "false");
}

// "6.12.48+deb13-amd64" -> full "6.12.48_deb13-amd64". The parts are only told when the version as a whole reads
// "major.minor.revision", with or without a "-" and more: so does node-feature-discovery.
void add_kernel(const model::HostFacts& facts, Found& found) {
  const auto full = version_value(facts.kernel.release);
  if (full.empty()) return unknown(found, "kernel-");
  feature(found, "kernel-version.full", full);
  const auto parts = split(std::string_view(full).substr(0, full.find('-')), '.');
  static constexpr std::array names = {"major", "minor", "revision"};
  if (parts.size() > names.size() || !std::ranges::all_of(parts, [](const auto& p) { return parse_number(p, 0, ~0ULL).has_value(); }))
    return;
  for (std::size_t i = 0; i < parts.size(); ++i) feature(found, std::format("kernel-version.{}", names[i]), parts[i]);
}

void add_system(const model::HostFacts& facts, Found& found) {
  if (facts.os.id.empty()) return unknown(found, "system-");
  feature(found, "system-os_release.ID", value_of(facts.os.id));
  if (facts.os.version_id.empty()) return;  // rolling distributions have none
  feature(found, "system-os_release.VERSION_ID", value_of(facts.os.version_id));
  const auto parts = split(facts.os.version_id, '.');
  feature(found, "system-os_release.VERSION_ID.major", value_of(parts[0]));
  if (parts.size() > 1) feature(found, "system-os_release.VERSION_ID.minor", value_of(parts[1]));
}

}  // namespace

void add_machine(const model::HostFacts& facts, Found& found) {
  add_cpu(facts, found);
  add_kernel(facts, found);
  add_system(facts, found);
  if (facts.numa.size() > 1) feature(found, "memory-numa");
  if (std::ranges::any_of(facts.interfaces, [](const auto& link) { return link.sriov_capable > 0; }))
    feature(found, "network-sriov.capable");
  if (std::ranges::any_of(facts.interfaces, [](const auto& link) { return link.sriov_active > 0; }))
    feature(found, "network-sriov.configured");
  if (facts.interfaces.empty()) unknown(found, "network-");
  // Real disks only: a loop device is no reason to place a database here.
  if (std::ranges::any_of(facts.disks, [](const auto& disk) { return !disk.rotational; })) feature(found, "storage-nonrotationaldisk");
}

void add_pci(const model::HostFacts& facts, Found& found) {
  if (facts.unknown.contains("pci")) return unknown(found, "pci-");
  for (const auto& function : facts.pci) {
    if (function.pci_class.size() < 4) continue;
    feature(found, std::format("pci-{}.present", function.vendor));
    // By default node-feature-discovery labels only what computes; the vendor alone is what the GPU and network operators
    // configure it for, and select on.
    if (function.pci_class.starts_with("02")) continue;
    const auto device = std::format("pci-{}_{}", function.pci_class.substr(0, 4), function.vendor);
    feature(found, device + ".present");
    if (function.sriov_capable > 0) feature(found, device + ".sriov.capable");
  }
}

}  // namespace cloudos::labels
