#include "images/check.hpp"

#include <algorithm>
#include <format>
#include <set>

#include "core/base/text.hpp"
#include "images/layout.hpp"

namespace cloudos::images {

namespace {

class IndexCheck {
 public:
  explicit IndexCheck(const model::BundleIndex& index) : index_(index) {}

  Status run() {
    for (const auto& component : index_.components) {
      for (const auto& file : component.files) check_file(file, "file");
      for (const auto& file : component.manifests) check_file(file, "manifest");
      for (const auto& image : component.images) check_image(image);
    }
    for (const auto& [hex, blob] : index_.blobs) check_blob(hex, blob);
    if (wrong_.empty()) return {};
    constexpr std::size_t shown = 10;
    const auto more = wrong_.size() > shown ? std::format("; and {} more", wrong_.size() - shown) : "";
    wrong_.resize(std::min(wrong_.size(), shown));
    return fail(ErrorKind::trust, std::format("bundle.json contradicts itself: {}{}", join(wrong_, "; "), more));
  }

 private:
  void use(const Digest& digest, const std::string& what) {
    if (!index_.blobs.contains(digest.hex())) wrong_.push_back(what + " names a blob that is missing");
    used_.insert(digest.hex());
  }
  void unique(const std::string& name, const std::string& what) {
    if (!names_.insert(name).second) wrong_.push_back(what + " is there twice");
  }
  void check_file(const model::BundleFile& file, std::string_view kind) {
    const auto what = std::format("{} '{}'", kind, sanitise(file.path));
    unique(std::format("{} {}", kind, file.path), what);
    if (!is_safe_path(file.path)) wrong_.push_back(what + " would leave its folder");
    if ((file.mode & ~0777U) != 0) wrong_.push_back(what + " has a mode beyond rwx");
    if (file.stored != "raw" && file.stored != "zstd") wrong_.push_back(what + " is stored in an unknown way");
    if (file.content_digest.empty()) wrong_.push_back(what + " has no content digest");
    if (file.stored == "raw" && file.content_digest != file.digest) wrong_.push_back(what + " has two digests");
    use(file.digest, what);
  }
  void check_image(const model::BundleImage& image) {
    const auto what = std::format("image '{}'", sanitise(image.ref));
    unique("image " + image.ref, what);
    if (image.phase != "control-plane" && image.phase != "node" && image.phase != "addon") wrong_.push_back(what + " has an unknown phase");
    use(image.digest, what);
    use(image.config, what);
    for (const auto& layer : image.layers) use(layer, what);
  }
  void check_blob(const std::string& hex, const model::BundleBlob& blob) {
    if (!Digest::parse(hex) || hex.size() != 64) wrong_.push_back(std::format("blob '{}' is not named by a digest", sanitise(hex)));
    if (!used_.contains(hex)) wrong_.push_back(std::format("blob {} belongs to nothing", sanitise(hex)));
    const auto chunks = blob.size.count / chunk_size + (blob.size.count % chunk_size == 0 ? 0 : 1);
    if (blob.chunks.size() != chunks)
      wrong_.push_back(std::format("blob {} has {} chunk digests, not {}", hex, blob.chunks.size(), chunks));
  }

  const model::BundleIndex& index_;
  std::set<std::string> used_, names_;
  std::vector<std::string> wrong_;
};

}  // namespace

bool is_safe_path(std::string_view path) {
  if (path.empty() || path.front() == '/' || path.back() == '/') return false;
  if (std::ranges::any_of(path, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; })) return false;
  return std::ranges::none_of(split(path, '/'), [](const std::string& part) { return part.empty() || part == "." || part == ".."; });
}

Status check_index(const model::BundleIndex& index) {
  if (!index.base.empty())
    return fail(ErrorKind::input, std::format("this is a delta on the bundle {}", sanitise(index.base)), "use a whole bundle");
  return IndexCheck(index).run();
}

}  // namespace cloudos::images
