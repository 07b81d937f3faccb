// Texts of /proc and /sys: the first byte picks the parser, so that the corpus of one does not drown the others.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "agent/facts/parse.hpp"
#include "agent/facts/parse_devices.hpp"

using namespace cloudos::facts;

namespace {

void parse_memory(std::string_view text) {
  static_cast<void>(parse_meminfo(text));
  static_cast<void>(parse_node_memory(text));
  static_cast<void>(parse_memory_limit(text));
  static_cast<void>(parse_hugepage_folder(text));
  static_cast<void>(parse_swaps(text));
}

void parse_network(std::string_view text) {
  static_cast<void>(parse_routes(text));
  static_cast<void>(parse_routes6(text));
  for (const auto* protocol : {"tcp", "tcp6", "udp", "udp6"}) static_cast<void>(parse_sockets(protocol, text));
}

void parse_groups(std::string_view text) {
  static_cast<void>(unit_of_cgroup(text));
  static_cast<void>(cgroup_path(text, "memory"));
  const auto mounts = parse_mountinfo(text);
  static_cast<void>(mount_of(mounts, "/var/lib/cloudos"));
}

void parse_gpu(std::string_view text) {
  static_cast<void>(parse_nvidia_version(text));
  static_cast<void>(parse_nvidia_information(text));
  static_cast<void>(pci_address(text));
  auto properties = parse_properties(text);
  static_cast<void>(kfd_address(properties["domain"], properties["location_id"]));
  static_cast<void>(gfx_name(properties["gfx_target_version"]));
  static_cast<void>(gpu_of(text, "0x10de", text, text));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 6) {
    case 0: static_cast<void>(parse_cpuinfo(text)); break;
    case 1: parse_memory(text); break;
    case 2: parse_network(text); break;
    case 3: parse_groups(text); break;
    case 4: parse_gpu(text); break;
    default: static_cast<void>(parse_assignments(text)); break;
  }
  return 0;
}
