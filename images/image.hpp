// OCI image configs and manifests (https://github.com/opencontainers/image-spec). Private to this room.
#pragma once

#include <string>
#include <vector>

#include "images/layer.hpp"
#include "images/recipe.hpp"

namespace cloudos::images {

struct ImageDocuments {
  std::string config, manifest;
};
// The same layers and settings give the same bytes. `created`: RFC 3339.
[[nodiscard]] ImageDocuments describe_image(const ImagePart& image, const std::vector<Layer>& layers, const std::string& architecture,
                                            const std::string& created);

}  // namespace cloudos::images
