#include <fnmatch.h>

#include <algorithm>
#include <array>
#include <format>

#include "core/base/text.hpp"
#include "core/os/process/process.hpp"
#include "images/check.hpp"
#include "images/layer.hpp"

namespace cloudos::images {

namespace {

using Kind = os::Entry::Kind;

// Where Debian's merged /usr has what a package ships as /bin/x (https://wiki.debian.org/UsrMerge); "" for the root itself.
std::string merged(std::string path) {
  while (path.starts_with("./")) path.erase(0, 2);
  while (path.ends_with('/')) path.pop_back();
  if (path == ".") return "";
  for (const auto* top : {"bin", "sbin", "lib", "lib32", "lib64", "libx32"})
    if (path == top || path.starts_with(std::string(top) + "/")) return "usr/" + path;
  return path;
}

bool matches(const std::vector<std::string>& patterns, const std::string& path) {
  return std::ranges::any_of(patterns, [&](const std::string& pattern) { return ::fnmatch(pattern.c_str(), path.c_str(), 0) == 0; });
}

bool is_wanted(const DebSource& deb, const std::string& path) { return !matches(deb.omit, path) || matches(deb.keep, path); }

Result<std::string> all_of(const ByteSource& source, std::size_t size) {
  std::string out;
  out.reserve(size);
  const auto sink = into(out, size);
  std::vector<std::byte> buffer(64U << 10);
  while (true) {
    CLOUDOS_ASSIGN(const auto n, source(buffer));
    if (n == 0) return out;
    CLOUDOS_TRY(sink(std::span(buffer).first(n)));
  }
}

}  // namespace

Status Tree::put(Node node) {
  const auto path = node.entry.path;
  if (!is_safe_path(path)) return fail(ErrorKind::input, std::format("'{}' cannot be in an image", sanitise(path)));
  const auto there = nodes_.find(path);
  if (there != nodes_.end() && (there->second.entry.kind == Kind::folder) != (node.entry.kind == Kind::folder))
    return fail(ErrorKind::input, std::format("'{}' is both a folder and not", sanitise(path)));
  // A folder that packages share keeps the first one's mode, other things are replaced, as layers do.
  if (there != nodes_.end() && node.entry.kind == Kind::folder) return {};
  nodes_[path] = std::move(node);
  for (auto at = path.rfind('/'); at != std::string::npos; at = path.rfind('/', at - 1)) {
    const auto parent = path.substr(0, at);
    const auto [node_at, added] = nodes_.try_emplace(parent, Node{.entry = {.path = parent, .kind = Kind::folder, .mode = 0755}});
    if (node_at->second.entry.kind != Kind::folder)
      return fail(ErrorKind::input, std::format("'{}' lies below '{}', which is no folder", sanitise(path), sanitise(parent)));
    if (!added) break;
  }
  return {};
}

Status Tree::add_file(const std::string& path, unsigned mode, Content content) {
  return put({.entry = {.path = path, .size = content.size, .mode = mode}, .content = std::move(content)});
}
Status Tree::add_text(const std::string& path, unsigned mode, std::string text) {
  return put({.entry = {.path = path, .size = {text.size()}, .mode = mode}, .text = std::move(text)});
}
Status Tree::add_link(const std::string& path, std::string target) {
  return put({.entry = {.path = path, .kind = Kind::symlink, .mode = 0777, .target = std::move(target)}});
}
Status Tree::add_folder(const std::string& path, unsigned mode) {
  if (const auto there = nodes_.find(path); there != nodes_.end() && there->second.entry.kind == Kind::folder) {
    there->second.entry.mode = mode;
    return {};
  }
  return put({.entry = {.path = path, .kind = Kind::folder, .mode = mode}});
}

Status Tree::put_deb_entry(const os::Entry& entry, const ByteSource& source, const DebSource& deb) {
  const auto path = merged(entry.path);
  if (path.empty() || !is_wanted(deb, path + (entry.kind == Kind::folder ? "/" : ""))) return {};
  const auto mode = entry.mode & 01777U;
  switch (entry.kind) {
    case Kind::folder: return put({.entry = {.path = path, .kind = Kind::folder, .mode = mode}});
    case Kind::symlink: return add_link(path, entry.target);
    case Kind::hardlink: {
      const auto target = nodes_.find(merged(entry.target));
      if (target == nodes_.end()) return fail(ErrorKind::input, std::format("'{}' links to '{}', which is left out", path, entry.target));
      auto copy = target->second;
      copy.entry.path = path;
      return put(std::move(copy));
    }
    case Kind::other: return {};  // devices have no place in an image
    case Kind::file: break;
  }
  CLOUDOS_ASSIGN(auto text, all_of(source, entry.size.count));
  return add_text(path, mode, std::move(text));
}

Status Tree::add_deb(const std::filesystem::path& deb, const DebSource& source) {
  std::string tar;
  std::string complaints;
  os::RunOptions options{.stdout_sink = into(tar, std::size_t{1} << 30), .stderr_sink = into(complaints)};
  CLOUDOS_ASSIGN(const auto exit, os::run({"dpkg-deb", "--fsys-tarfile", deb.string()}, std::move(options)));
  if (!exit.ok()) return fail(ErrorKind::failed, std::format("dpkg-deb: {}: {}", exit.text(), sanitise(trim(complaints))));
  return os::read_tar_trusted(bytes_of(std::move(tar)),
                              [&](const os::Entry& entry, const ByteSource& content) { return put_deb_entry(entry, content, source); });
}

Status Tree::combine(const std::string& path, const std::string& pattern) {
  const auto star = pattern.find('*');
  if (star == std::string::npos) return fail(ErrorKind::input, std::format("'{}' has no '*'", sanitise(pattern)));
  const auto prefix = pattern.substr(0, star);
  const auto suffix = pattern.substr(star + 1);
  std::string all;
  for (const auto& [name, node] : nodes_)
    if (node.entry.kind == Kind::file && name.starts_with(prefix) && name.ends_with(suffix)) {
      all += node.text;
      if (!all.ends_with('\n')) all += '\n';
    }
  if (all.empty()) return fail(ErrorKind::input, std::format("no file of the layer matches '{}'", sanitise(pattern)));
  return add_text(path, 0644, std::move(all));
}

Status Tree::write(const ByteSink& out) const {
  os::TarWriter tar(out);
  for (const auto& [path, node] : nodes_) {
    if (node.entry.kind != Kind::file) {
      CLOUDOS_TRY(tar.add(node.entry));
    } else if (node.content.file.empty()) {
      CLOUDOS_TRY(tar.add(node.entry, bytes_of(node.text)));
    } else {
      CLOUDOS_ASSIGN(const auto source, checked_source(node.content));
      CLOUDOS_TRY(tar.add(node.entry, source));
    }
  }
  return tar.finish();
}

Bytes Tree::size() const {
  Bytes total;
  for (const auto& [path, node] : nodes_) total += node.entry.size;
  return total;
}

}  // namespace cloudos::images
