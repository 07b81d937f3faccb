#include "core/os/kernel_files/kernel_files.hpp"

#include <algorithm>

#include "core/base/text.hpp"
#include "core/os/file/file.hpp"

namespace cloudos::os {

namespace {
constexpr std::size_t page = 4096;  // as much as one attribute holds (Documentation/filesystems/sysfs.rst)
}

std::string text_of(const fs::path& file, std::size_t limit) {
  const auto text = read(file, limit);
  return text ? std::string(trim(*text)) : "";
}

std::optional<std::uint64_t> number_of(const fs::path& file) {
  const auto value = parse_number(text_of(file, page), 0, ~0ULL);
  return value ? std::optional(*value) : std::nullopt;
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) names.push_back(it->path().filename());
  std::ranges::sort(names);
  return names;
}

std::string link_name(const fs::path& link) {
  std::error_code error;
  const auto target = fs::read_symlink(link, error);
  return error ? "" : target.filename().string();
}

std::optional<int> numa_node_of(const fs::path& device) {
  const auto node = parse_number(text_of(device / "numa_node"), 0, 4096);
  if (!node) return std::nullopt;
  return static_cast<int>(*node);
}

}  // namespace cloudos::os
