#include <format>

#include "agent/devices/vendors.hpp"
#include "core/base/text.hpp"

namespace cloudos::devices {

Result<MigStrategy> parse_mig_strategy(std::string_view text) {
  if (text == "none") return MigStrategy::none;
  if (text == "single") return MigStrategy::single;
  if (text == "mixed") return MigStrategy::mixed;
  return fail(ErrorKind::input, std::format("MIG strategy \"{}\" is not known", text), "it is one of none, single, mixed");
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
