// A bundle file out of its parts. Private to this room, and to its tests.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "core/base/argv.hpp"
#include "core/base/secret.hpp"
#include "core/model/bundle_index.hpp"

namespace cloudos::images {

// bundle.json and its signature; the signature is "" without a key.
struct Signed {
  std::string json, minisig;
};
[[nodiscard]] Result<Signed> sign_index(const model::BundleIndex& index, const Secret& key);

// Writes FILE.part and renames it when every blob was what its digest says. Errors: io (disk full, a damaged cache).
[[nodiscard]] Status write_bundle(const std::filesystem::path& file, const Signed& head, const model::BundleIndex& index,
                                  const std::function<Result<ByteSource>(const Digest&)>& blob);

}  // namespace cloudos::images
