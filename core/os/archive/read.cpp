#include <cerrno>
#include <format>
#include <optional>
#include <span>

#include "core/base/text.hpp"
#include "core/os/archive/library.hpp"

namespace cloudos::os {
namespace {

constexpr std::size_t chunk = 64U << 10;

using ReadHandle = std::unique_ptr<archive, decltype(&archive_read_free)>;

// The stream that libarchive pulls from; a source's own error travels around libarchive.
struct Input {
  const ByteSource& source;
  std::vector<std::byte> buffer = std::vector<std::byte>(chunk);
  std::optional<Error> error = {};

  static la_ssize_t pull(archive* a, void* self, const void** out) {
    auto& input = *static_cast<Input*>(self);
    auto n = input.source(std::span(input.buffer));
    if (!n) {
      input.error = std::move(n).error();
      archive_set_error(a, EIO, "the stream failed");
      return ARCHIVE_FATAL;
    }
    *out = input.buffer.data();
    return static_cast<la_ssize_t>(*n);
  }

  [[nodiscard]] std::unexpected<Error> failure(archive* a, std::string_view where) {
    if (error) return fail(std::move(*error));
    return fail(ErrorKind::input, std::format("{}: {}", where, sanitise(complaint(a))));
  }
};

std::string text_of(const char* utf8, const char* raw) { return utf8 != nullptr ? utf8 : raw != nullptr ? raw : ""; }

Entry entry_of(archive_entry* e) {
  Entry entry{.path = text_of(archive_entry_pathname_utf8(e), archive_entry_pathname(e)),
              .size = {archive_entry_size_is_set(e) != 0 ? static_cast<std::uint64_t>(archive_entry_size(e)) : 0},
              .mode = archive_entry_mode(e) & 07777U,
              .uid = static_cast<unsigned>(archive_entry_uid(e)),
              .gid = static_cast<unsigned>(archive_entry_gid(e))};
  if (auto target = text_of(archive_entry_hardlink_utf8(e), archive_entry_hardlink(e)); !target.empty()) {
    entry.kind = Entry::Kind::hardlink;
    entry.target = std::move(target);
    return entry;
  }
  switch (archive_entry_filetype(e)) {
    case AE_IFREG: entry.kind = Entry::Kind::file; break;
    case AE_IFDIR: entry.kind = Entry::Kind::folder; break;
    case AE_IFLNK:
      entry.kind = Entry::Kind::symlink;
      entry.target = text_of(archive_entry_symlink_utf8(e), archive_entry_symlink(e));
      break;
    default: entry.kind = Entry::Kind::other;
  }
  return entry;
}

// To the end of the stream: what feeds it may be a pipe or a digest over all of it, and tar pads after its end blocks.
Status drain(Input& input) {
  while (true) {
    CLOUDOS_ASSIGN(const auto n, input.source(std::span(input.buffer)));
    if (n == 0) return {};
  }
}

using Check = std::function<Status(const Entry&)>;

Status walk(const ByteSource& in, const Visit& visit, const Check& check) {
  const Utf8Names utf8;
  Input input{.source = in};
  const ReadHandle handle(archive_read_new(), &archive_read_free);
  archive* a = handle.get();
  if (a == nullptr) return fail(ErrorKind::io, "out of memory");
  archive_read_support_format_tar(a);
  archive_read_support_filter_gzip(a);
  archive_read_support_filter_zstd(a);
  archive_read_support_filter_xz(a);
  if (archive_read_open(a, &input, nullptr, &Input::pull, nullptr) != ARCHIVE_OK) return input.failure(a, "not a tar archive");

  std::string last;
  while (true) {
    archive_entry* e = nullptr;
    const int status = archive_read_next_header(a, &e);
    if (status == ARCHIVE_EOF) return drain(input);
    // A warning is about an attribute that we do not take over.
    if (status != ARCHIVE_OK && status != ARCHIVE_WARN)
      return input.failure(a, last.empty() ? "not a tar archive" : std::format("archive damaged after '{}'", sanitise(last)));
    const Entry entry = entry_of(e);
    last = entry.path;
    CLOUDOS_TRY(check(entry));
    std::uint64_t given = 0;
    const ByteSource content = [&](std::span<std::byte> room) -> Result<std::size_t> {
      const auto n = archive_read_data(a, room.data(), room.size());
      if (n < 0) return input.failure(a, std::format("archive entry '{}'", sanitise(entry.path)));
      given += static_cast<std::uint64_t>(n);
      // A sparse file's map need not cover the size that its header tells.
      const bool ended = n == 0 && !room.empty();
      if (entry.kind == Entry::Kind::file && (given > entry.size.count || (ended && given < entry.size.count)))
        return fail(ErrorKind::input, std::format("archive entry '{}' does not have the {} bytes that its header tells",
                                                  sanitise(entry.path), entry.size.count));
      return static_cast<std::size_t>(n);
    };
    CLOUDOS_TRY(visit(entry, content));
  }
}

}  // namespace

Status read_tar(const ByteSource& in, const Visit& visit, const ReadLimits& limits) {
  Inspector inspector(limits);
  return walk(in, visit, [&](const Entry& entry) { return inspector.inspect(entry); });
}

Status read_tar_trusted(const ByteSource& in, const Visit& visit) {
  return walk(in, visit, [](const Entry&) -> Status { return {}; });
}

}  // namespace cloudos::os
