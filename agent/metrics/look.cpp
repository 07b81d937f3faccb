#include "agent/metrics/look.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>

#include "core/base/text.hpp"

namespace cloudos::metrics {
namespace {

constexpr std::size_t first_room = 64U << 10, most_room = 16U << 20, attribute_room = 128;

os::Fd open_at(int folder, const char* name, int flags) { return os::Fd(::openat(folder, name, flags | O_CLOEXEC)); }

struct CloseFolder {
  void operator()(DIR* folder) const { ::closedir(folder); }
};

}  // namespace

Folder::Folder(const std::filesystem::path& path) : fd_(open_at(AT_FDCWD, path.c_str(), O_RDONLY | O_DIRECTORY)) {}

Folder Folder::sub(const std::string& name) const {
  return there() ? Folder(open_at(fd_.get(), name.c_str(), O_RDONLY | O_DIRECTORY)) : Folder();
}

std::optional<std::string_view> Folder::text(const char* name, std::string& room) const {
  if (!there()) return std::nullopt;
  const auto file = open_at(fd_.get(), name, O_RDONLY);
  if (!file) return std::nullopt;
  std::size_t size = 0;
  for (;;) {
    if (room.size() - size < first_room / 2) room.resize(std::max(first_room, room.size() * 2));
    const auto got = ::read(file.get(), room.data() + size, room.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 || size > most_room) return std::nullopt;
    if (got == 0) return std::string_view(room).substr(0, size);
    size += static_cast<std::size_t>(got);
  }
}

std::optional<std::string> Folder::attribute(const std::string& name) const {
  if (!there()) return std::nullopt;
  const auto file = open_at(fd_.get(), name.c_str(), O_RDONLY | O_NONBLOCK);
  if (!file) return std::nullopt;
  std::array<char, attribute_room> room{};
  const auto got = ::read(file.get(), room.data(), room.size());
  if (got < 0) return std::nullopt;
  return std::string(trim(std::string_view(room.data(), static_cast<std::size_t>(got))));
}

std::optional<std::int64_t> Folder::number(const char* name) const {
  if (!there()) return std::nullopt;
  const auto file = open_at(fd_.get(), name, O_RDONLY | O_NONBLOCK);
  if (!file) return std::nullopt;
  std::array<char, attribute_room> room{};
  const auto got = ::read(file.get(), room.data(), room.size());
  if (got <= 0) return std::nullopt;
  auto text = trim(std::string_view(room.data(), static_cast<std::size_t>(got)));
  const int base = text.starts_with("0x") ? 16 : 10;
  if (base == 16) text.remove_prefix(2);
  std::int64_t value = 0;
  const auto end = std::from_chars(text.data(), text.data() + text.size(), value, base);
  return end.ec == std::errc{} && end.ptr == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

std::vector<std::string> Folder::names(bool files) const {
  std::vector<std::string> out;
  if (!there()) return out;
  auto again = open_at(fd_.get(), ".", O_RDONLY | O_DIRECTORY);
  if (!again) return out;
  const std::unique_ptr<DIR, CloseFolder> folder(::fdopendir(again.get()));
  if (!folder) return out;
  static_cast<void>(again.release());
  while (const auto* entry = ::readdir(folder.get()))
    if (entry->d_name[0] != '.' && (entry->d_type == DT_REG) == files) out.emplace_back(entry->d_name);
  std::ranges::sort(out);
  return out;
}

std::vector<std::string> Folder::numbered(std::string_view prefix) const {
  auto out = names(false);
  std::erase_if(
      out, [&](const std::string& name) { return !name.starts_with(prefix) || !all_digits(std::string_view(name).substr(prefix.size())); });
  return out;
}

std::filesystem::path Folder::real(const std::string& name) const {
  std::error_code wrong;
  const auto own = there() ? std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd_.get()), wrong) : "";
  if (own.empty() || wrong) return {};
  auto path = std::filesystem::canonical(own / name, wrong);
  return wrong ? std::filesystem::path() : path;
}

std::string_view take_line(std::string_view& text) {
  const auto end = std::min(text.find('\n'), text.size());
  const auto line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

std::string_view take_word(std::string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
  const auto word = line.substr(0, line.find_first_of(" \t"));
  line.remove_prefix(word.size());
  return word;
}

std::optional<std::uint64_t> count_of(std::string_view text, int base) {
  std::uint64_t value = 0;
  const auto end = std::from_chars(text.data(), text.data() + text.size(), value, base);
  return end.ec == std::errc{} && end.ptr == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

std::optional<double> real_of(std::string_view text) {
  double value = 0;
  const auto end = std::from_chars(text.data(), text.data() + text.size(), value);
  return end.ec == std::errc{} && end.ptr == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

bool all_digits(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace cloudos::metrics
