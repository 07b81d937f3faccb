#include <array>
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
  bool opened = false, given_up = false;
  std::optional<Error> error = {};

  // Never reports a failure: libarchive then gives the archive up and, when freed, leaks what it opened. The sink's error is
  // kept here, and nothing follows it.
  static la_ssize_t push(archive*, void* self, const void* bytes, std::size_t n) {
    auto& state = *static_cast<State*>(self);
    if (state.given_up) return static_cast<la_ssize_t>(n);
    auto status = state.out(std::span(static_cast<const std::byte*>(bytes), n));
    if (status) {
      state.written.count += n;
    } else {
      state.error = std::move(status).error();
      state.given_up = true;
    }
    return static_cast<la_ssize_t>(n);
  }

  // What a call of libarchive came to.
  [[nodiscard]] Status outcome(bool ok, const std::string& what) const {
    if (error) return fail(*error);
    if (ok) return {};
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
    opened = archive_write_open(a, this, nullptr, &State::push, nullptr) == ARCHIVE_OK;
    return outcome(opened, "open the archive");
  }

  Status put_content(const Entry& entry, const ByteSource& content) {
    std::array<std::byte, 64U << 10> buffer{};
    std::uint64_t total = 0;
    while (true) {
      CLOUDOS_ASSIGN(const auto n, content(std::span(buffer)));
      if (n == 0) break;
      total += n;
      if (total > entry.size.count) break;
      const auto taken = archive_write_data(handle.get(), buffer.data(), n);
      CLOUDOS_TRY(outcome(taken == static_cast<la_ssize_t>(n), "write " + entry.path));
    }
    if (total == entry.size.count) return {};
    return fail(ErrorKind::failed, std::format("{} changed while it was archived: {} bytes were expected, {}{} came", entry.path,
                                               entry.size.count, total > entry.size.count ? "at least " : "", total));
  }
};

TarWriter::TarWriter(ByteSink out, std::int64_t mtime) : state_(std::make_unique<State>(State{.out = std::move(out), .mtime = mtime})) {}

TarWriter::TarWriter(TarWriter&&) noexcept = default;

TarWriter::~TarWriter() {
  // Freeing finishes the archive: one that was given up must not look whole, and its sink may be gone.
  if (state_) state_->given_up = true;
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
  CLOUDOS_TRY(state_->outcome(archive_write_header(state_->handle.get(), e) == ARCHIVE_OK, "write the header of " + entry.path));
  if (entry.kind == Entry::Kind::file) CLOUDOS_TRY(state_->put_content(entry, content));
  return state_->outcome(archive_write_finish_entry(state_->handle.get()) == ARCHIVE_OK, "write " + entry.path);
}

Status TarWriter::add(std::string path, std::string_view content, unsigned mode) {
  return add(Entry{.path = std::move(path), .size = {content.size()}, .mode = mode}, bytes_of(std::string(content)));
}

Status TarWriter::finish() {
  const Utf8Names utf8;
  CLOUDOS_TRY(state_->open());
  return state_->outcome(archive_write_close(state_->handle.get()) == ARCHIVE_OK, "finish the archive");
}

Bytes TarWriter::offset() const { return state_->written; }

}  // namespace cloudos::os
