// known_hosts comes from the operator's disk, but lines of it from anywhere.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "installer/ssh/known_hosts.hpp"

using namespace cloudos;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto hosts = ssh::parse_known_hosts(text, "f");
  const std::string name = ssh::known_name("Host.example", 2222);
  for (const auto& entry : hosts.entries) {
    // Whatever is read must be judged by its own key as known or revoked, never as somebody else's.
    if (entry.key.empty() || entry.line == 0) __builtin_trap();
    if (!ssh::names(entry, name)) continue;
    const auto verdict = ssh::judge(hosts.entries, name, entry.type, entry.key).verdict;
    if (verdict != ssh::Judgement::Verdict::known && verdict != ssh::Judgement::Verdict::revoked) __builtin_trap();
  }
  return 0;
}
