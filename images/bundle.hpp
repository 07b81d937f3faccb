// images: the bundle, one signed file with every byte an install needs. Here: its format (bundle.hpp), its builder
// (build.hpp) and the recipes (*.toml). Not here: what is done with it on a machine (agent, installer).
//
// A bundle is a deterministic POSIX tar that is also an OCI image layout, in this order: bundle.json, bundle.json.minisig,
// oci-layout, index.json (container images only), blobs/sha256/<hex>. Blobs are read in place; nothing is unpacked.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "core/base/argv.hpp"
#include "core/model/bundle_index.hpp"
#include "core/os/crypto/crypto.hpp"

namespace cloudos::images {

struct OpenOptions {
  std::span<const os::PublicKey> keys = {};
  bool allow_unsigned = false;
};

// An opened bundle: signature checked before anything in it is parsed, every entry's place and size checked against the
// index, blob contents not yet (they are while they are read). Thread-safe: readers use pread(2).
class Bundle {
 public:
  // Errors: trust (unsigned, wrong key, missing, extra or misplaced entries, escapes), input (not a bundle, truncated,
  // unsupported schema), io.
  static Result<Bundle> open(const std::filesystem::path& file, const OpenOptions& options);

  [[nodiscard]] const model::BundleIndex& index() const;
  [[nodiscard]] const Digest& digest() const;  // of bundle.json
  [[nodiscard]] const std::string& trusted_comment() const;
  // The key that the signature holds under; nothing when it was not checked.
  [[nodiscard]] const std::optional<os::PublicKey>& signer() const;
  // bundle.json and bundle.json.minisig, as they are in the file.
  [[nodiscard]] const std::string& json() const;
  [[nodiscard]] const std::string& minisig() const;
  [[nodiscard]] const std::filesystem::path& file() const;
  // The bytes of a blob from `from` on, checked chunk by chunk before they are given out. Errors: trust (names the blob
  // and the chunk), io. The source holds on to the file, not to this object.
  [[nodiscard]] Result<ByteSource> blob(const Digest& digest, std::uint64_t from = 0) const;
  // All of a small blob.
  [[nodiscard]] Result<std::string> read(const Digest& digest, std::size_t limit = 16U << 20) const;

 private:
  struct State;
  explicit Bundle(std::shared_ptr<const State> state);
  std::shared_ptr<const State> state_;
};

// Checks every byte of a bundle, that its compressed files expand to what they are to be installed as, and that the images'
// manifests name what the index says. `progress` is told the bytes done and in all. Errors: trust (names the blob, file or
// image), io.
[[nodiscard]] Status verify_all(const Bundle& bundle, const std::function<void(Bytes done, Bytes total)>& progress = {});

}  // namespace cloudos::images
