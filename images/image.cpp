#include "images/image.hpp"

#include <nlohmann/json.hpp>

namespace cloudos::images {

using Json = nlohmann::json;

namespace {

constexpr auto path_of_images = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

Json descriptor(const char* media_type, const Digest& digest, std::uint64_t size) {
  return {{"mediaType", media_type}, {"digest", digest.oci()}, {"size", size}};
}

std::string config_of(const ImagePart& image, const std::vector<Layer>& layers, const std::string& architecture,
                      const std::string& created) {
  Json settings{{"Env", Json::array({path_of_images})}};
  for (const auto& variable : image.environment) settings["Env"].push_back(variable);
  if (!image.entrypoint.empty()) settings["Entrypoint"] = image.entrypoint;
  if (!image.user.empty()) settings["User"] = image.user;
  Json diff_ids = Json::array();
  Json history = Json::array();
  for (const auto& layer : layers) {
    diff_ids.push_back(layer.diff_id.oci());
    history.push_back({{"created", created}, {"created_by", "cloudos bundle build"}});
  }
  const Json config{{"created", created},
                    {"architecture", architecture},
                    {"os", "linux"},
                    {"config", std::move(settings)},
                    {"rootfs", {{"type", "layers"}, {"diff_ids", std::move(diff_ids)}}},
                    {"history", std::move(history)}};
  return config.dump();
}

}  // namespace

ImageDocuments describe_image(const ImagePart& image, const std::vector<Layer>& layers, const std::string& architecture,
                              const std::string& created) {
  ImageDocuments out{.config = config_of(image, layers, architecture, created), .manifest = {}};
  Json list = Json::array();
  for (const auto& layer : layers)
    list.push_back(descriptor("application/vnd.oci.image.layer.v1.tar+zstd", layer.blob.digest, layer.blob.size.count));
  const Json manifest{{"schemaVersion", 2},
                      {"mediaType", "application/vnd.oci.image.manifest.v1+json"},
                      {"config", descriptor("application/vnd.oci.image.config.v1+json", os::sha256(out.config), out.config.size())},
                      {"layers", std::move(list)}};
  out.manifest = manifest.dump();
  return out;
}

}  // namespace cloudos::images
