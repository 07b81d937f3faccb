// What a recipe (*.toml) says: plain data. Private to this room, and to its tests.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/base/result.hpp"

namespace cloudos::images {

// Where the bytes of one file come from.
struct Origin {
  enum class Kind { go, file };
  Kind kind = Kind::file;
  std::string source;   // go: the name of a [go.NAME] table
  std::string program;  // go: one of its programs
  std::filesystem::path file;
  bool operator==(const Origin&) const = default;
};

// [go.NAME]: programs of one Go module at one version, built with the local toolchain.
struct GoSource {
  std::string name, module, version;
  std::map<std::string, std::string> programs;  // program name -> package, "kubelet" -> "./cmd/kubelet"
  std::vector<std::string> tags;
  std::string ldflags;
  bool cgo = false;
  std::vector<std::string> static_libraries;  // cgo: "libseccomp.a": part of what determines the output
  // Replacements by local folders that the module's zip does not carry: a version for each of them, or "" to drop them.
  std::string local_replacements;
  struct Removal {
    std::string file, line;  // lines of the file that contain the text
    bool operator==(const Removal&) const = default;
  };
  std::vector<std::string> remove;    // folders or files that are not built
  std::vector<Removal> remove_lines;  // and what mentions them
  bool operator==(const GoSource&) const = default;
};

// [deb.NAME]: Debian packages with all that they depend on, by the package lists of the machine that builds.
struct DebSource {
  std::string name;
  std::vector<std::string> packages, without;  // `without`: dependencies that are left out
  std::vector<std::string> omit, keep;         // patterns (fnmatch(3)) of paths that are left out, but for those in `keep`
  bool operator==(const DebSource&) const = default;
};

struct FilePart {
  std::string path;
  Origin from;
  unsigned mode = 0755;
  bool operator==(const FilePart&) const = default;
};

// A layer of an image: files out of packages and other sources, links, folders.
struct LayerPart {
  std::string deb;  // the name of a [deb.NAME] table, or ""
  std::vector<FilePart> files;
  std::map<std::string, std::string> links;    // path -> target
  std::map<std::string, unsigned> folders;     // path -> mode
  std::map<std::string, std::string> combine;  // path -> "folder/*.crt": the files' contents, in the order of their names
  bool operator==(const LayerPart&) const = default;
};

struct ImagePart {
  std::string ref, phase;
  std::vector<std::string> layers;  // names of [layer.NAME] tables, lowest first
  LayerPart own;                    // its own layer, on top
  std::vector<std::string> entrypoint, environment;
  std::string user;
  bool operator==(const ImagePart&) const = default;
};

struct BundledPart {
  FilePart file;
  bool compress = true;
  bool operator==(const BundledPart&) const = default;
};

struct ComponentPart {
  std::string name, version, licence, source;
  bool required = true, enabled = true;
  std::vector<std::string> requires_;
  std::vector<BundledPart> files, manifests;
  std::vector<ImagePart> images;
  bool operator==(const ComponentPart&) const = default;
};

struct Recipe {
  std::filesystem::path file;
  std::string name, version, platform, created, min_installer;
  int level = 9;  // of zstd, 1 to 19
  std::map<std::string, GoSource> go;
  std::map<std::string, DebSource> deb;
  std::map<std::string, LayerPart> layers;
  std::vector<ComponentPart> components;
  bool operator==(const Recipe&) const = default;

  [[nodiscard]] std::string architecture() const { return platform.substr(platform.find('/') + 1); }
};

// Reads a recipe. `variables` replace those of its [variables] table ("${agent}" in a file's origin). Errors: input, with
// all that is wrong, each with line and column, what was found, what is allowed and the nearest name.
[[nodiscard]] Result<Recipe> read_recipe(const std::filesystem::path& file, const std::map<std::string, std::string>& variables = {});

}  // namespace cloudos::images
