#include "images/assemble.hpp"

#include <algorithm>

#include "images/image.hpp"
#include "images/layout.hpp"

namespace cloudos::images {

namespace {

// Manifests and configs first, so that a reader of the stream knows what comes; then by the order of use on a machine.
enum class Rank { document, node, control_plane, addon };

Rank rank_of(const std::string& phase) {
  if (phase == "node") return Rank::node;
  return phase == "control-plane" ? Rank::control_plane : Rank::addon;
}

class Assembly {
 public:
  Assembly(const Recipe& recipe, const std::string& created, const Made& made, const Cache& cache)
      : recipe_(recipe), made_(made), cache_(cache) {
    index_.name = recipe.name;
    index_.version = recipe.version;
    index_.platform = recipe.platform;
    index_.created = created;
    index_.min_installer = recipe.min_installer;
  }

  Result<model::BundleIndex> run() {
    for (std::size_t i = 0; i < recipe_.components.size(); ++i) CLOUDOS_TRY(add_component(recipe_.components[i], made_.components[i]));
    std::vector<std::pair<Rank, Digest>> order;
    order.reserve(ranks_.size());
    for (const auto& [digest, rank] : ranks_) order.emplace_back(rank, digest);
    std::ranges::sort(order);
    std::vector<Digest> digests;
    digests.reserve(order.size());
    for (const auto& [rank, digest] : order) digests.push_back(digest);
    CLOUDOS_TRY(place_blobs(digests, index_));
    return std::move(index_);
  }

 private:
  void add_blob(const Blob& blob, Rank rank) {
    index_.blobs[blob.digest.hex()] = {.size = blob.size, .offset = 0, .chunks = blob.chunks};
    const auto [at, added] = ranks_.try_emplace(blob.digest, rank);
    if (!added) at->second = std::min(at->second, rank);
  }

  model::BundleFile add_file(const BundledPart& part, const MadeFile& made) {
    add_blob(made.packed.blob, Rank::node);
    return {.path = part.file.path,
            .mode = part.file.mode,
            .digest = made.packed.blob.digest,
            .stored = part.compress ? "zstd" : "raw",
            .content_digest = made.content.digest,
            .content_size = made.content.size};
  }

  Result<Blob> keep_text(const std::string& text) const {
    return cache_.keep([&](const ByteSink& out) { return out(std::as_bytes(std::span(text))); });
  }

  Result<model::BundleImage> add_image(const ImagePart& part, const Layer& own) {
    std::vector<Layer> layers;
    layers.reserve(part.layers.size() + 1);
    for (const auto& name : part.layers) layers.push_back(made_.layers.at(name));
    if (!own.blob.digest.empty()) layers.push_back(own);
    const auto documents = describe_image(part, layers, recipe_.architecture(), index_.created);
    CLOUDOS_ASSIGN(const auto config, keep_text(documents.config));
    CLOUDOS_ASSIGN(const auto manifest, keep_text(documents.manifest));
    add_blob(config, Rank::document);
    add_blob(manifest, Rank::document);
    model::BundleImage image{
        .ref = part.ref, .digest = manifest.digest, .phase = part.phase, .config = config.digest, .layers = {}, .unpacked = {}};
    for (const auto& layer : layers) {
      add_blob(layer.blob, rank_of(part.phase));
      image.layers.push_back(layer.blob.digest);
      image.unpacked += layer.unpacked;
    }
    return image;
  }

  Status add_component(const ComponentPart& part, const Made::Component& made) {
    model::BundleComponent out{.name = part.name,
                               .version = part.version,
                               .licence = part.licence,
                               .source = part.source,
                               .required = part.required,
                               .enabled = part.enabled,
                               .requires_ = part.requires_,
                               .files = {},
                               .images = {},
                               .manifests = {}};
    for (std::size_t i = 0; i < part.files.size(); ++i) out.files.push_back(add_file(part.files[i], made.files[i]));
    for (std::size_t i = 0; i < part.manifests.size(); ++i) out.manifests.push_back(add_file(part.manifests[i], made.manifests[i]));
    for (std::size_t i = 0; i < part.images.size(); ++i) {
      CLOUDOS_ASSIGN(auto image, add_image(part.images[i], made.own_layers[i]));
      out.images.push_back(std::move(image));
    }
    index_.components.push_back(std::move(out));
    return {};
  }

  const Recipe& recipe_;
  const Made& made_;
  const Cache& cache_;
  model::BundleIndex index_;
  std::map<Digest, Rank> ranks_;
};

}  // namespace

Result<model::BundleIndex> assemble(const Recipe& recipe, const std::string& created, const Made& made, const Cache& cache) {
  return Assembly(recipe, created, made, cache).run();
}

}  // namespace cloudos::images
