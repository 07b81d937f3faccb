#include "core/toml_reader/reader.hpp"

#include <algorithm>
#include <format>
#include <sstream>

#include "core/base/text.hpp"

namespace cloudos::toml_reader {

namespace {

// TOML allows no control character but tab and line ends. toml++ 3.4 asserts on some of them where a key is expected, so
// they never reach it.
bool refuse_control_characters(std::string_view text, std::string_view name, Located& findings) {
  toml::source_position at{.line = 1, .column = 1};
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\t' && c != '\n' && c != '\r') || byte == 0x7F) {
      findings.add(at, "", "not-toml", std::format("found the control character 0x{:02x}", byte),
                   std::format("{} is a text file: leave it out", sanitise(name)));
      return true;
    }
    at = c == '\n' ? toml::source_position{.line = at.line + 1, .column = 1}
                   : toml::source_position{.line = at.line, .column = at.column + 1};
  }
  return false;
}

}  // namespace

Error as_error(const Findings& findings, std::string_view file) {
  std::string text = std::format("{} {} in {}", findings.size(), findings.size() == 1 ? "mistake" : "mistakes", file);
  for (const auto& finding : findings) text += std::format("\n  {}: {}; {}", finding.where, finding.message, finding.remedy);
  return {.kind = ErrorKind::input, .message = std::move(text)};
}

void read_document(std::string_view text, std::string_view name, Located& findings, const std::function<void(TableReader&)>& read,
                   Words words) {
  if (refuse_control_characters(text, name, findings)) return;
  try {
    const auto document = toml::parse(text, name);
    TableReader root(document, "", findings);
    read(root);
  } catch (const toml::parse_error& error) {
    findings.add(error.source().begin, "", "not-toml", words == Words::told ? sanitise(error.description()) : "this is not TOML",
                 "correct the line; TOML is described at https://toml.io");
  }
}

std::string_view type_name(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table: return "a table";
    case toml::node_type::array: return "an array";
    case toml::node_type::string: return "a string";
    case toml::node_type::integer: return "an integer";
    case toml::node_type::floating_point: return "a floating-point number";
    case toml::node_type::boolean: return "a boolean";
    case toml::node_type::date:
    case toml::node_type::time:
    case toml::node_type::date_time: return "a date or time";
    case toml::node_type::none: break;
  }
  return "nothing";
}

std::string in_quotes(std::string_view text) {
  std::ostringstream out;
  const toml::value<std::string> value(text);
  // Escapes, never literal or multi-line strings: one line a value.
  out << toml::toml_formatter(value, toml::format_flags::none);
  return out.str();
}

std::string Located::origin(toml::source_position at) const { return std::format("{}:{}:{}", file_, at.line, at.column); }

void Located::add(toml::source_position at, std::string_view key, std::string code, std::string message, std::string remedy) {
  auto where = origin(at);
  if (!key.empty()) where += " " + sanitise(key);
  items_.push_back({at, {model::Finding::Severity::error, std::move(code), std::move(where), std::move(message), std::move(remedy)}});
}

void Located::drain_into(Findings& findings) {
  std::ranges::stable_sort(items_, {}, [](const Item& item) { return std::pair(item.at.line, item.at.column); });
  for (auto& item : items_) findings.push_back(std::move(item.finding));
  items_.clear();
}

std::string TableReader::name(std::string_view key) const {
  if (path_.empty() || key.empty()) return path_ + std::string(key);
  return path_ + "." + std::string(key);
}

toml::source_position TableReader::at(std::string_view key) const {
  for (auto&& [k, node] : table_)
    if (k.str() == key) return k.source().begin;
  return table_.source().begin;
}

void TableReader::refuse(std::string_view key, std::string code, std::string message, std::string remedy) {
  findings_.add(at(key), name(key), std::move(code), std::move(message), std::move(remedy));
}

void TableReader::wrong_type(std::string_view key, const toml::node& found, std::string_view wanted, std::string remedy) {
  if (remedy.empty())
    remedy = wanted == "an integer" ? std::string("write the number without quotes")
                                    : std::format("write {} = {}", key,
                                                  wanted == "a string"    ? "\"…\""
                                                  : wanted == "an array"  ? "[…]"
                                                  : wanted == "a boolean" ? "true or false"
                                                                          : "{…}");
  refuse(key, "wrong-type", std::format("found {}, expected {}", type_name(found), wanted), std::move(remedy));
}

void TableReader::only(std::span<const std::string_view> known) {
  std::string allowed;
  for (const auto key : known) allowed += (allowed.empty() ? "" : ", ") + std::string(key);
  for (auto&& [key, node] : table_) {
    if (std::ranges::contains(known, key.str())) continue;
    const auto close = nearest(key.str(), known);
    findings_.add(key.source().begin, name(key.str()), "unknown-key",
                  std::format("unknown key '{}'{}", sanitise(key.str()), close.empty() ? "" : std::format("; did you mean '{}'?", close)),
                  "allowed here: " + allowed);
  }
}

Maybe<std::string> TableReader::text(std::string_view key, bool empty_too) {
  const auto* node = table_.get(key);
  if (!node) return std::nullopt;
  const auto* value = node->as_string();
  if (!value) {
    wrong_type(key, *node, "a string");
    return std::nullopt;
  }
  if (value->get().empty() && !empty_too) {
    refuse(key, "empty-value", "found an empty string", "leave the key out, or give it a value");
    return std::nullopt;
  }
  // Every text of this file is one line: names, addresses, paths.
  if (std::ranges::any_of(value->get(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; })) {
    refuse(key, "bad-character", "found a control character", "leave it out");
    return std::nullopt;
  }
  return Given<std::string>{value->get(), findings_.origin(at(key)), name(key)};
}

Maybe<bool> TableReader::flag(std::string_view key) {
  const auto* node = table_.get(key);
  if (!node) return std::nullopt;
  if (const auto* value = node->as_boolean()) return Given<bool>{value->get(), findings_.origin(at(key)), name(key)};
  wrong_type(key, *node, "a boolean");
  return std::nullopt;
}

Maybe<std::int64_t> TableReader::integer(std::string_view key, std::int64_t min, std::int64_t max) {
  const auto* node = table_.get(key);
  if (!node) return std::nullopt;
  const auto* value = node->as_integer();
  if (!value) {
    wrong_type(key, *node, "an integer");
    return std::nullopt;
  }
  if (value->get() < min || value->get() > max) {
    refuse(key, "out-of-range", std::format("found {}, expected a number from {} to {}", value->get(), min, max),
           std::format("write a number from {} to {}", min, max));
    return std::nullopt;
  }
  return Given<std::int64_t>{value->get(), findings_.origin(at(key)), name(key)};
}

const toml::table* TableReader::table(std::string_view key) {
  const auto* node = table_.get(key);
  if (!node) return nullptr;
  if (!node->is_table()) wrong_type(key, *node, "a table");
  return node->as_table();
}

const toml::array* TableReader::array(std::string_view key) {
  const auto* node = table_.get(key);
  if (!node) return nullptr;
  if (!node->is_array()) wrong_type(key, *node, "an array");
  return node->as_array();
}

}  // namespace cloudos::toml_reader
