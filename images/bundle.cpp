#include "images/bundle.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <format>
#include <map>

#include "core/base/text.hpp"
#include "core/os/file/file.hpp"
#include "images/check.hpp"
#include "images/place.hpp"

namespace cloudos::images {

struct Bundle::State {
  std::filesystem::path file;
  os::Fd fd;
  model::BundleIndex index;
  Digest digest;
  std::string comment;
  std::optional<os::PublicKey> signer;
  Opening opening;
  std::map<Digest, Placed> places;
};

namespace {

struct Signed {
  std::string comment;
  std::optional<os::PublicKey> by = {};
};

Result<Signed> check_signature(const Opening& opening, const OpenOptions& options) {
  if (trim(opening.minisig).empty()) {
    if (options.allow_unsigned) return Signed{.comment = "unsigned"};
    return fail(ErrorKind::trust, "it is not signed",
                "get the signed bundle, or take this one with --allow-unsigned if you know where it is from");
  }
  if (options.keys.empty()) {
    if (options.allow_unsigned) return Signed{.comment = "signature not checked"};
    return fail(ErrorKind::trust, "no public key is known that could vouch for it", "name the signer's public key with --key");
  }
  // One key at a time, to know which it was; all together for an error that names them all.
  for (const auto& key : options.keys)
    if (auto comment = os::verify(std::span(&key, 1), opening.json, opening.minisig)) return Signed{std::move(*comment), key};
  auto comment = os::verify(options.keys, opening.json, opening.minisig);
  if (comment) return Signed{.comment = std::move(*comment)};
  comment.error().kind = ErrorKind::trust;  // a signature that is not one is no less unsigned
  return fail(std::move(comment).error());
}

// The order of the offsets made the layout; their values must be the ones that it amounts to.
Status check_offsets(const model::BundleIndex& index, const Layout& layout) {
  auto expected = index;
  std::vector<Digest> order;
  order.reserve(layout.blobs.size());
  for (const auto& place : layout.blobs) order.push_back(place.digest);
  CLOUDOS_TRY(place_blobs(order, expected));
  for (const auto& [hex, blob] : index.blobs) {
    const auto right = expected.blobs.at(hex).offset;
    if (blob.offset != right)
      return fail(ErrorKind::trust, std::format("bundle.json says that blob {} is at {}, it is at {}", hex, blob.offset, right));
  }
  return {};
}

// One blob from some place on, a checked chunk at a time.
class BlobReader {
 public:
  BlobReader(int fd, Placed place, std::vector<Digest> chunks, std::uint64_t from)
      : fd_(fd), place_(std::move(place)), chunks_(std::move(chunks)), next_(from) {}

  Result<std::size_t> read(std::span<std::byte> room) {
    if (next_ >= place_.size.count || room.empty()) return 0;
    CLOUDOS_TRY(hold(next_ / chunk_size));
    const auto within = next_ % chunk_size;
    const auto n = std::min<std::uint64_t>(room.size(), held_.size() - within);
    std::copy_n(held_.begin() + static_cast<std::ptrdiff_t>(within), n, room.begin());
    next_ += n;
    return n;
  }

 private:
  Status hold(std::uint64_t chunk) {
    if (chunk == held_chunk_ && !held_.empty()) return {};
    const auto at = chunk * chunk_size;
    held_.resize(std::min(chunk_size, place_.size.count - at));
    CLOUDOS_ASSIGN(const auto n, read_at(fd_, place_.at + at, held_));
    os::Sha256 sum;
    sum.update(std::span(held_).first(n));
    if (n != held_.size() || sum.finish() != chunks_.at(chunk)) {
      held_.clear();
      return fail(ErrorKind::trust, std::format("blob {} is damaged in chunk {} (bytes {} to {})", place_.digest.oci(), chunk, at, at + n),
                  "copy the bundle again from where it was published");
    }
    held_chunk_ = chunk;
    return {};
  }

  int fd_;
  Placed place_;
  std::vector<Digest> chunks_;
  std::uint64_t next_, held_chunk_ = 0;
  std::vector<std::byte> held_ = {};
};

}  // namespace

Bundle::Bundle(std::shared_ptr<const State> state) : state_(std::move(state)) {}

Result<Bundle> Bundle::open(const std::filesystem::path& file, const OpenOptions& options) {
  const auto state = std::make_shared<State>();
  state->file = file;
  const auto checked = [&]() -> Status {
    CLOUDOS_ASSIGN(state->fd, os::open(file, O_RDONLY));
    struct stat info{};
    if (::fstat(state->fd.get(), &info) != 0) return fail_errno("stat", errno);
    if (!S_ISREG(info.st_mode)) return fail(ErrorKind::input, "it is not a file");
    CLOUDOS_ASSIGN(state->opening, read_opening(state->fd.get()));
    const auto& opening = state->opening;
    CLOUDOS_ASSIGN(auto checked_signature, check_signature(opening, options));
    state->comment = std::move(checked_signature.comment);
    state->signer = checked_signature.by;
    CLOUDOS_ASSIGN(state->index, model::decode_bundle_index(opening.json));
    CLOUDOS_TRY(check_index(state->index));
    state->digest = os::sha256(opening.json);
    CLOUDOS_ASSIGN(const auto layout, layout_of(opening.json, opening.minisig, state->index));
    CLOUDOS_TRY(check_layout(state->fd.get(), layout));
    CLOUDOS_TRY(check_offsets(state->index, layout));
    for (const auto& place : layout.blobs) state->places.emplace(place.digest, place);
    return {};
  }();
  CLOUDOS_TRY_WITH(checked, std::format("opening the bundle {}", file.string()));
  return Bundle(state);
}

const model::BundleIndex& Bundle::index() const { return state_->index; }
const Digest& Bundle::digest() const { return state_->digest; }
const std::string& Bundle::trusted_comment() const { return state_->comment; }
const std::optional<os::PublicKey>& Bundle::signer() const { return state_->signer; }
const std::string& Bundle::json() const { return state_->opening.json; }
const std::string& Bundle::minisig() const { return state_->opening.minisig; }
const std::filesystem::path& Bundle::file() const { return state_->file; }

Result<ByteSource> Bundle::blob(const Digest& digest, std::uint64_t from) const {
  const auto place = state_->places.find(digest);
  if (place == state_->places.end()) return fail(ErrorKind::input, std::format("the bundle has no blob {}", digest.oci()));
  if (from > place->second.size.count)
    return fail(ErrorKind::input, std::format("blob {} has {} bytes, not {}", digest.oci(), place->second.size.count, from));
  const auto reader = std::make_shared<BlobReader>(state_->fd.get(), place->second, state_->index.blobs.at(digest.hex()).chunks, from);
  return ByteSource([reader, file = state_](std::span<std::byte> room) { return reader->read(room); });
}

Result<std::string> Bundle::read(const Digest& digest, std::size_t limit) const {
  CLOUDOS_ASSIGN(const auto source, blob(digest));
  std::string out;
  const auto sink = into(out, limit);
  std::vector<std::byte> buffer(64U << 10);
  while (true) {
    CLOUDOS_ASSIGN(const auto n, source(buffer));
    if (n == 0) return out;
    CLOUDOS_TRY(sink(std::span(buffer).first(n)));
  }
}

}  // namespace cloudos::images
