// Layers of images, made from files, packages, links and folders: the same parts give the same bytes. Private to this room.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/os/archive/archive.hpp"
#include "images/cache.hpp"
#include "images/recipe.hpp"

namespace cloudos::images {

// A file that is somewhere on this machine, and what it must be when it is read.
struct Content {
  std::filesystem::path file;
  Digest digest;
  Bytes size;
  bool operator==(const Content&) const = default;
};

// A root filesystem in the making.
class Tree {
 public:
  [[nodiscard]] Status add_file(const std::string& path, unsigned mode, Content content);
  [[nodiscard]] Status add_text(const std::string& path, unsigned mode, std::string text);
  [[nodiscard]] Status add_link(const std::string& path, std::string target);
  [[nodiscard]] Status add_folder(const std::string& path, unsigned mode);
  // The files of a .deb, /bin, /sbin and /lib* moved below /usr as in every current Debian; setuid bits are dropped.
  [[nodiscard]] Status add_deb(const std::filesystem::path& deb, const DebSource& source);
  // `pattern`: "folder/*.suffix". Errors: input when nothing matches.
  [[nodiscard]] Status combine(const std::string& path, const std::string& pattern);

  // Writes a tar: parents before children, by path.
  [[nodiscard]] Status write(const ByteSink& out) const;
  [[nodiscard]] Bytes size() const;

 private:
  struct Node {
    os::Entry entry;
    std::string text = {};
    Content content = {};  // used when its file is set
  };
  [[nodiscard]] Status put(Node node);
  [[nodiscard]] Status put_deb_entry(const os::Entry& entry, const ByteSource& source, const DebSource& deb);
  std::map<std::string, Node> nodes_;
};

struct Layer {
  Blob blob;       // the compressed tar
  Digest diff_id;  // of the tar itself
  Bytes unpacked;
  bool cached = false;
};

// A layer's parts with everything looked up.
struct LayerInputs {
  const LayerPart* part = nullptr;
  std::map<std::string, Content> files;  // by path in the layer
  const DebSource* deb = nullptr;
  std::vector<Digest> debs;  // objects of the cache
};
[[nodiscard]] Result<Layer> make_layer(const LayerInputs& inputs, int level, const Cache& cache);

// A file as a blob of a bundle, compressed or as it is.
struct PackedFile {
  Blob blob;
  bool cached = false;
};
[[nodiscard]] Result<PackedFile> pack_file(const Content& content, bool compress, int level, const Cache& cache);

// A source of the file's bytes that fails at their end unless they are what `content` says.
[[nodiscard]] Result<ByteSource> checked_source(const Content& content);

}  // namespace cloudos::images
