#include <array>
#include <cerrno>
#include <format>
#include <optional>
#include <span>

#include "core/os/archive/library.hpp"

namespace cloudos::os {
namespace {

using WriteHandle = std::unique_ptr<archive, decltype(&archive_write_free)>;

mode_t file_type(Entry::Kind kind) {
  switch (kind) {
    case Entry::Kind::folder: return AE_IFDIR;
    case Entry::Kind::symlink: return AE_IFLNK;
    default: return AE_IFREG;
  }
}

}  // namespace

struct TarWriter::State {
  ByteSink out;
  std::int64_t mtime;
  WriteHandle handle{archive_write_new(), &archive_write_free};
  Bytes written = {};
  bool opened = false, finished = false;
  std::optional<Error> error = {};

  static la_ssize_t push(archive* a, void* self, const void* bytes, std::size_t n) {
    auto& state = *static_cast<State*>(self);
    if (auto status = state.out(std::span(static_cast<const std::byte*>(bytes), n)); !status) {
      state.error = std::move(status).error();
      archive_set_error(a, EIO, "the sink failed");
      return -1;
    }
    state.written.count += n;
    return static_cast<la_ssize_t>(n);
  }

  [[nodiscard]] std::unexpected<Error> failure(const std::string& what) const {
    if (error) return fail(*error);
    return fail(ErrorKind::failed, std::format("{}: {}", what, complaint(handle.get())));
  }

  Status open() {
    archive* a = handle.get();
    if (opened || a == nullptr) return opened ? Status{} : fail(ErrorKind::io, "out of memory");
    // "Restricted" pax is ustar, with pax headers for the entries only that ustar cannot hold (archive_write_format(3)).
    archive_write_set_format_pax_restricted(a);
    // No buffer, so that `written` is exact, and no padding to a tape record of 10 KiB.
    archive_write_set_bytes_per_block(a, 0);
    archive_write_set_bytes_in_last_block(a, 1);
    if (archive_write_open(a, this, nullptr, &State::push, nullptr) != ARCHIVE_OK) return failure("open the archive");
    opened = true;
    return {};
  }

  Status put_content(const Entry& entry, const ByteSource& content) {
    std::array<std::byte, 64U << 10> buffer{};
    std::uint64_t total = 0;
    while (true) {
      CLOUDOS_ASSIGN(const auto n, content(std::span(buffer)));
      if (n == 0) break;
      total += n;
      if (total > entry.size.count) break;
      if (archive_write_data(handle.get(), buffer.data(), n) != static_cast<la_ssize_t>(n)) return failure("write " + entry.path);
    }
    if (total == entry.size.count) return {};
    return fail(ErrorKind::failed, std::format("{} changed while it was archived: {} bytes were expected, {}{} came", entry.path,
                                               entry.size.count, total > entry.size.count ? "at least " : "", total));
  }
};

TarWriter::TarWriter(ByteSink out, std::int64_t mtime) : state_(std::make_unique<State>(State{.out = std::move(out), .mtime = mtime})) {}

TarWriter::TarWriter(TarWriter&&) noexcept = default;

TarWriter::~TarWriter() {
  // Freeing would finish the archive: one that was given up must not look whole, and its sink may be gone.
  if (state_ && state_->handle && !state_->finished) archive_write_fail(state_->handle.get());
}

Status TarWriter::add(const Entry& entry, const ByteSource& content) {
  const Utf8Names utf8;
  if (entry.kind == Entry::Kind::other) return fail(ErrorKind::usage, entry.path + " is of a kind that is not archived");
  CLOUDOS_TRY(state_->open());
  const EntryHandle handle(archive_entry_new(), &archive_entry_free);
  archive_entry* e = handle.get();
  archive_entry_copy_pathname(e, entry.path.c_str());
  archive_entry_set_filetype(e, file_type(entry.kind));
  archive_entry_set_perm(e, entry.mode);
  archive_entry_set_uid(e, entry.uid);
  archive_entry_set_gid(e, entry.gid);
  archive_entry_set_mtime(e, state_->mtime, 0);
  archive_entry_set_size(e, entry.kind == Entry::Kind::file ? static_cast<la_int64_t>(entry.size.count) : 0);
  if (entry.kind == Entry::Kind::symlink) archive_entry_copy_symlink(e, entry.target.c_str());
  if (entry.kind == Entry::Kind::hardlink) archive_entry_copy_hardlink(e, entry.target.c_str());
  if (archive_write_header(state_->handle.get(), e) != ARCHIVE_OK) return state_->failure("write the header of " + entry.path);
  if (entry.kind == Entry::Kind::file) CLOUDOS_TRY(state_->put_content(entry, content));
  if (archive_write_finish_entry(state_->handle.get()) != ARCHIVE_OK) return state_->failure("write " + entry.path);
  return {};
}

Status TarWriter::add(std::string path, std::string_view content, unsigned mode) {
  return add(Entry{.path = std::move(path), .size = {content.size()}, .mode = mode}, bytes_of(std::string(content)));
}

Status TarWriter::finish() {
  const Utf8Names utf8;
  CLOUDOS_TRY(state_->open());
  if (archive_write_close(state_->handle.get()) != ARCHIVE_OK) return state_->failure("finish the archive");
  state_->finished = true;
  return {};
}

Bytes TarWriter::offset() const { return state_->written; }

}  // namespace cloudos::os
