// Where every byte of a bundle lies that is not a blob's content. Private to this room.
//
// Of a bundle only bundle.json, its signature and the blobs are information; tar headers, oci-layout, index.json, padding
// and end blocks follow from them. So the writer and the reader share one function: what it gives is written by the one
// and compared byte for byte by the other, and no entry can be extra, missing, renamed, a link or of another size unseen.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/model/bundle_index.hpp"

namespace cloudos::images {

inline constexpr std::uint64_t chunk_size = 4U << 20;
inline constexpr std::string_view index_name = "bundle.json";
inline constexpr std::string_view signature_name = "bundle.json.minisig";

// Bytes that must stand at a place in the file.
struct Fixed {
  std::uint64_t at = 0;
  std::string bytes;
  std::string what;  // for messages: "the entry blobs/sha256/…"
};
struct Placed {
  Digest digest;
  std::uint64_t at = 0;  // of its first content byte, from the start of the file
  Bytes size;
};
struct Layout {
  std::vector<Fixed> fixed;   // fixed[0] is all before the first blob's content; then one between each two; then the end
  std::vector<Placed> blobs;  // by place
  std::uint64_t size = 0;     // of the file
};

// `json` and `minisig` are the bytes of the first two entries; `index` is what `json` says. Errors: failed (libarchive).
[[nodiscard]] Result<Layout> layout_of(std::string_view json, std::string_view minisig, const model::BundleIndex& index);

// Gives each blob of the index its offset, in the order given. Errors: failed (libarchive).
[[nodiscard]] Status place_blobs(const std::vector<Digest>& order, model::BundleIndex& index);

// bundle.json: the index in one line, padded with spaces so that it can be rewritten in place.
[[nodiscard]] std::string index_text(const model::BundleIndex& index);

// The OCI image index (image-spec, "image-index.md") of the bundle's images.
[[nodiscard]] std::string image_index(const model::BundleIndex& index);

}  // namespace cloudos::images
