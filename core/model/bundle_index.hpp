#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/base/units.hpp"

namespace cloudos::model {

// bundle.json: what a bundle holds. The signature covers its bytes; its digests cover every other byte.
struct BundleFile {
  std::string path;  // where it goes, relative: "bin/kubelet", "cni/bridge", "agent/…"
  unsigned mode = 0755;
  Digest digest;          // of the bytes as stored
  std::string stored;     // "raw" | "zstd"
  Digest content_digest;  // of the bytes as installed
  Bytes content_size;
  bool operator==(const BundleFile&) const = default;
};
struct BundleImage {
  std::string ref;    // "registry.k8s.io/kube-apiserver:v1.37.2"
  Digest digest;      // of the image manifest
  std::string phase;  // "control-plane" | "node" | "addon"
  Digest config;      // of the image config
  std::vector<Digest> layers;
  Bytes unpacked;  // on disk, once unpacked
  bool operator==(const BundleImage&) const = default;
};
struct BundleComponent {
  std::string name, version, licence, source;
  bool required = true, enabled = true;  // "default" in JSON
  std::vector<std::string> requires_;    // "requires" in JSON
  std::vector<BundleFile> files;
  std::vector<BundleImage> images;
  std::vector<BundleFile> manifests;  // path "flannel.yaml"
  bool operator==(const BundleComponent&) const = default;
};
struct BundleBlob {
  Bytes size;
  std::uint64_t offset = 0;    // from the first blob's tar header
  std::vector<Digest> chunks;  // of each 4 MiB
  bool operator==(const BundleBlob&) const = default;
};
struct BundleIndex {
  static constexpr int schema = 1;
  std::string name, version, platform;  // "kubernetes", "1.37.2", "linux/amd64"
  std::string created;                  // RFC 3339, from SOURCE_DATE_EPOCH or the recipe: part of what is deterministic
  std::string min_installer;
  std::string base;  // sha256 of the base's bundle.json, or ""
  std::vector<BundleComponent> components;
  std::map<std::string, BundleBlob> blobs;  // by hex digest
  bool operator==(const BundleIndex&) const = default;

  [[nodiscard]] const BundleComponent* component(std::string_view wanted) const;
  [[nodiscard]] const BundleFile* file(std::string_view path) const;
  [[nodiscard]] std::vector<const BundleImage*> images(std::string_view phase) const;
};

[[nodiscard]] std::string encode_bundle_index(const BundleIndex& index);
[[nodiscard]] Result<BundleIndex> decode_bundle_index(std::string_view json);

}  // namespace cloudos::model
