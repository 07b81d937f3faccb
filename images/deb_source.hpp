// Debian packages, through the apt of the machine that builds and the mirrors that it is configured with. Private to this
// room.
#pragma once

#include <string>
#include <vector>

#include "images/lock.hpp"
#include "images/recipe.hpp"
#include "images/work.hpp"

namespace cloudos::images {

struct DebPackages {
  LockedPackages locked;  // each .deb is an object of the cache, by its digest
  bool cached = false;
};

// The packages with all that they depend on, recommendations left out. apt checks them against the archive's signature;
// nothing of the machine that builds is changed. `locked`: exactly these. Errors: failed (with apt's words), trust (a
// package is not the locked one).
[[nodiscard]] Result<DebPackages> fetch_debs(const DebSource& source, const std::string& architecture, const LockedPackages* locked,
                                             const Work& work);

}  // namespace cloudos::images
