// From the pieces that were made to the index of a bundle. Private to this room.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/model/bundle_index.hpp"
#include "images/cache.hpp"
#include "images/deb_source.hpp"
#include "images/go_source.hpp"
#include "images/layer.hpp"
#include "images/recipe.hpp"

namespace cloudos::images {

struct MadeFile {
  Content content;  // as installed
  PackedFile packed;
};
// The pieces, each in the place of what it was made from.
struct Made {
  std::map<std::string, GoPrograms> go;
  std::map<std::string, DebPackages> deb;
  std::map<std::string, Layer> layers;
  struct Component {
    std::vector<MadeFile> files, manifests;
    std::vector<Layer> own_layers;  // one an image; its blob is empty where the image has none of its own
  };
  std::vector<Component> components;  // as in the recipe
};

// Writes image configs and manifests into the cache, gives the blobs their places, and the index. Errors: io.
[[nodiscard]] Result<model::BundleIndex> assemble(const Recipe& recipe, const std::string& created, const Made& made, const Cache& cache);

}  // namespace cloudos::images
