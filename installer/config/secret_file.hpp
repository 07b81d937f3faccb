#pragma once

#include <filesystem>

#include "core/base/secret.hpp"
#include "installer/config/draft.hpp"

namespace cloudos::config {

// "~/" is $HOME; other relative paths start from `base` ("" for the working folder).
[[nodiscard]] std::string expand_path(const std::string& path, const std::filesystem::path& base);
// The content of a file that holds a password, without its final newline. A file that others may read, an empty one and
// one that cannot be read give a finding each and no value.
[[nodiscard]] std::optional<Secret> read_secret_file(const Given<std::string>& file, Findings& findings);
// The same checks for a private key that ssh is going to read itself.
void check_key_file(const Given<std::string>& file, Findings& findings);

}  // namespace cloudos::config
