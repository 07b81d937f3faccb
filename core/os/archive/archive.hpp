// core/os/archive: tar through libarchive: a reader that trusts nothing, and a writer that always gives the same bytes.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "core/base/argv.hpp"
#include "core/base/units.hpp"

namespace cloudos::os {

struct Entry {
  enum class Kind { file, folder, symlink, hardlink, other };
  std::string path;  // relative, as stored
  Kind kind = Kind::file;
  Bytes size;
  unsigned mode = 0644;
  unsigned uid = 0, gid = 0;
  std::string target = {};  // of a link
};

struct ReadLimits {
  Bytes bytes = 64_GiB;  // of all contents
  std::uint64_t entries = 1'000'000;
};

// Walks a tar stream (plain, gzip, zstd or xz; nothing else) to its very end. For each entry `visit` gets a source for its
// content, which need not be read. Refused, as ErrorKind::trust with the entry's name: absolute paths, "..", links that
// leave the root, entries below a link, devices, FIFOs, setuid and setgid files, more than the limits. A stream that is no
// tar or is cut off is ErrorKind::input; an error of `in` or `visit` is passed on.
using Visit = std::function<Status(const Entry&, const ByteSource& content)>;
[[nodiscard]] Status read_tar(const ByteSource& in, const Visit& visit, const ReadLimits& limits = {});
// Reads every entry kind, as stored, without the refusals: for archives of our own build (Debian packages: setuid files,
// absolute links). Never for anything that reaches a machine.
[[nodiscard]] Status read_tar_trusted(const ByteSource& in, const Visit& visit);
// read_tar into a fresh folder that must be empty or absent. Everything belongs to the caller, has only its permission bits
// and is fsynced; after an error the folder is gone again. Errors: those of read_tar, conflict (not empty), io.
[[nodiscard]] Status extract(const ByteSource& in, const std::filesystem::path& folder, const ReadLimits& limits = {});

// Writes POSIX ustar/pax entries in the order given: mtime 0 (or the one given), owner 0:0 by number, no names, no padding
// beyond the two end blocks: the same entries give the same bytes on every machine.
class TarWriter {
 public:
  explicit TarWriter(ByteSink out, std::int64_t mtime = 0);
  ~TarWriter();
  TarWriter(TarWriter&&) noexcept;
  [[nodiscard]] Status add(const Entry& entry, const ByteSource& content = no_bytes());
  [[nodiscard]] Status add(std::string path, std::string_view content, unsigned mode = 0644);
  [[nodiscard]] Status finish();
  // Bytes written so far: between two add() it is where the next entry's headers will be. The content just added lies at
  // offset() - round_up(size, 512).
  [[nodiscard]] Bytes offset() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace cloudos::os
