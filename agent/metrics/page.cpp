#include "agent/metrics/page.hpp"

#include <array>
#include <charconv>
#include <cmath>

#include "core/base/utf8.hpp"

namespace cloudos::metrics {
namespace {

template <class Number>
void append_number(std::string& out, Number value) {
  std::array<char, 40> room{};
  const auto end = std::to_chars(room.data(), room.data() + room.size(), value).ptr;
  out.append(room.data(), end);
}

std::string_view word_of(Kind kind) {
  switch (kind) {
    case Kind::counter: return "counter";
    case Kind::gauge: return "gauge";
    case Kind::untyped: return "untyped";
  }
  return "untyped";
}

}  // namespace

void append_escaped(std::string& out, std::string_view value) {
  bool broken = false;
  while (!value.empty()) {
    const auto length = utf8_length(value);
    if (length == 0) {
      if (!broken) out += "\xEF\xBF\xBD";
      broken = true;
      value.remove_prefix(1);
      continue;
    }
    broken = false;
    if (value[0] == '\n') out += "\\n";
    else if (value[0] == '\\' || value[0] == '"') (out += '\\') += value[0];
    else out += value.substr(0, length);
    value.remove_prefix(length);
  }
}

Family::Family(std::string_view name, Kind kind, std::string_view help) : name_(name) {
  head_.append("# HELP ").append(name).append(" ").append(help);
  head_.append("\n# TYPE ").append(name).append(" ").append(word_of(kind)).append("\n");
}

void Family::add_labels(std::span<const Label> labels) {
  lines_ += name_;
  char before = '{';
  for (const auto& label : labels) {
    lines_ += before;
    lines_.append(label.name).append("=\"");
    append_escaped(lines_, label.value);
    lines_ += '"';
    before = ',';
  }
  lines_ += before == ',' ? "} " : " ";
}

void Family::add_double(double value, std::span<const Label> labels) {
  add_labels(labels);
  if (std::isnan(value)) lines_ += "NaN";
  else if (std::isinf(value)) lines_ += value > 0 ? "+Inf" : "-Inf";
  else append_number(lines_, value);
  lines_ += '\n';
}

void Family::add_signed(long long value, std::span<const Label> labels) {
  add_labels(labels);
  append_number(lines_, value);
  lines_ += '\n';
}

void Family::add_unsigned(unsigned long long value, std::span<const Label> labels) {
  add_labels(labels);
  append_number(lines_, value);
  lines_ += '\n';
}

Family& Page::family(std::string_view name, Kind kind, std::string_view help) {
  auto found = families_.find(name);
  if (found == families_.end()) found = families_.emplace(name, Family(name, kind, help)).first;
  return found->second;
}

std::string Page::text() const {
  std::size_t size = 0;
  for (const auto& [name, family] : families_)
    if (!family.lines_.empty()) size += family.head_.size() + family.lines_.size();
  std::string out;
  out.reserve(size);
  for (const auto& [name, family] : families_)
    if (!family.lines_.empty()) out.append(family.head_).append(family.lines_);
  return out;
}

void Page::clear() {
  for (auto& [name, family] : families_) family.lines_.clear();
}

}  // namespace cloudos::metrics
