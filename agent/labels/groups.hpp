// Inside agent/labels: one function for each source of labels.
#pragma once

#include "agent/labels/labels.hpp"

namespace cloudos::labels {

constexpr std::string_view nfd = "feature.node.kubernetes.io/";

// Adds a label unless its name or value is not valid.
void add(Labels& labels, std::string name, std::string value);

// The name that node-feature-discovery gives a flag of /proc/cpuinfo; "" for those that it does not publish.
[[nodiscard]] std::string cpuid_flag(std::string_view arch, std::string_view flag);
// And its name for a vendor: "GenuineIntel" is "Intel", the implementer 0x41 is "ARM".
[[nodiscard]] std::string cpu_vendor(std::string_view vendor);

void add_machine(const model::HostFacts& facts, Found& found);
void add_pci(const model::HostFacts& facts, Found& found);
void add_nvidia(const model::HostFacts& facts, const Sharing& sharing, Found& found);
void add_amd(const model::HostFacts& facts, Found& found);
void add_intel(const model::HostFacts& facts, Found& found);

}  // namespace cloudos::labels
