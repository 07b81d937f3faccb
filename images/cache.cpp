#include "images/cache.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <format>

#include "images/layout.hpp"
#include "images/place.hpp"

namespace cloudos::images {

namespace fs = std::filesystem;
using Json = nlohmann::json;

namespace {

// Hashes bytes as a whole and by chunk while they pass.
class BlobSum {
 public:
  void update(std::span<const std::byte> bytes) {
    whole_.update(bytes);
    blob_.size.count += bytes.size();
    while (!bytes.empty()) {
      const auto n = std::min<std::uint64_t>(bytes.size(), chunk_size - in_chunk_);
      chunk_.update(bytes.first(n));
      bytes = bytes.subspan(n);
      in_chunk_ += n;
      if (in_chunk_ == chunk_size) end_chunk();
    }
  }
  Blob finish() {
    if (in_chunk_ > 0) end_chunk();
    blob_.digest = whole_.finish();
    return blob_;
  }

 private:
  void end_chunk() {
    blob_.chunks.push_back(chunk_.finish());
    chunk_ = os::Sha256();
    in_chunk_ = 0;
  }
  os::Sha256 whole_ = {}, chunk_ = {};
  std::uint64_t in_chunk_ = 0;
  Blob blob_ = {};
};

void remove_old(const fs::path& folder) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    const auto written = fs::last_write_time(entry.path(), ignored);
    if (!ignored && fs::file_time_type::clock::now() - written > std::chrono::hours(24)) (void)os::remove_tree(entry.path());
  }
}

}  // namespace

Result<Cache> Cache::open(const fs::path& folder) {
  for (const auto* name : {"objects", "results", "work"}) CLOUDOS_TRY_WITH(os::make_folders(folder / name), "opening the build cache");
  remove_old(folder / "work");
  return Cache(folder);
}

fs::path Cache::object(const Digest& digest) const { return folder_ / "objects" / digest.hex(); }

std::optional<Json> Cache::find(const Digest& key) const {
  const auto text = os::read_if_any(folder_ / "results" / key.hex());
  if (!text || !*text) return std::nullopt;
  auto result = Json::parse(**text, nullptr, false);
  if (!result.is_object() || !result.contains("objects") || !result["objects"].is_array()) return std::nullopt;
  for (const auto& object : result["objects"]) {
    std::error_code missing;
    if (!object.is_string() || !fs::exists(folder_ / "objects" / object.get<std::string>(), missing)) return std::nullopt;
  }
  return result;
}

Status Cache::record(const Digest& key, const Json& result) const {
  return os::write_atomic(folder_ / "results" / key.hex(), result.dump(1, ' ', false, Json::error_handler_t::replace), 0644);
}

Result<Blob> Cache::keep(const std::function<Status(const ByteSink&)>& produce) const {
  CLOUDOS_ASSIGN(const auto work, scratch());
  const auto part = work.folder() / "part";
  BlobSum sum;
  {
    CLOUDOS_ASSIGN(const auto fd, os::open(part, O_WRONLY | O_CREAT | O_EXCL));
    CLOUDOS_TRY(produce([&](std::span<const std::byte> bytes) -> Status {
      sum.update(bytes);
      return os::write_all(fd.get(), bytes);
    }));
  }
  auto blob = sum.finish();
  if (::rename(part.c_str(), object(blob.digest).c_str()) != 0) return fail_errno("rename into the build cache", errno);
  return blob;
}

Result<Blob> Cache::keep_file(const fs::path& file) const {
  CLOUDOS_ASSIGN(const auto source, file_source(file));
  BlobSum sum;
  std::vector<std::byte> buffer(1U << 20);
  while (true) {
    CLOUDOS_ASSIGN(const auto n, source(buffer));
    if (n == 0) break;
    sum.update(std::span(buffer).first(n));
  }
  auto blob = sum.finish();
  if (::rename(file.c_str(), object(blob.digest).c_str()) != 0) return fail_errno("rename into the build cache", errno);
  return blob;
}

Cache::Scratch::~Scratch() {
  if (!folder_.empty()) (void)os::remove_tree(folder_);
}

Result<Cache::Scratch> Cache::scratch() const {
  auto folder = folder_ / "work" / os::random_hex(8);
  CLOUDOS_TRY(os::make_folders(folder, 0700));
  return Scratch(std::move(folder));
}

Json to_json(const Blob& blob) {
  auto chunks = Json::array();
  for (const auto& chunk : blob.chunks) chunks.push_back(chunk.hex());
  return {{"digest", blob.digest.hex()}, {"size", blob.size.count}, {"chunks", std::move(chunks)}};
}

std::optional<Blob> blob_from(const Json& json) {
  Blob blob;
  if (!json.is_object() || !json.contains("digest") || !json.contains("size") || !json.contains("chunks")) return std::nullopt;
  if (!json["digest"].is_string() || !json["size"].is_number_unsigned() || !json["chunks"].is_array()) return std::nullopt;
  const auto digest = Digest::parse(json["digest"].get<std::string>());
  if (!digest) return std::nullopt;
  blob.digest = *digest;
  blob.size = {json["size"].get<std::uint64_t>()};
  for (const auto& item : json["chunks"]) {
    const auto chunk = item.is_string() ? Digest::parse(item.get<std::string>()) : fail(ErrorKind::input, "not a digest");
    if (!chunk) return std::nullopt;
    blob.chunks.push_back(*chunk);
  }
  return blob;
}

Digest key_of(const Json& description) { return os::sha256(description.dump(-1, ' ', false, Json::error_handler_t::replace)); }

Result<ByteSource> file_source(const fs::path& file) {
  CLOUDOS_ASSIGN(auto opened, os::open(file, O_RDONLY));
  const auto fd = std::make_shared<os::Fd>(std::move(opened));
  return ByteSource([fd, at = std::uint64_t{0}](std::span<std::byte> room) mutable -> Result<std::size_t> {
    CLOUDOS_ASSIGN(const auto n, read_at(fd->get(), at, room));
    at += n;
    return n;
  });
}

}  // namespace cloudos::images
