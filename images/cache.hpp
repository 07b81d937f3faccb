// What was made once is kept: objects by the digest of their bytes, and results by the digest of everything that
// determined them. Private to this room. Safe to use from several threads and programs at once: files appear whole, by
// rename, or not at all. Nothing in it is trusted: an object's bytes are hashed again when they go into a bundle.
#pragma once

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/base/argv.hpp"
#include "core/base/units.hpp"
#include "core/os/crypto/crypto.hpp"
#include "core/os/file/file.hpp"

namespace cloudos::images {

// Bytes as they are stored in a bundle.
struct Blob {
  Digest digest;
  Bytes size;
  std::vector<Digest> chunks;  // of each 4 MiB
  bool operator==(const Blob&) const = default;
};

class Cache {
 public:
  static Result<Cache> open(const std::filesystem::path& folder);

  // The result recorded under a key, if all objects that it names ("objects": [hex, …]) are still there.
  [[nodiscard]] std::optional<nlohmann::json> find(const Digest& key) const;
  [[nodiscard]] Status record(const Digest& key, const nlohmann::json& result) const;

  [[nodiscard]] std::filesystem::path object(const Digest& digest) const;
  // Keeps what `produce` writes. Errors: those of `produce`, io.
  [[nodiscard]] Result<Blob> keep(const std::function<Status(const ByteSink&)>& produce) const;
  // Keeps a file of a Scratch folder by renaming it.
  [[nodiscard]] Result<Blob> keep_file(const std::filesystem::path& file) const;

  // A fresh folder for one piece of work, gone when the object goes. What an interrupted run left goes after a day.
  class Scratch {
   public:
    explicit Scratch(std::filesystem::path folder) : folder_(std::move(folder)) {}
    Scratch(Scratch&& other) noexcept : folder_(std::exchange(other.folder_, {})) {}
    Scratch& operator=(Scratch&&) = delete;
    ~Scratch();
    [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }

   private:
    std::filesystem::path folder_;
  };
  [[nodiscard]] Result<Scratch> scratch() const;

 private:
  explicit Cache(std::filesystem::path folder) : folder_(std::move(folder)) {}
  std::filesystem::path folder_;
};

[[nodiscard]] nlohmann::json to_json(const Blob& blob);
[[nodiscard]] std::optional<Blob> blob_from(const nlohmann::json& json);
// The digest that a description of inputs is remembered under.
[[nodiscard]] Digest key_of(const nlohmann::json& description);
// A file as a source that fills each span but the last, so that a compressor sees the same pieces every time.
[[nodiscard]] Result<ByteSource> file_source(const std::filesystem::path& file);

}  // namespace cloudos::images
