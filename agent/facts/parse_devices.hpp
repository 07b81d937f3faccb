// Inside agent/facts: what the kernel and drivers write about memory and devices, turned into values. Pure; whatever is not
// understood is left out.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/model/facts.hpp"

namespace cloudos::facts {

// /proc/swaps: a heading, then file, type, size and use in KiB.
[[nodiscard]] std::vector<model::HostFacts::Swap> parse_swaps(std::string_view text);
// The page size in the name of a folder of /sys/kernel/mm/hugepages: "hugepages-2048kB".
[[nodiscard]] std::optional<Bytes> parse_hugepage_folder(std::string_view name);
// memory.max or memory.limit_in_bytes; 0 for "max" and for version 1's "unlimited", which is near 2^63.
[[nodiscard]] Bytes parse_memory_limit(std::string_view text);
// /sys/devices/system/node/nodeN/meminfo: "Node 0 MemTotal:  123 kB".
[[nodiscard]] Bytes parse_node_memory(std::string_view text);
// "key value" lines: /sys/class/kfd/kfd/topology/nodes/N/properties, memory.stat.
[[nodiscard]] std::map<std::string, std::uint64_t> parse_properties(std::string_view text);
// The path of a controller's group in /proc/PID/cgroup; "" names version 2's hierarchy. Nothing when it is not there.
[[nodiscard]] std::optional<std::string> cgroup_path(std::string_view text, std::string_view controller);

// /proc/driver/nvidia/version, of the closed and of the open kernel module: "570.124.06", or "".
[[nodiscard]] std::string parse_nvidia_version(std::string_view text);
// /proc/driver/nvidia/gpus/ADDRESS/information.
struct NvidiaInformation {
  std::string model, uuid;
  int minor = -1;  // N of /dev/nvidiaN
};
[[nodiscard]] NvidiaInformation parse_nvidia_information(std::string_view text);

// A PCI address in sysfs's form: a domain of four digits, lower case. NVML and nvidia-smi write eight.
[[nodiscard]] std::string pci_address(std::string_view text);
// What /sys/class/kfd calls a device's place, as a PCI address: location_id is bus, device and function in 16 bits.
[[nodiscard]] std::string kfd_address(std::uint64_t domain, std::uint64_t location);
// gfx_target_version 90402 is gfx942: two decimal digits for each part, of which the compiler writes the last in hexadecimal.
[[nodiscard]] std::string gfx_name(std::uint64_t target_version);

}  // namespace cloudos::facts
