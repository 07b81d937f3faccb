// Inside agent/metrics: files of the kernel, read relative to an open folder and into room that is used again; and texts cut into
// lines, words and numbers without copying them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/os/file/file.hpp"

namespace cloudos::metrics {

// An open folder, or none: then there is nothing in it.
class Folder {
 public:
  Folder() = default;
  explicit Folder(const std::filesystem::path& path);
  [[nodiscard]] bool there() const { return static_cast<bool>(fd_); }
  [[nodiscard]] Folder sub(const std::string& name) const;
  // All of a file, in `room`, which the answer points into. Nothing when it cannot be read.
  [[nodiscard]] std::optional<std::string_view> text(const char* name, std::string& room) const;
  // What one read(2) of at most 128 bytes gives, without white space at its ends: an attribute of sysfs. Some drivers answer
  // EAGAIN for ever, so nothing is tried twice.
  [[nodiscard]] std::optional<std::string> attribute(const std::string& name) const;
  // An attribute that is one number, decimal or "0x…".
  [[nodiscard]] std::optional<std::int64_t> number(const char* name) const;
  // Sorted; `files`: only regular files, otherwise all but those.
  [[nodiscard]] std::vector<std::string> names(bool files) const;
  // The names of folders that are `prefix` and a number, and that number, in the order of their names.
  [[nodiscard]] std::vector<std::string> numbered(std::string_view prefix) const;
  // Where a path below leads when all links are followed; empty when nowhere.
  [[nodiscard]] std::filesystem::path real(const std::string& name) const;

 private:
  explicit Folder(os::Fd fd) : fd_(std::move(fd)) {}
  os::Fd fd_;
};

// Takes the next line, or word, off the front.
[[nodiscard]] std::string_view take_line(std::string_view& text);
[[nodiscard]] std::string_view take_word(std::string_view& line);
// The whole of `text` as a number, or nothing.
[[nodiscard]] std::optional<std::uint64_t> count_of(std::string_view text, int base = 10);
[[nodiscard]] std::optional<double> real_of(std::string_view text);
[[nodiscard]] bool all_digits(std::string_view text);

}  // namespace cloudos::metrics
