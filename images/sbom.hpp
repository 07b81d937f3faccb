// The bill of materials of a bundle: SPDX 2.3 JSON (https://spdx.github.io/spdx-spec/v2.3/). Private to this room.
#pragma once

#include <string>
#include <vector>

#include "core/model/bundle_index.hpp"
#include "images/go_source.hpp"
#include "images/lock.hpp"

namespace cloudos::images {

struct Materials {
  std::vector<UsedModule> modules;
  std::vector<LockedPackage> packages;
};
[[nodiscard]] std::string make_sbom(const model::BundleIndex& index, const Digest& bundle, const Materials& materials);

}  // namespace cloudos::images
