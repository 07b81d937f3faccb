#include <algorithm>
#include <format>
#include <nlohmann/json.hpp>

#include "core/base/text.hpp"
#include "images/bundle.hpp"

namespace cloudos::images {

namespace {

constexpr auto built_wrongly = "the bundle was built wrongly: build it again";

Status drain(const ByteSource& source, const ByteSink& sink) {
  std::vector<std::byte> buffer(1U << 20);
  while (true) {
    CLOUDOS_ASSIGN(const auto n, source(buffer));
    if (n == 0) return {};
    CLOUDOS_TRY(sink(std::span(buffer).first(n)));
  }
}

Status verify_blob(const Bundle& bundle, const Digest& digest, const std::function<void(std::size_t)>& done) {
  CLOUDOS_ASSIGN(const auto source, bundle.blob(digest));
  os::Sha256 sum;
  CLOUDOS_TRY(drain(source, [&](std::span<const std::byte> bytes) -> Status {
    sum.update(bytes);
    done(bytes.size());
    return {};
  }));
  if (sum.finish() == digest) return {};
  return fail(ErrorKind::trust, std::format("blob {} is not what its name says, though its chunks are as signed", digest.oci()),
              built_wrongly);
}

Status verify_file(const Bundle& bundle, const model::BundleFile& file) {
  if (file.stored == "raw") return {};
  CLOUDOS_ASSIGN(const auto source, bundle.blob(file.digest));
  os::Sha256 sum;
  Bytes size;
  const auto sink = [&](std::span<const std::byte> bytes) -> Status {
    sum.update(bytes);
    size += Bytes{bytes.size()};
    return {};
  };
  CLOUDOS_TRY_WITH(os::zstd_expand(source, sink, file.content_size), std::format("expanding '{}'", sanitise(file.path)));
  if (size == file.content_size && sum.finish() == file.content_digest) return {};
  return fail(ErrorKind::trust, std::format("'{}' does not expand to what bundle.json says", sanitise(file.path)), built_wrongly);
}

Status verify_image(const Bundle& bundle, const model::BundleImage& image) {
  constexpr std::size_t most_manifest = 4U << 20;  // as containerd and registries limit it
  CLOUDOS_ASSIGN(const auto text, bundle.read(image.digest, most_manifest));
  const auto manifest = nlohmann::json::parse(text, nullptr, false);
  const auto digest_in = [](const nlohmann::json& descriptor) {
    return descriptor.is_object() && descriptor.contains("digest") && descriptor["digest"].is_string()
               ? descriptor["digest"].get<std::string>()
               : "";
  };
  std::vector<std::string> found;
  std::vector<std::string> expected{image.config.oci()};
  for (const auto& layer : image.layers) expected.push_back(layer.oci());
  if (manifest.is_object() && manifest.contains("config") && manifest.contains("layers") && manifest["layers"].is_array()) {
    found.push_back(digest_in(manifest["config"]));
    for (const auto& layer : manifest["layers"]) found.push_back(digest_in(layer));
  }
  if (found == expected) return {};
  return fail(ErrorKind::trust, std::format("the manifest of the image '{}' names other blobs than bundle.json", sanitise(image.ref)),
              built_wrongly);
}

}  // namespace

Status verify_all(const Bundle& bundle, const std::function<void(Bytes done, Bytes total)>& progress) {
  Bytes total, done;
  for (const auto& [hex, blob] : bundle.index().blobs) total += blob.size;
  for (const auto& [hex, blob] : bundle.index().blobs) {
    CLOUDOS_ASSIGN(const auto digest, Digest::parse(hex));
    CLOUDOS_TRY(verify_blob(bundle, digest, [&](std::size_t n) {
      done += Bytes{n};
      if (progress) progress(done, total);
    }));
  }
  for (const auto& component : bundle.index().components) {
    for (const auto& file : component.files) CLOUDOS_TRY(verify_file(bundle, file));
    for (const auto& file : component.manifests) CLOUDOS_TRY(verify_file(bundle, file));
    for (const auto& image : component.images) CLOUDOS_TRY(verify_image(bundle, image));
  }
  return {};
}

}  // namespace cloudos::images
