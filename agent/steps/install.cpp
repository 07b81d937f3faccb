// InstallFile: out of the node's store to its place. Hashing some 600 MB on every run would be the longest part of a run that
// has nothing to do, so what was installed is remembered with its size, inode and time of change: a file that still has
// these is what was written.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <format>
#include <nlohmann/json.hpp>

#include "agent/steps/actions.hpp"
#include "agent/steps/files.hpp"
#include "core/base/text.hpp"
#include "core/os/crypto/crypto.hpp"

namespace cloudos::steps {
namespace {

using nlohmann::json;

constexpr auto index_path = "/var/lib/cloudos/installed.json";

json stamp(const FileState& state, const Digest& digest) {
  return {{"digest", digest.hex()}, {"size", state.size}, {"mtime_ns", state.mtime_ns}, {"inode", state.inode}};
}

// An index that cannot be read is an empty one: everything is hashed again.
json read_index(const Session& session) {
  const auto text = os::read_if_any(session.at(index_path));
  if (!text || !*text) return json::object();
  auto j = json::parse(**text, nullptr, false);
  return j.is_object() && j.value("schema", 0) == 1 && j.contains("files") && j["files"].is_object() ? j["files"] : json::object();
}

Status remember(const Session& session, const std::string& path, const Digest& digest) {
  CLOUDOS_ASSIGN(auto state, state_of(session.at(path)));
  auto files = read_index(session);
  files[path] = stamp(state, digest);
  return os::write_atomic(session.at(index_path), json{{"schema", 1}, {"files", std::move(files)}}.dump(), 0600);
}

bool below(std::string_view path, std::string_view folder) {
  return path.size() > folder.size() && path.starts_with(folder) && path[folder.size()] == '/';
}

// Expands the blob into `fd`; gives the digest of what was written.
Result<Digest> expand(const model::InstallFile& a, Session& session, int fd) {
  CLOUDOS_ASSIGN(auto blob, session.store.open(a.blob));
  os::Sha256 sum;
  std::uint64_t written = 0;
  const ByteSink out = [&](std::span<const std::byte> bytes) -> Status {
    sum.update(bytes);
    written += bytes.size();
    session.progress(written, a.content_size.count);
    return os::write_all(fd, bytes);
  };
  if (a.stored == "zstd") {
    CLOUDOS_TRY(os::zstd_expand(blob, out, a.content_size));
    return sum.finish();
  }
  if (a.stored != "raw")
    return fail(ErrorKind::input, "blob " + a.blob.hex() + " is stored as \"" + a.stored + "\", expected \"raw\" or \"zstd\"");
  std::vector<std::byte> buffer(1U << 20);
  for (;;) {
    CLOUDOS_ASSIGN(auto got, blob(buffer));
    if (got == 0) return sum.finish();
    CLOUDOS_TRY(out(std::span(buffer).first(got)));
  }
}

}  // namespace

Result<Check> check(const model::InstallFile& a, Session& session) {
  CLOUDOS_ASSIGN(auto state, state_of(session.at(a.path)));
  if (state.kind == FileState::Kind::absent) return Check::needed("is not there, " + human(a.content_size));
  if (state.kind == FileState::Kind::folder) return Check::conflict(a.path + " is a folder");
  if (state.kind != FileState::Kind::file) return Check::needed("is not a plain file");
  if (state.size != a.content_size.count) return Check::needed(std::format("has {} bytes, becomes {}", state.size, a.content_size.count));
  if (state.mode != a.mode) return Check::needed(std::format("mode is {:04o}, becomes {:04o}", state.mode, a.mode));
  const auto index = read_index(session);
  const auto known = index.find(a.path);
  if (known != index.end() && *known == stamp(state, a.content)) return Check::satisfied();
  CLOUDOS_ASSIGN(auto present, os::sha256_file(session.at(a.path).string()));
  if (present.digest != a.content) return Check::needed("has other content");
  return Check::satisfied();
}

Result<Undo> before(const model::InstallFile& a, Session& session) {
  // What is below our own folder goes as a whole; a copy of each old binary would only fill the disk.
  if (below(a.path, paths::state)) return Undo{{"path", a.path}, {"before", ""}, {"after", a.content.hex()}};
  return keep_before(session, a.path, a.content);
}

Status apply(const model::InstallFile& a, Session& session) {
  const auto path = session.at(a.path);
  const auto part = fs::path(path.string() + ".part");
  CLOUDOS_TRY(os::make_folders(path.parent_path()));
  if (!session.store.has(a.blob))
    return fail(ErrorKind::io, "blob " + a.blob.hex() + " is not in this machine's store",
                "run the same command again: what is missing is sent first");
  CLOUDOS_ASSIGN(auto fd, os::open(part, O_WRONLY | O_CREAT | O_TRUNC, 0600));
  auto digest = expand(a, session, fd.get());
  if (!digest || *digest != a.content) {
    ::unlink(part.c_str());
    if (!digest && digest.error().kind == ErrorKind::io) return fail(std::move(digest).error().with("installing " + a.path));
    // The blob was whole when it came in: the disk gave back something else. Without it here, it is sent anew.
    ::unlink(session.store.path(a.blob).c_str());
    return fail(ErrorKind::trust, "blob " + a.blob.hex() + " in this machine's store is damaged, " + a.path + " was not touched",
                "run the same command again: the blob is sent anew; look at the disk's health when it happens again");
  }
  if (::fchmod(fd.get(), static_cast<mode_t>(a.mode)) != 0) return fail_errno("chmod " + part.string(), errno);
  if (::fsync(fd.get()) != 0) return fail_errno("fsync " + part.string(), errno);
  if (::rename(part.c_str(), path.c_str()) != 0) return fail_errno("rename " + part.string(), errno);
  CLOUDOS_TRY(os::fsync_folder(path.parent_path()));
  return remember(session, a.path, a.content);
}

}  // namespace cloudos::steps
