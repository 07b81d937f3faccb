#include "core/base/dns.hpp"

#include <algorithm>
#include <format>

#include "core/base/text.hpp"

namespace cloudos {

std::string why_not_dns_label(std::string_view text) {
  if (text.empty()) return "is empty";
  for (const char c : text) {
    if (c >= 'A' && c <= 'Z') return std::format("has an upper-case letter ('{}')", c);
    if (c == '_') return "has an underscore";
    if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-')
      return std::format("has a character that no host name may have ({})",
                         static_cast<unsigned char>(c) < 0x80 && c > ' ' ? std::format("'{}'", c)
                                                                         : std::format("byte 0x{:02x}", static_cast<unsigned char>(c)));
  }
  if (text.front() == '-' || text.back() == '-') return "begins or ends with '-'";
  if (text.size() > 63) return std::format("has {} characters where at most 63 are allowed", text.size());
  return {};
}

std::string why_not_dns_name(std::string_view text) {
  if (text.size() > 253) return std::format("has {} characters where at most 253 are allowed", text.size());
  for (const auto& label : split(text, '.'))
    if (auto why = why_not_dns_label(label); !why.empty()) return label.empty() && !text.empty() ? "has an empty part between dots" : why;
  return {};
}

namespace {

bool is_label_word(std::string_view text) {
  const auto alphanumeric = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); };
  return !text.empty() && text.size() <= 63 && alphanumeric(text.front()) && alphanumeric(text.back()) &&
         std::ranges::all_of(text, [&](char c) { return alphanumeric(c) || c == '-' || c == '_' || c == '.'; });
}

}  // namespace

bool is_label_key(std::string_view text) {
  const auto slash = text.find('/');
  if (slash == std::string_view::npos) return is_label_word(text);
  return why_not_dns_name(text.substr(0, slash)).empty() && is_label_word(text.substr(slash + 1));
}

bool is_label_value(std::string_view text) { return text.empty() || is_label_word(text); }

}  // namespace cloudos
