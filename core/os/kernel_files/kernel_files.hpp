// core/os/kernel_files: reading the small files and folders in which the kernel tells about a machine, /proc and /sys. What is
// not there, or goes away while it is looked at, is no error here: a device may be pulled out at any time. What the text means
// is for whoever asks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace cloudos::os {

// The content without white space at its ends; "" when it cannot be read or has more than `limit` bytes: a file that floods is
// not believed.
[[nodiscard]] std::string text_of(const std::filesystem::path& file, std::size_t limit = 4U << 20U);
// A file that holds one whole number, in decimal; nothing when it does not.
[[nodiscard]] std::optional<std::uint64_t> number_of(const std::filesystem::path& file);
// The names in a folder, sorted; none when it cannot be read.
[[nodiscard]] std::vector<std::string> names_in(const std::filesystem::path& folder);
// The last part of where a symbolic link points, "" when it is none.
[[nodiscard]] std::string link_name(const std::filesystem::path& link);
// The NUMA node in a device's folder (`numa_node`); nothing where the kernel says -1, as on machines with only one.
[[nodiscard]] std::optional<int> numa_node_of(const std::filesystem::path& device);

}  // namespace cloudos::os
