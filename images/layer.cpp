#include "images/layer.hpp"

#include <fcntl.h>

#include <format>

namespace cloudos::images {

using Json = nlohmann::json;

namespace {

constexpr int recipe_of_this_code = 2;  // raise it when the same parts give other bytes

Digest layer_key(const LayerInputs& inputs, int level) {
  const auto& part = *inputs.part;
  Json key{{"kind", "layer"},      {"how", recipe_of_this_code}, {"level", level},          {"zstd", os::zstd_version()},
           {"links", part.links},  {"folders", part.folders},    {"combine", part.combine}, {"files", Json::array()},
           {"debs", Json::array()}};
  for (const auto& file : part.files) key["files"].push_back({file.path, file.mode, inputs.files.at(file.path).digest.hex()});
  for (const auto& deb : inputs.debs) key["debs"].push_back(deb.hex());
  if (inputs.deb != nullptr) key["filter"] = Json::array({inputs.deb->omit, inputs.deb->keep});
  return key_of(key);
}

Status fill(Tree& tree, const LayerInputs& inputs, const Cache& cache) {
  for (const auto& deb : inputs.debs) CLOUDOS_TRY(tree.add_deb(cache.object(deb), *inputs.deb));
  for (const auto& file : inputs.part->files) CLOUDOS_TRY(tree.add_file(file.path, file.mode, inputs.files.at(file.path)));
  for (const auto& [path, pattern] : inputs.part->combine) CLOUDOS_TRY(tree.combine(path, pattern));
  for (const auto& [path, target] : inputs.part->links) CLOUDOS_TRY(tree.add_link(path, target));
  for (const auto& [path, mode] : inputs.part->folders) CLOUDOS_TRY(tree.add_folder(path, mode));
  return {};
}

// The tar goes to a file first: a compressor that is fed from one sees the same pieces every time.
Result<Layer> pack(const Tree& tree, int level, const Cache& cache) {
  CLOUDOS_ASSIGN(const auto work, cache.scratch());
  const auto tar = work.folder() / "layer.tar";
  os::Sha256 sum;
  {
    CLOUDOS_ASSIGN(const auto fd, os::open(tar, O_WRONLY | O_CREAT | O_EXCL));
    CLOUDOS_TRY(tree.write([&](std::span<const std::byte> bytes) -> Status {
      sum.update(bytes);
      return os::write_all(fd.get(), bytes);
    }));
  }
  Layer layer{.blob = {}, .diff_id = sum.finish(), .unpacked = tree.size()};
  CLOUDOS_ASSIGN(const auto source, file_source(tar));
  CLOUDOS_ASSIGN(layer.blob, cache.keep([&](const ByteSink& out) { return os::zstd_compress(source, out, level, 1); }));
  return layer;
}

std::optional<Layer> layer_from(const Json& json) {
  const auto blob = json.contains("blob") ? blob_from(json["blob"]) : std::nullopt;
  if (!blob || !json.contains("diff_id") || !json["diff_id"].is_string() || !json.contains("unpacked") ||
      !json["unpacked"].is_number_unsigned())
    return std::nullopt;
  const auto diff_id = Digest::parse(json["diff_id"].get<std::string>());
  if (!diff_id) return std::nullopt;
  return Layer{.blob = *blob, .diff_id = *diff_id, .unpacked = {json["unpacked"].get<std::uint64_t>()}, .cached = true};
}

}  // namespace

Result<ByteSource> checked_source(const Content& content) {
  CLOUDOS_ASSIGN(const auto source, file_source(content.file));
  const auto sum = std::make_shared<os::Sha256>();
  return ByteSource([=, ended = false](std::span<std::byte> room) mutable -> Result<std::size_t> {
    if (ended) return 0;
    CLOUDOS_ASSIGN(const auto n, source(room));
    if (n > 0) {
      sum->update(room.first(n));
      return n;
    }
    ended = true;
    if (sum->finish() == content.digest) return 0;
    return fail(ErrorKind::io, std::format("{} is not what it was when it was looked at", content.file.string()),
                "remove it if it is in the build cache, and build again");
  });
}

Result<Layer> make_layer(const LayerInputs& inputs, int level, const Cache& cache) {
  const auto key = layer_key(inputs, level);
  if (const auto found = cache.find(key))
    if (auto layer = layer_from(*found)) return std::move(*layer);
  Tree tree;
  CLOUDOS_TRY(fill(tree, inputs, cache));
  CLOUDOS_ASSIGN(auto layer, pack(tree, level, cache));
  CLOUDOS_TRY(cache.record(key, {{"objects", {layer.blob.digest.hex()}},
                                 {"blob", to_json(layer.blob)},
                                 {"diff_id", layer.diff_id.hex()},
                                 {"unpacked", layer.unpacked.count}}));
  return layer;
}

Result<PackedFile> pack_file(const Content& content, bool compress, int level, const Cache& cache) {
  const auto key = key_of({{"kind", "file"},
                           {"how", recipe_of_this_code},
                           {"content", content.digest.hex()},
                           {"stored", compress ? Json{{"level", level}, {"zstd", os::zstd_version()}} : Json("raw")}});
  if (const auto found = cache.find(key); found && found->contains("blob"))
    if (auto blob = blob_from((*found)["blob"])) return PackedFile{.blob = std::move(*blob), .cached = true};
  CLOUDOS_ASSIGN(const auto source, checked_source(content));
  CLOUDOS_ASSIGN(auto blob, cache.keep([&](const ByteSink& out) -> Status {
    if (compress) return os::zstd_compress(source, out, level, 1);
    std::vector<std::byte> buffer(1U << 20);
    while (true) {
      CLOUDOS_ASSIGN(const auto n, source(buffer));
      if (n == 0) return {};
      CLOUDOS_TRY(out(std::span(buffer).first(n)));
    }
  }));
  CLOUDOS_TRY(cache.record(key, {{"objects", {blob.digest.hex()}}, {"blob", to_json(blob)}}));
  return PackedFile{.blob = std::move(blob)};
}

}  // namespace cloudos::images
