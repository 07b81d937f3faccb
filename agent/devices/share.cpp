#include <format>

#include "agent/devices/vendors.hpp"
#include "core/base/text.hpp"

namespace cloudos::devices {

constexpr unsigned most_replicas = 64;

Result<MigStrategy> parse_mig_strategy(std::string_view text) {
  if (text == "none") return MigStrategy::none;
  if (text == "single") return MigStrategy::single;
  if (text == "mixed") return MigStrategy::mixed;
  return fail(ErrorKind::input, std::format("MIG strategy \"{}\" is not known", text), "it is one of none, single, mixed");
}

Result<std::pair<std::string, unsigned>> parse_replicas(std::string_view text) {
  const auto at = text.rfind('=');
  const auto count = at == std::string_view::npos ? Result<std::uint64_t>(fail(ErrorKind::input, "there is no \"=\""))
                                                  : parse_number(text.substr(at + 1), 2, most_replicas);
  if (!count || at == 0)
    return fail(ErrorKind::input, std::format("\"{}\" does not say how often a resource is shared", text),
                std::format("write RESOURCE=N with N from 2 to {}, as nvidia.com/gpu=4", most_replicas));
  return std::pair(std::string(text.substr(0, at)), static_cast<unsigned>(*count));
}

void share(Vendor& vendor, const Options& options) {
  for (auto& resource : vendor.resources) {
    const auto wanted = options.replicas.find(resource.name);
    if (wanted == options.replicas.end() || wanted->second < 2) continue;
    std::vector<Unit> shares;
    for (const auto& unit : resource.units)
      for (unsigned i = 0; i < wanted->second; ++i) {
        shares.push_back(unit);
        // The form of NVIDIA's plugin, which tools know.
        shares.back().id = std::format("{}::{}", unit.id, i);
      }
    resource.units = std::move(shares);
    if (options.rename_shared) resource.name += ".shared";
  }
}

}  // namespace cloudos::devices
