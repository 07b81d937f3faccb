// What our containerd holds, as `ctr images check` tells.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "core/base/units.hpp"

namespace cloudos::steps {

struct ImageList {
  struct Image {
    std::string digest;  // "sha256:…" of the target
    bool complete = false, unpacked = false;
  };
  std::map<std::string, Image> by_ref;
};
// Reads the table of `ctr images check`. Lines that are not rows of it are left out.
[[nodiscard]] ImageList parse_image_table(std::string_view table);

}  // namespace cloudos::steps
