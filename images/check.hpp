// What must hold of an index beyond its shape. Private to this room.
#pragma once

#include "core/model/bundle_index.hpp"

namespace cloudos::images {

// Paths that stay below the folder they are for, digests that are all there and all used, chunks that fit the sizes.
// Errors: trust, with all that is wrong; input (a delta, which needs its base).
[[nodiscard]] Status check_index(const model::BundleIndex& index);

// Whether a path is relative, without ".." or control characters.
[[nodiscard]] bool is_safe_path(std::string_view path);

}  // namespace cloudos::images
