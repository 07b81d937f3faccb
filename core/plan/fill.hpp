#pragma once

#include <map>
#include <string>
#include <string_view>

namespace cloudos::plan {

// A data file with its {{name}}s replaced. A {{name}} without a value stays as it is.
[[nodiscard]] std::string fill(std::string_view text, const std::map<std::string, std::string>& values);

}  // namespace cloudos::plan
