#include "core/model/bundle_index.hpp"

#include "core/model/codec.hpp"

namespace cloudos::model {

using codec::is;

void fields(auto& a, is<BundleFile> auto& v) {
  a("path", v.path);
  a("mode", v.mode);
  a("digest", v.digest);
  a("stored", v.stored);
  a("content_digest", v.content_digest);
  a("content_size", v.content_size);
}
void fields(auto& a, is<BundleImage> auto& v) {
  a("ref", v.ref);
  a("digest", v.digest);
  a("phase", v.phase);
  a("config", v.config);
  a("layers", v.layers);
  a("unpacked", v.unpacked);
}
void fields(auto& a, is<BundleComponent> auto& v) {
  a("name", v.name);
  a("version", v.version);
  a("licence", v.licence);
  a("source", v.source);
  a("required", v.required);
  a("default", v.enabled);
  a("requires", v.requires_);
  a("files", v.files);
  a("images", v.images);
  a("manifests", v.manifests);
}
void fields(auto& a, is<BundleBlob> auto& v) {
  a("size", v.size);
  a("offset", v.offset);
  a("chunks", v.chunks);
}
void fields(auto& a, is<BundleIndex> auto& v) {
  a("name", v.name);
  a("version", v.version);
  a("platform", v.platform);
  a("created", v.created);
  a("min_installer", v.min_installer);
  a("base", v.base);
  a("components", v.components);
  a("blobs", v.blobs);
}

const BundleComponent* BundleIndex::component(std::string_view wanted) const {
  for (const auto& c : components)
    if (c.name == wanted) return &c;
  return nullptr;
}
const BundleFile* BundleIndex::file(std::string_view path) const {
  for (const auto& c : components)
    for (const auto& f : c.files)
      if (f.path == path) return &f;
  return nullptr;
}
std::vector<const BundleImage*> BundleIndex::images(std::string_view phase) const {
  std::vector<const BundleImage*> out;
  for (const auto& c : components)
    for (const auto& image : c.images)
      if (image.phase == phase) out.push_back(&image);
  return out;
}

std::string encode_bundle_index(const BundleIndex& index) { return codec::encode(index, BundleIndex::schema); }
Result<BundleIndex> decode_bundle_index(std::string_view json) {
  return codec::decode<BundleIndex>(trim(json), "bundle.json", BundleIndex::schema);
}

}  // namespace cloudos::model
