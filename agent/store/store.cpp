#include "agent/store/store.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

namespace cloudos::store {
namespace {

using nlohmann::json;

constexpr std::size_t header_limit = 16U << 20;
constexpr std::size_t buffer_size = 1U << 20;

std::optional<std::uint64_t> size_of(const fs::path& path) {
  struct stat s{};
  if (::stat(path.c_str(), &s) != 0 || !S_ISREG(s.st_mode)) return std::nullopt;
  return static_cast<std::uint64_t>(s.st_size);
}

fs::path part_of(const fs::path& path) { return path.string() + ".part"; }

// The stream after its header line: what was read past the newline comes first.
class Stream {
 public:
  explicit Stream(const ByteSource& in) : in_(in), buffer_(buffer_size) {}

  Result<std::string> line() {
    std::string text;
    while (text.size() < header_limit) {
      CLOUDOS_ASSIGN(auto bytes, next(buffer_size));
      if (bytes.empty()) return fail(ErrorKind::input, "the list of blobs on standard input has no end");
      const auto* begin = reinterpret_cast<const char*>(bytes.data());
      const auto* newline = static_cast<const char*>(std::memchr(begin, '\n', bytes.size()));
      if (newline == nullptr) {
        text.append(begin, bytes.size());
        continue;
      }
      text.append(begin, newline);
      first_ -= bytes.size() - static_cast<std::size_t>(newline - begin) - 1;
      return text;
    }
    return fail(ErrorKind::input, "the list of blobs on standard input is longer than 16 MiB");
  }

  // At most `most` bytes; none at the end of the stream.
  Result<std::span<const std::byte>> next(std::uint64_t most) {
    if (first_ == last_) {
      CLOUDOS_ASSIGN(last_, in_(buffer_));
      first_ = 0;
    }
    const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(most, last_ - first_));
    const auto bytes = std::span<const std::byte>(buffer_).subspan(first_, count);
    first_ += count;
    return bytes;
  }

 private:
  const ByteSource& in_;
  std::vector<std::byte> buffer_;
  std::size_t first_ = 0, last_ = 0;
};

Status hash_present(int fd, std::uint64_t count, os::Sha256& sum) {
  std::vector<std::byte> buffer(buffer_size);
  while (count > 0) {
    const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(count, buffer.size()));
    const auto got = ::read(fd, buffer.data(), want);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno("read the part of a blob", errno);
    if (got == 0) return fail(ErrorKind::io, "the part of a blob became shorter while it was read");
    sum.update(std::span(buffer).first(static_cast<std::size_t>(got)));
    count -= static_cast<std::uint64_t>(got);
  }
  return {};
}

Result<os::Fd> open_part(const fs::path& part, const Blob& blob) {
  CLOUDOS_ASSIGN(auto fd, os::open(part, O_RDWR | O_CREAT, 0600));
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0)
    return fail(ErrorKind::conflict, "blob " + blob.digest.hex() + " is being received by somebody else", "wait for the other run to end");
  struct stat s{};
  if (::fstat(fd.get(), &s) != 0) return fail_errno("stat " + part.string(), errno);
  if (static_cast<std::uint64_t>(s.st_size) < blob.offset)
    return fail(ErrorKind::conflict,
                "blob " + blob.digest.hex() + " is to go on at byte " + std::to_string(blob.offset) + ", but only " +
                    std::to_string(s.st_size) + " bytes of it are here",
                "ask for what is missing again");
  if (::ftruncate(fd.get(), static_cast<off_t>(blob.offset)) != 0) return fail_errno("truncate " + part.string(), errno);
  return fd;
}

Result<Blob> decode_blob(const json& j) {
  if (!j.is_object() || !j.contains("digest") || !j["digest"].is_string() || !j.contains("size") || !j["size"].is_number_unsigned())
    return fail(ErrorKind::input, R"(a blob is {"digest":hex,"size":n}, not )" + j.dump().substr(0, 100));
  Blob blob;
  CLOUDOS_ASSIGN(blob.digest, Digest::parse(j["digest"].get<std::string>()));
  blob.size = j["size"].get<std::uint64_t>();
  if (const auto at = j.find("offset"); at != j.end()) {
    if (!at->is_number_unsigned()) return fail(ErrorKind::input, "the offset of blob " + blob.digest.hex() + " is not a number");
    blob.offset = at->get<std::uint64_t>();
  }
  if (blob.offset > blob.size) return fail(ErrorKind::input, "the offset of blob " + blob.digest.hex() + " is past its size");
  return blob;
}

}  // namespace

Result<std::vector<Blob>> decode_blobs(std::string_view text) {
  const auto j = json::parse(text, nullptr, false);
  if (!j.is_object() || !j.contains("blobs") || !j["blobs"].is_array())
    return fail(ErrorKind::input, R"(expected {"blobs":[…]} on standard input)");
  std::vector<Blob> blobs;
  for (const auto& each : j["blobs"]) {
    CLOUDOS_ASSIGN(auto blob, decode_blob(each));
    blobs.push_back(std::move(blob));
  }
  return blobs;
}

std::string encode_missing(const std::vector<Blob>& blobs) {
  auto list = json::array();
  for (const auto& b : blobs) list.push_back({{"digest", b.digest.hex()}, {"size", b.size}, {"offset", b.offset}});
  return json{{"missing", std::move(list)}}.dump();
}

ByteSource source_of(int fd) {
  return [fd](std::span<std::byte> out) -> Result<std::size_t> {
    for (;;) {
      const auto got = ::read(fd, out.data(), out.size());
      if (got >= 0) return static_cast<std::size_t>(got);
      if (errno != EINTR) return fail_errno("read", errno);
    }
  };
}

Incoming::Incoming(Blob blob, fs::path path, os::Fd fd, os::Sha256 sum)
    : blob_(std::move(blob)), path_(std::move(path)), fd_(std::move(fd)), sum_(std::move(sum)), left_(blob_.size - blob_.offset) {}

Status Incoming::write(std::span<const std::byte> bytes) {
  if (bytes.size() > left_) {
    ::unlink(part_of(path_).c_str());
    return fail(ErrorKind::trust,
                "blob " + blob_.digest.hex() + " is longer than the " + std::to_string(blob_.size) + " bytes that were signed");
  }
  sum_.update(bytes);
  CLOUDOS_TRY_WITH(os::write_all(fd_.get(), bytes), "writing " + part_of(path_).string());
  left_ -= bytes.size();
  return {};
}

Status Incoming::finish() {
  const auto part = part_of(path_);
  if (left_ > 0) {
    static_cast<void>(::fdatasync(fd_.get()));
    return fail(Error{.kind = ErrorKind::network,
                      .message = "the stream ended " + std::to_string(left_) + " bytes before the end of blob " + blob_.digest.hex(),
                      .retryable = true});
  }
  const auto digest = sum_.finish();
  if (digest != blob_.digest) {
    ::unlink(part.c_str());
    return fail(ErrorKind::trust,
                "blob " + blob_.digest.hex() + " arrived as " + digest.hex() + ": the bytes are not those that were signed",
                "run it again: only this blob is sent anew; if it happens again, verify the bundle with `cloudos bundle verify`");
  }
  // Nothing in it is secret, and the half of the agent that passes it on to machines that join is no root.
  if (::fchmod(fd_.get(), 0644) != 0) return fail_errno("chmod " + part.string(), errno);
  if (::fsync(fd_.get()) != 0) return fail_errno("fsync " + part.string(), errno);
  if (::rename(part.c_str(), path_.c_str()) != 0) return fail_errno("rename " + part.string(), errno);
  return os::fsync_folder(path_.parent_path());
}

Result<Incoming> Store::begin(const Blob& blob) const {
  CLOUDOS_TRY(os::make_folders(folder_, 0755));
  const auto file = path(blob.digest);
  CLOUDOS_ASSIGN(auto fd, open_part(part_of(file), blob));
  os::Sha256 sum;
  CLOUDOS_TRY(hash_present(fd.get(), blob.offset, sum));
  return Incoming(blob, file, std::move(fd), std::move(sum));
}

bool Store::has(const Digest& digest) const { return size_of(path(digest)).has_value(); }

std::vector<Blob> Store::missing(const std::vector<Blob>& wanted) const {
  std::vector<Blob> out;
  for (auto blob : wanted) {
    if (size_of(path(blob.digest)) == blob.size) continue;
    blob.offset = std::min(size_of(part_of(path(blob.digest))).value_or(0), blob.size);
    out.push_back(std::move(blob));
  }
  return out;
}

Status Store::receive(const ByteSource& in, const std::function<Status(const Digest&)>& stored) const {
  Stream stream(in);
  CLOUDOS_ASSIGN(auto header, stream.line());
  CLOUDOS_ASSIGN(auto blobs, decode_blobs(header));
  for (const auto& blob : blobs) {
    CLOUDOS_ASSIGN(auto incoming, begin(blob));
    for (auto left = blob.size - blob.offset; left > 0;) {
      CLOUDOS_ASSIGN(auto bytes, stream.next(left));
      if (bytes.empty()) break;
      CLOUDOS_TRY(incoming.write(bytes));
      left -= bytes.size();
    }
    CLOUDOS_TRY(incoming.finish());
    CLOUDOS_TRY(stored(blob.digest));
  }
  CLOUDOS_ASSIGN(auto rest, stream.next(1));
  if (!rest.empty()) return fail(ErrorKind::input, "there are bytes after the last blob");
  return {};
}

Result<ByteSource> Store::open(const Digest& digest) const {
  CLOUDOS_ASSIGN(auto fd, os::open(path(digest), O_RDONLY));
  auto owned = std::make_shared<os::Fd>(std::move(fd));
  return ByteSource([owned, read = source_of(owned->get())](std::span<std::byte> out) { return read(out); });
}

}  // namespace cloudos::store
