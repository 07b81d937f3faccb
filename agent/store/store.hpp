// agent/store: the node's content-addressed store. Blobs of bundles lie under their SHA-256 digest and are never changed;
// a blob under its final name was hashed on its way in and is whole. Here: what is missing, and taking blobs in. Not
// here: what is done with them (agent/steps).
#pragma once

#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/argv.hpp"
#include "core/base/units.hpp"
#include "core/os/crypto/crypto.hpp"
#include "core/os/file/file.hpp"

namespace cloudos::store {

namespace fs = std::filesystem;

// A blob that somebody wants to be here. `offset`: the bytes of it that already are (as `<hex>.part`).
struct Blob {
  Digest digest;
  std::uint64_t size = 0;
  std::uint64_t offset = 0;
  bool operator==(const Blob&) const = default;
};

// {"blobs":[{"digest":hex,"size":n,"offset":n}]}; "offset" may be left out. Errors: input.
[[nodiscard]] Result<std::vector<Blob>> decode_blobs(std::string_view text);
// {"missing":[…]}, one line without the newline.
[[nodiscard]] std::string encode_missing(const std::vector<Blob>& blobs);

// Reads from a descriptor that stays the caller's.
[[nodiscard]] ByteSource source_of(int fd);

// A blob on its way in, for whoever is given its bytes piece by piece: hashed while it comes, synced and renamed when it is
// whole. What has come stays in `.part` when the rest does not.
class Incoming {
 public:
  // Errors: trust (more than the blob has: the `.part` is deleted), io.
  [[nodiscard]] Status write(std::span<const std::byte> bytes);
  // Errors: network (bytes are missing; retryable), trust (the digest does not hold: the `.part` is deleted), io.
  [[nodiscard]] Status finish();

 private:
  friend class Store;
  Incoming(Blob blob, fs::path path, os::Fd fd, os::Sha256 sum);
  Blob blob_;
  fs::path path_;
  os::Fd fd_;
  os::Sha256 sum_;
  std::uint64_t left_;
};

class Store {
 public:
  explicit Store(fs::path folder) : folder_(std::move(folder)) {}

  [[nodiscard]] fs::path path(const Digest& digest) const { return folder_ / digest.hex(); }
  [[nodiscard]] bool has(const Digest& digest) const;
  // Those of `wanted` that are not here whole, in that order, each with the offset from which it is to be sent.
  [[nodiscard]] std::vector<Blob> missing(const std::vector<Blob>& wanted) const;
  // Takes in what `missing` asked for: a JSON header line (decode_blobs), then the bytes of all blobs from their offsets
  // on, one after the other. Each is hashed while it streams, synced and renamed; `stored` is told of each. When the
  // stream ends early the bytes stay in `.part` for the next time. Errors: input (header), trust (a digest does not hold:
  // that blob's `.part` is deleted), network (early end; retryable), conflict (somebody else is sending the same blob), io.
  [[nodiscard]] Status receive(const ByteSource& in, const std::function<Status(const Digest&)>& stored) const;
  // Begins to take in one blob at its offset. Errors: conflict (somebody else is sending it, or less of it is here than the
  // offset says), io.
  [[nodiscard]] Result<Incoming> begin(const Blob& blob) const;
  // All bytes of a blob. Errors: io (also when it is not here).
  [[nodiscard]] Result<ByteSource> open(const Digest& digest) const;

 private:
  fs::path folder_;
};

}  // namespace cloudos::store
