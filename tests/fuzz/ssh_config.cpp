// ssh_config files are written by people and by programs of all kinds.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "installer/ssh/ssh_config.hpp"

using namespace cloudos;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string text(reinterpret_cast<const char*>(data), size);
  // Include would read files of this computer.
  for (auto& c : text)
    if (c == '/') c = '_';
  const auto config = ssh::parse_ssh_config(text, "f", "host.example", {.home = "/nonexistent", .local_user = "me"});
  if (!config) return 0;
  // Nothing that a program could take for an option comes out.
  if (config->hostname.starts_with('-') || config->user.starts_with('-')) __builtin_trap();
  for (const auto& hop : config->proxy_jump)
    if (const auto parsed = ssh::parse_hop(hop); !parsed || parsed->host.starts_with('-')) __builtin_trap();
  return 0;
}
