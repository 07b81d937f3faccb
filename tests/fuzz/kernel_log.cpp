// The kernel's log: whatever a program writes into /dev/kmsg, or a device driver prints, reaches the monitor.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "agent/health/health.hpp"

using namespace cloudos;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  health::Sample sample;
  while (!text.empty()) {
    const auto line = text.substr(0, text.find('\n'));
    sample.kernel_lines.push_back(health::parse_kernel_line(line));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
  }
  health::Monitor monitor;
  const auto out = monitor.look(sample);
  // A node's conditions go to an API server: nothing that a log holds may make them grow without bound.
  for (const auto& condition : out.changed) {
    if (condition.message.size() > 16'384 + size) std::abort();
  }
  return 0;
}
