#include "core/plan/fill.hpp"

namespace cloudos::plan {

std::string fill(std::string_view text, const std::map<std::string, std::string>& values) {
  std::string out;
  while (true) {
    const auto open = text.find("{{");
    const auto close = open == std::string_view::npos ? open : text.find("}}", open);
    if (close == std::string_view::npos) return out.append(text);
    const auto value = values.find(std::string(text.substr(open + 2, close - open - 2)));
    out.append(text.substr(0, open));
    out.append(value == values.end() ? text.substr(open, close + 2 - open) : std::string_view(value->second));
    text.remove_prefix(close + 2);
  }
}

}  // namespace cloudos::plan
