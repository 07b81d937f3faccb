#include "images/place.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <format>

#include "core/base/text.hpp"
#include "core/os/archive/archive.hpp"

namespace cloudos::images {

namespace {

constexpr std::size_t most_index = 256U << 20;
constexpr std::size_t most_signature = 64U << 10;

std::unexpected<Error> enough() { return fail(ErrorKind::cancelled, "seen enough"); }
bool is_enough(const Status& status) { return !status && status.error().kind == ErrorKind::cancelled; }

// Every bundle starts with the tar header of bundle.json, which has "ustar" at byte 257 (pax(1)).
Status check_magic(int fd) {
  std::array<std::byte, 512> head{};
  CLOUDOS_ASSIGN(const auto n, read_at(fd, 0, head));
  const std::string_view text(reinterpret_cast<const char*>(head.data()), n);
  if (n == head.size() && text.substr(257, 5) == "ustar") return {};
  return fail(ErrorKind::input, "it is not a bundle", "a bundle is made with: cloudos bundle build RECIPE -o FILE --key KEY");
}

Status read_entry(const os::Entry& entry, const ByteSource& content, std::string_view wanted, std::size_t limit, std::string& out) {
  if (entry.path != wanted || entry.kind != os::Entry::Kind::file)
    return fail(ErrorKind::trust, std::format("where {} should stand there is '{}'", wanted, sanitise(entry.path)));
  if (entry.size.count > limit)
    return fail(ErrorKind::trust, std::format("{} claims {} bytes, more than the {} allowed", wanted, entry.size.count, limit));
  const auto sink = into(out, limit);
  std::vector<std::byte> buffer(64U << 10);
  while (true) {
    CLOUDOS_ASSIGN(const auto n, content(buffer));
    if (n == 0) return {};
    CLOUDOS_TRY(sink(std::span(buffer).first(n)));
  }
}

// The names of the entries from `at` on, for a message; at most `most` of them.
std::string entries_at(int fd, std::uint64_t at, std::size_t most) {
  std::vector<std::string> names;
  const auto status =
      os::read_tar(bytes_from(fd, at, most_index + most_signature), [&](const os::Entry& entry, const ByteSource&) -> Status {
        names.push_back(std::format("'{}' ({} bytes)", sanitise(entry.path), entry.size.count));
        return names.size() < most ? Status{} : enough();
      });
  if (!status && !is_enough(status)) names.push_back(std::format("something refused ({})", status.error().message));
  if (names.empty()) return "the end of the archive";
  return join(names, ", ");
}

std::unexpected<Error> misplaced(int fd, const Fixed& fixed) {
  constexpr auto again = "the file was changed after it was signed: get it again from where it was published";
  if (fixed.at == 0)
    return fail(ErrorKind::trust, std::format("{} are not what bundle.json implies; there are {}", fixed.what, entries_at(fd, 0, 5)),
                again);
  const auto header_at = (fixed.at + 511) / 512 * 512;
  return fail(ErrorKind::trust, std::format("where {} should stand there is {}", fixed.what, entries_at(fd, header_at, 1)), again);
}

}  // namespace

Result<std::size_t> read_at(int fd, std::uint64_t at, std::span<std::byte> room) {
  std::size_t done = 0;
  while (done < room.size()) {
    const auto n = ::pread(fd, room.data() + done, room.size() - done, static_cast<off_t>(at + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("read the bundle", errno);
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  return done;
}

ByteSource bytes_from(int fd, std::uint64_t at, std::uint64_t limit) {
  return [fd, at, left = limit](std::span<std::byte> room) mutable -> Result<std::size_t> {
    CLOUDOS_ASSIGN(const auto n, read_at(fd, at, room.first(std::min<std::uint64_t>(room.size(), left))));
    at += n;
    left -= n;
    return n;
  };
}

Result<Opening> read_opening(int fd) {
  CLOUDOS_TRY(check_magic(fd));
  Opening opening;
  int seen = 0;
  const auto status =
      os::read_tar(bytes_from(fd, 0, most_index + most_signature), [&](const os::Entry& entry, const ByteSource& content) -> Status {
        if (seen++ == 0) return read_entry(entry, content, index_name, most_index, opening.json);
        CLOUDOS_TRY(read_entry(entry, content, signature_name, most_signature, opening.minisig));
        return enough();
      });
  if (is_enough(status)) return opening;
  if (!status) return std::unexpected(status.error());
  return fail(ErrorKind::trust, "it has no signature entry", "get it again from where it was published");
}

Status check_layout(int fd, const Layout& layout) {
  for (const auto& fixed : layout.fixed) {
    std::string found(fixed.bytes.size(), '\0');
    CLOUDOS_ASSIGN(const auto n, read_at(fd, fixed.at, std::as_writable_bytes(std::span(found))));
    if (n < found.size() && fixed.bytes.starts_with(std::string_view(found).substr(0, n)))
      return fail(ErrorKind::input, std::format("it is truncated: it ends before byte {} of {}", fixed.at + found.size(), layout.size),
                  "copy it again");
    if (found != fixed.bytes) return misplaced(fd, fixed);
  }
  struct stat info{};
  if (::fstat(fd, &info) != 0) return fail_errno("stat the bundle", errno);
  const auto size = static_cast<std::uint64_t>(info.st_size);
  if (size == layout.size) return {};
  return fail(ErrorKind::trust, std::format("{} bytes follow the end of the archive", size - layout.size),
              "the file was changed after it was signed: get it again from where it was published");
}

}  // namespace cloudos::images
