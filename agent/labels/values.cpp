#include <algorithm>
#include <cctype>
#include <string>

#include "agent/labels/groups.hpp"
#include "core/base/text.hpp"

namespace cloudos::labels {

namespace {

// The syntax and character set of labels in the Kubernetes documentation.
constexpr std::size_t longest = 63, longest_prefix = 253;

bool alphanumeric(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 && static_cast<unsigned char>(c) < 0x80; }
bool in_value(char c) { return alphanumeric(c) || c == '-' || c == '_' || c == '.'; }

// Cut to 63 characters, without what may not stand at an end.
std::string trimmed(std::string text) {
  if (text.size() > longest) text.resize(longest);
  while (!text.empty() && !alphanumeric(text.back())) text.pop_back();
  const auto first = std::ranges::find_if(text, alphanumeric);
  text.erase(text.begin(), first);
  return text;
}

bool is_dns_prefix(std::string_view text) {
  if (text.empty() || text.size() > longest_prefix) return false;
  return std::ranges::all_of(split(text, '.'), [](const std::string& part) {
    const auto fine = [](char c) { return (alphanumeric(c) && std::isupper(static_cast<unsigned char>(c)) == 0) || c == '-'; };
    return !part.empty() && part.front() != '-' && part.back() != '-' && std::ranges::all_of(part, fine);
  });
}

}  // namespace

std::string value_of(std::string_view text) {
  std::string out;
  bool blank = false;
  for (const char c : text) {
    if (c == ' ' || c == '\t') {
      blank = !out.empty();
    } else if (in_value(c)) {
      if (blank) out += '-';
      blank = false;
      out += c;
    }
  }
  return trimmed(std::move(out));
}

std::string version_value(std::string_view text) {
  std::string out(text);
  std::ranges::replace_if(out, [](char c) { return !in_value(c); }, '_');
  return trimmed(std::move(out));
}

bool is_value(std::string_view text) {
  if (text.empty()) return true;
  return text.size() <= longest && alphanumeric(text.front()) && alphanumeric(text.back()) && std::ranges::all_of(text, in_value);
}

bool is_name(std::string_view text) {
  const auto slash = text.find('/');
  const auto name = slash == std::string_view::npos ? text : text.substr(slash + 1);
  return !name.empty() && is_value(name) && (slash == std::string_view::npos || is_dns_prefix(text.substr(0, slash)));
}

void add(Labels& labels, std::string name, std::string value) {
  if (is_name(name) && is_value(value)) labels[std::move(name)] = std::move(value);
}

std::string write_names(const std::set<std::string>& names) { return join(std::vector<std::string>(names.begin(), names.end()), ","); }

std::set<std::string> read_names(std::string_view text) {
  std::set<std::string> out;
  for (auto& name : split(text, ',')) {
    if (is_name(name)) out.insert(std::move(name));
  }
  return out;
}

}  // namespace cloudos::labels
