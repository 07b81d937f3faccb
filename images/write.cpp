#include "images/write.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <format>

#include "core/os/crypto/crypto.hpp"
#include "core/os/file/file.hpp"
#include "images/layout.hpp"

namespace cloudos::images {

namespace {

Status copy_blob(int fd, const Placed& place, const ByteSource& source) {
  os::Sha256 sum;
  Bytes size;
  std::vector<std::byte> buffer(4U << 20);
  while (true) {
    CLOUDOS_ASSIGN(const auto n, source(buffer));
    if (n == 0) break;
    const auto bytes = std::span(buffer).first(n);
    sum.update(bytes);
    size += Bytes{n};
    CLOUDOS_TRY(os::write_all(fd, bytes));
  }
  if (size == place.size && sum.finish() == place.digest) return {};
  return fail(ErrorKind::io, std::format("the build cache's object {} is damaged", place.digest.hex()), "remove that file and build again");
}

Status write_parts(int fd, const Layout& layout, const std::function<Result<ByteSource>(const Digest&)>& blob) {
  for (std::size_t i = 0; i < layout.fixed.size(); ++i) {
    CLOUDOS_TRY(os::write_all(fd, std::as_bytes(std::span(layout.fixed[i].bytes))));
    if (i >= layout.blobs.size()) continue;
    CLOUDOS_ASSIGN(const auto source, blob(layout.blobs[i].digest));
    CLOUDOS_TRY(copy_blob(fd, layout.blobs[i], source));
  }
  if (::fsync(fd) != 0) return fail_errno("fsync", errno);
  return {};
}

}  // namespace

Result<Signed> sign_index(const model::BundleIndex& index, const Secret& key) {
  Signed out{.json = index_text(index), .minisig = {}};
  if (key.empty()) return out;
  // No time of signing, so that the same recipe and key give the same bytes.
  const auto comment = std::format("{} {} {} {}", index.name, index.version, index.platform, index.created);
  CLOUDOS_ASSIGN(out.minisig, os::sign(key, out.json, comment));
  return out;
}

Status write_bundle(const std::filesystem::path& file, const Signed& head, const model::BundleIndex& index,
                    const std::function<Result<ByteSource>(const Digest&)>& blob) {
  CLOUDOS_ASSIGN(const auto layout, layout_of(head.json, head.minisig, index));
  auto part = file;
  part += ".part";
  const auto folder = file.has_parent_path() ? file.parent_path() : std::filesystem::path(".");
  CLOUDOS_TRY(os::make_folders(folder));
  const auto written = [&]() -> Status {
    CLOUDOS_ASSIGN(const auto fd, os::open(part, O_WRONLY | O_CREAT | O_TRUNC));
    CLOUDOS_TRY(write_parts(fd.get(), layout, blob));
    if (::rename(part.c_str(), file.c_str()) != 0) return fail_errno("rename " + part.string(), errno);
    return os::fsync_folder(folder);
  }();
  if (!written) ::unlink(part.c_str());
  CLOUDOS_TRY_WITH(written, "writing " + file.string());
  return {};
}

}  // namespace cloudos::images
