// The tar reader never crashes, never lets an entry through that could leave its folder, and gives of each entry exactly the
// size that it announced.
#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <format>
#include <span>
#include <string_view>

#include "core/base/text.hpp"
#include "core/os/archive/archive.hpp"

using namespace cloudos;
using cloudos::os::Entry;

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

namespace {

constexpr std::size_t block = 512;
constexpr os::ReadLimits limits{.bytes = 1_MiB, .entries = 100};

void require(bool holds, std::string_view promise) {
  if (holds) return;
  std::fprintf(stderr, "broken promise: %s\n", std::string(promise).c_str());
  std::abort();
}

bool has_parent(std::string_view path) { return std::ranges::contains(split(path, '/'), ".."); }

Result<std::uint64_t> length_of(const ByteSource& content) {
  std::array<std::byte, 8192> buffer{};
  std::uint64_t total = 0;
  while (true) {
    CLOUDOS_ASSIGN(const auto n, content(buffer));
    if (n == 0) return total;
    total += n;
  }
}

ByteSource source_of(std::string_view bytes) {
  return [bytes](std::span<std::byte> room) mutable -> Result<std::size_t> {
    const auto n = std::min(room.size(), bytes.size());
    std::memcpy(room.data(), bytes.data(), n);
    bytes.remove_prefix(n);
    return n;
  };
}

Status check(const Entry& entry, const ByteSource& content) {
  require(!entry.path.empty() && !entry.path.starts_with('/') && !has_parent(entry.path), "a path stays below the root");
  require(entry.kind != Entry::Kind::other && (entry.mode & 06000U) == 0, "no devices, FIFOs, setuid or setgid files");
  require(!entry.target.starts_with('/'), "no link is absolute");
  require(entry.kind != Entry::Kind::hardlink || !has_parent(entry.target), "a hard link's target stays below the root");
  require(entry.size <= limits.bytes, "no entry exceeds the limit");
  CLOUDOS_ASSIGN(const auto length, length_of(content));
  require(entry.kind != Entry::Kind::file || length == entry.size.count, "a file has the announced size");
  return {};
}

}  // namespace

// Headers carry a sum, without which nothing behind it is ever reached: it is put right after each mutation.
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size, unsigned) {
  size = LLVMFuzzerMutate(data, size, max_size);
  for (std::size_t at = 0; at + block <= size; at += block) {
    std::uint8_t* header = data + at;
    if (std::memcmp(header + 257, "ustar", 5) != 0) continue;
    std::fill_n(header + 148, 8, std::uint8_t{' '});
    unsigned sum = 0;
    for (std::size_t i = 0; i < block; ++i) sum += header[i];
    const auto text = std::format("{:06o}", sum);
    std::copy(text.begin(), text.end(), header + 148);
    header[154] = 0;
  }
  return size;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto refused = os::read_tar(source_of(bytes), &check, limits);
  require(refused || !refused.error().message.empty(), "an error says what is wrong");
  (void)os::read_tar(source_of(bytes), [](const Entry&, const ByteSource&) -> Status { return {}; }, limits);
  return 0;
}
