#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <format>
#include <map>
#include <span>

#include "core/base/text.hpp"
#include "core/os/archive/library.hpp"
#include "core/os/file/file.hpp"

namespace cloudos::os {
namespace {

constexpr mode_t permission_bits = 0777;

// A folder being filled. Every step goes by openat(2) without following links, so that even a name that got past the
// inspection cannot leave it.
class Extraction {
 public:
  explicit Extraction(Fd root) : root_(std::move(root)) {}

  Status add(const Entry& entry, const ByteSource& content) {
    auto parts = components(entry.path);
    const mode_t mode = entry.mode & permission_bits;
    if (parts.empty()) return {};  // "./": the root has its mode from its maker
    if (entry.kind == Entry::Kind::folder) {
      CLOUDOS_TRY(folder(parts));
      folder_modes_[join(parts, "/")] = mode;
      return {};
    }
    const std::string name = std::move(parts.back());
    parts.pop_back();
    CLOUDOS_ASSIGN(const auto parent, folder(parts));
    switch (entry.kind) {
      case Entry::Kind::file: return write_file(parent.get(), name, mode, entry, content);
      case Entry::Kind::symlink:
        return ::symlinkat(entry.target.c_str(), parent.get(), name.c_str()) == 0 ? Status{} : failure(entry, errno);
      case Entry::Kind::hardlink: return hard_link(parent.get(), name, entry);
      default: return fail(ErrorKind::trust, std::format("archive entry '{}' is of an unknown kind", sanitise(entry.path)));
    }
  }

  // Folders get their modes last: one without the write bit must still be filled. Deepest first.
  Status finish() {
    for (auto it = folder_modes_.rbegin(); it != folder_modes_.rend(); ++it) {
      CLOUDOS_ASSIGN(const auto fd, folder(components(it->first)));
      if (::fchmod(fd.get(), it->second) != 0 || ::fsync(fd.get()) != 0) return fail_errno("folder " + sanitise(it->first), errno);
    }
    return ::fsync(root_.get()) == 0 ? Status{} : fail_errno("fsync", errno);
  }

 private:
  static std::unexpected<Error> failure(const Entry& entry, int error) {
    if (error == EEXIST) return fail(ErrorKind::trust, std::format("archive entry '{}' is there twice", sanitise(entry.path)));
    return fail_errno(std::format("extract '{}'", sanitise(entry.path)), error);
  }

  // Opens a folder below the root, made where it is missing.
  Result<Fd> folder(const std::vector<std::string>& parts) {
    Fd at(::fcntl(root_.get(), F_DUPFD_CLOEXEC, 0));
    if (!at) return fail_errno("duplicate a descriptor", errno);
    std::string path;
    for (const auto& part : parts) {
      path += (path.empty() ? "" : "/") + part;
      if (::mkdirat(at.get(), part.c_str(), 0700) == 0) folder_modes_.try_emplace(path, 0755);
      else if (errno != EEXIST) return fail_errno("make folder " + sanitise(path), errno);
      Fd next(::openat(at.get(), part.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      if (!next) return fail_errno("enter folder " + sanitise(path), errno);
      at = std::move(next);
    }
    return at;
  }

  static Status write_file(int parent, const std::string& name, mode_t mode, const Entry& entry, const ByteSource& content) {
    const Fd fd(::openat(parent, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!fd) return failure(entry, errno);
    std::array<std::byte, 64U << 10> buffer{};
    while (true) {
      CLOUDOS_ASSIGN(const auto n, content(std::span(buffer)));
      if (n == 0) break;
      CLOUDOS_TRY_WITH(write_all(fd.get(), std::span(buffer).first(n)), std::format("extracting '{}'", sanitise(entry.path)));
    }
    if (::fchmod(fd.get(), mode) != 0 || ::fsync(fd.get()) != 0) return failure(entry, errno);
    return {};
  }

  Status hard_link(int parent, const std::string& name, const Entry& entry) {
    auto target = components(entry.target);
    if (target.empty()) return failure(entry, ENOENT);
    const std::string target_name = std::move(target.back());
    target.pop_back();
    CLOUDOS_ASSIGN(const auto from, folder(target));
    return ::linkat(from.get(), target_name.c_str(), parent, name.c_str(), 0) == 0 ? Status{} : failure(entry, errno);
  }

  Fd root_;
  std::map<std::string, mode_t> folder_modes_ = {};
};

Status extract_into(Fd root, const ByteSource& in, const ReadLimits& limits) {
  Extraction extraction(std::move(root));
  CLOUDOS_TRY(read_tar(in, [&](const Entry& entry, const ByteSource& content) { return extraction.add(entry, content); }, limits));
  return extraction.finish();
}

}  // namespace

Status extract(const ByteSource& in, const fs::path& folder, const ReadLimits& limits) {
  CLOUDOS_TRY(make_folders(folder));
  std::error_code error;
  if (!fs::is_empty(folder, error)) {
    if (error) return fail_errno("look into " + folder.string(), error.value());
    return fail(ErrorKind::conflict, folder.string() + " is not empty, so no archive is extracted there");
  }
  CLOUDOS_ASSIGN(auto root, open(folder, O_RDONLY | O_DIRECTORY));
  auto done = extract_into(std::move(root), in, limits);
  // Never half an archive; the first error is the one that matters.
  if (!done) (void)remove_tree(folder);
  return done;
}

}  // namespace cloudos::os
