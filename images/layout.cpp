#include "images/layout.hpp"

#include <algorithm>
#include <format>
#include <nlohmann/json.hpp>

#include "core/os/archive/archive.hpp"

namespace cloudos::images {

namespace {

constexpr std::uint64_t tar_block = 512;
constexpr std::size_t index_granularity = 64U << 10;
constexpr std::string_view oci_layout = R"({"imageLayoutVersion":"1.0.0"})";

std::string blob_path(const Digest& digest) { return "blobs/sha256/" + digest.hex(); }

std::string padding_after(std::uint64_t size) { return std::string((tar_block - size % tar_block) % tar_block, '\0'); }

// What TarWriter puts before a file's content: it is asked to write one, and stopped when it asks for the content.
Result<std::string> header_of(const std::string& path, Bytes size) {
  std::string header;
  bool complete = false;
  os::TarWriter writer([&](std::span<const std::byte> bytes) -> Status {
    if (complete) return fail(ErrorKind::cancelled, "only the header was wanted");
    header.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return {};
  });
  const ByteSource stop = [&](std::span<std::byte>) -> Result<std::size_t> {
    complete = true;
    return fail(ErrorKind::cancelled, "only the header was wanted");
  };
  auto status = writer.add(os::Entry{.path = path, .size = size}, stop);
  if (!complete && !status) return std::unexpected(std::move(status).error());
  return header;
}

// The digests of the index in the order of their offsets.
std::vector<Digest> by_offset(const model::BundleIndex& index) {
  std::vector<std::pair<std::uint64_t, std::string>> order;
  order.reserve(index.blobs.size());
  for (const auto& [hex, blob] : index.blobs) order.emplace_back(blob.offset, hex);
  std::ranges::sort(order);
  std::vector<Digest> out;
  for (const auto& [offset, hex] : order)
    if (auto digest = Digest::parse(hex)) out.push_back(*digest);
  return out;
}

}  // namespace

Status place_blobs(const std::vector<Digest>& order, model::BundleIndex& index) {
  std::uint64_t at = 0;
  for (const auto& digest : order) {
    auto& blob = index.blobs.at(digest.hex());
    CLOUDOS_ASSIGN(const auto header, header_of(blob_path(digest), blob.size));
    blob.offset = at + header.size();
    at = blob.offset + blob.size.count + padding_after(blob.size.count).size();
  }
  return {};
}

Result<Layout> layout_of(std::string_view json, std::string_view minisig, const model::BundleIndex& index) {
  std::string head;
  os::TarWriter writer(into(head, json.size() + (64U << 20)));
  CLOUDOS_TRY(writer.add(std::string(index_name), json));
  CLOUDOS_TRY(writer.add(std::string(signature_name), minisig));
  CLOUDOS_TRY(writer.add("oci-layout", oci_layout));
  CLOUDOS_TRY(writer.add("index.json", image_index(index)));

  Layout layout;
  Fixed next{.at = 0, .bytes = std::move(head), .what = "the entries before the first blob"};
  for (const auto& digest : by_offset(index)) {
    const auto size = index.blobs.at(digest.hex()).size;
    CLOUDOS_ASSIGN(const auto header, header_of(blob_path(digest), size));
    next.bytes += header;
    if (!layout.fixed.empty()) next.what = "the entry " + blob_path(digest);
    const auto at = next.at + next.bytes.size();
    layout.fixed.push_back(std::move(next));
    layout.blobs.push_back({.digest = digest, .at = at, .size = size});
    next = {.at = at + size.count, .bytes = padding_after(size.count), .what = ""};
  }
  // Two blocks of zeros end a POSIX tar (pax(1), "ustar Interchange Format").
  next.bytes += std::string(2 * tar_block, '\0');
  next.what = "the end of the archive";
  layout.size = next.at + next.bytes.size();
  layout.fixed.push_back(std::move(next));
  return layout;
}

std::string index_text(const model::BundleIndex& index) {
  auto text = model::encode_bundle_index(index);
  text.append(index_granularity - 1 - text.size() % index_granularity, ' ');
  return text + '\n';
}

std::string image_index(const model::BundleIndex& index) {
  const auto slash = index.platform.find('/');
  const auto architecture = slash == std::string::npos ? "" : index.platform.substr(slash + 1);
  auto manifests = nlohmann::json::array();
  for (const auto& component : index.components)
    for (const auto& image : component.images) {
      const auto blob = index.blobs.find(image.digest.hex());
      manifests.push_back({{"mediaType", "application/vnd.oci.image.manifest.v1+json"},
                           {"digest", image.digest.oci()},
                           {"size", blob == index.blobs.end() ? 0 : blob->second.size.count},
                           {"platform", {{"os", index.platform.substr(0, slash)}, {"architecture", architecture}}},
                           // The first for skopeo and other readers of the image layout, the second for containerd.
                           {"annotations", {{"org.opencontainers.image.ref.name", image.ref}, {"io.containerd.image.name", image.ref}}}});
    }
  const nlohmann::json out{
      {"schemaVersion", 2}, {"mediaType", "application/vnd.oci.image.index.v1+json"}, {"manifests", std::move(manifests)}};
  return out.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace cloudos::images
