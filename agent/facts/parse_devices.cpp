#include "agent/facts/parse_devices.hpp"

#include <algorithm>
#include <cctype>
#include <format>

#include "agent/facts/lines.hpp"
#include "core/base/text.hpp"

namespace cloudos::facts {

namespace {

// What would not fit into bytes is nonsense and is cut off rather than wrapped.
Bytes from_kib(std::string_view text) { return Bytes{std::min(number(text), std::uint64_t{~0ULL >> 10U}) << 10U}; }

}  // namespace

std::vector<model::HostFacts::Swap> parse_swaps(std::string_view text) {
  std::vector<model::HostFacts::Swap> out;
  for (const auto line : lines_of(text) | std::views::drop(1)) {
    const auto words = words_of(line);
    if (words.size() < 5) continue;
    out.push_back({.device = unescape(words[0]), .type = std::string(words[1]), .size = from_kib(words[2]), .used = from_kib(words[3])});
  }
  return out;
}

std::optional<Bytes> parse_hugepage_folder(std::string_view name) {
  constexpr std::string_view prefix = "hugepages-", suffix = "kB";
  if (!name.starts_with(prefix) || !name.ends_with(suffix)) return std::nullopt;
  const auto kib = parse_number(name.substr(prefix.size(), name.size() - prefix.size() - suffix.size()), 1, 1ULL << 40U);
  return kib ? std::optional(Bytes{*kib << 10U}) : std::nullopt;
}

Bytes parse_memory_limit(std::string_view text) {
  // LONG_MAX rounded down to pages is what version 1 shows when nothing was set (Documentation/admin-guide/cgroup-v1/memory.rst).
  const auto limit = parse_number(trim(text), 1, (1ULL << 62U) - 1);
  return Bytes{limit.value_or(0)};
}

Bytes parse_node_memory(std::string_view text) {
  for (const auto line : lines_of(text)) {
    const auto words = words_of(line);
    if (words.size() >= 4 && words[2] == "MemTotal:") return from_kib(words[3]);
  }
  return {};
}

std::map<std::string, std::uint64_t> parse_properties(std::string_view text) {
  std::map<std::string, std::uint64_t> out;
  for (const auto line : lines_of(text)) {
    const auto words = words_of(line);
    if (words.size() != 2) continue;
    if (const auto value = parse_number(words[1], 0, ~0ULL)) out[std::string(words[0])] = *value;
  }
  return out;
}

std::optional<std::string> cgroup_path(std::string_view text, std::string_view controller) {
  for (const auto line : lines_of(text)) {
    const auto first = line.find(':');
    const auto second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const auto names = line.substr(first + 1, second - first - 1);
    if (names == controller || (!controller.empty() && std::ranges::contains(split(names, ','), controller)))
      return std::string(line.substr(second + 1));
  }
  return std::nullopt;
}

std::string parse_nvidia_version(std::string_view text) {
  for (const auto line : lines_of(text)) {
    if (!line.starts_with("NVRM version:")) continue;
    for (const auto word : words_of(line)) {
      if (word.contains('.') && word.find_first_not_of("0123456789.") == std::string_view::npos) return std::string(word);
    }
  }
  return {};
}

NvidiaInformation parse_nvidia_information(std::string_view text) {
  NvidiaInformation out;
  for (const auto line : lines_of(text)) {
    const auto [name, value] = field(line);
    if (name == "Model") out.model = value;
    // A GPU that the driver has not opened yet shows question marks.
    if (name == "GPU UUID" && !value.contains('?')) out.uuid = value;
    if (name == "Device Minor") out.minor = static_cast<int>(parse_number(value, 0, 1U << 20U).value_or(0));
  }
  return out;
}

std::string pci_address(std::string_view text) {
  std::string out(trim(text));
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const auto colon = out.find(':');
  if (colon != std::string::npos && colon > 4 && out.find(':', colon + 1) != std::string::npos && out.find_first_not_of('0') >= colon - 4)
    out.erase(0, colon - 4);
  return out;
}

std::string kfd_address(std::uint64_t domain, std::uint64_t location) {
  return std::format("{:04x}:{:02x}:{:02x}.{}", domain & 0xffffffffU, location >> 8U & 0xffU, location >> 3U & 0x1fU, location & 7U);
}

std::string gfx_name(std::uint64_t target_version) {
  if (target_version == 0) return {};
  return std::format("gfx{}{}{:x}", target_version / 10000, target_version / 100 % 100, target_version % 100);
}

}  // namespace cloudos::facts
