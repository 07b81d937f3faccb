#include "images/fields.hpp"

#include <format>

#include "core/base/text.hpp"
#include "core/os/file/file.hpp"

namespace cloudos::images {

namespace {

std::string_view type_name(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table: return "a table";
    case toml::node_type::array: return "a list";
    case toml::node_type::string: return "a string";
    case toml::node_type::integer: return "a number";
    case toml::node_type::floating_point: return "a fraction";
    case toml::node_type::boolean: return "true or false";
    default: return "a date or time";
  }
}

}  // namespace

Status Mistakes::status() const {
  if (found_.empty()) return {};
  std::string text;
  for (const auto& [at, what] : found_) text += std::format("\n  {}:{}:{}: {}", file_.string(), at.first, at.second, what);
  return fail(ErrorKind::input,
              std::format("{} {} in {}{}", found_.size(), found_.size() == 1 ? "mistake" : "mistakes", file_.string(), text));
}

Result<toml::table> parse_toml(const std::filesystem::path& file) {
  CLOUDOS_ASSIGN(const auto text, os::read(file));
  try {
    return toml::parse(text, file.string());
  } catch (const toml::parse_error& error) {
    return fail(ErrorKind::input, std::format("{}:{}:{}: {}", file.string(), error.source().begin.line, error.source().begin.column,
                                              sanitise(error.description())));
  }
}

const toml::node* Fields::find(std::string_view key, Need need) {
  asked_.emplace(key);
  const auto* node = table_.get(key);
  if (node == nullptr && need == Need::required)
    mistakes_.add(table_.source().begin, std::format("{}: '{}' is missing", where_.empty() ? "the recipe" : where_, key));
  return node;
}

void Fields::mistake(std::string_view key, const std::string& what) {
  const auto* node = table_.get(key);
  mistakes_.add(node != nullptr ? node->source().begin : table_.source().begin,
                std::format("{}{}{}: {}", where_, where_.empty() ? "" : ".", sanitise(key), what));
}

void Fields::wrong_type(std::string_view key, const toml::node& found, std::string_view wanted) {
  mistake(key, std::format("expected {}, found {}", wanted, type_name(found)));
}

std::string Fields::text(std::string_view key, Need need) {
  const auto* node = find(key, need);
  if (node == nullptr) return {};
  if (const auto* value = node->as_string()) return value->get();
  wrong_type(key, *node, "a string");
  return {};
}

std::vector<std::string> Fields::texts(std::string_view key, Need need) {
  const auto* node = find(key, need);
  if (node == nullptr) return {};
  const auto* array = node->as_array();
  if (array == nullptr) {
    wrong_type(key, *node, "a list of strings");
    return {};
  }
  std::vector<std::string> out;
  for (const auto& item : *array) {
    if (const auto* value = item.as_string()) out.push_back(value->get());
    else wrong_type(key, item, "a list of strings");
  }
  return out;
}

std::map<std::string, std::string> Fields::text_map(std::string_view key, Need need) {
  const auto* node = find(key, need);
  if (node == nullptr) return {};
  const auto* table = node->as_table();
  if (table == nullptr) {
    wrong_type(key, *node, "a table of strings");
    return {};
  }
  std::map<std::string, std::string> out;
  for (const auto& [name, item] : *table) {
    if (const auto* value = item.as_string()) out.emplace(name.str(), value->get());
    else wrong_type(key, item, "a table of strings");
  }
  return out;
}

std::map<std::string, unsigned> Fields::mode_map(std::string_view key) {
  const auto* node = find(key, Need::optional);
  if (node == nullptr) return {};
  const auto* table = node->as_table();
  if (table == nullptr) {
    wrong_type(key, *node, "a table of modes");
    return {};
  }
  std::map<std::string, unsigned> out;
  for (const auto& [name, item] : *table) {
    const auto* value = item.as_integer();
    if (value != nullptr && value->get() >= 0 && value->get() <= 01777) out.emplace(name.str(), static_cast<unsigned>(value->get()));
    else mistake(key, std::format("the mode of '{}' is one from 0o0 to 0o1777", sanitise(name.str())));
  }
  return out;
}

bool Fields::flag(std::string_view key, bool otherwise) {
  const auto* node = find(key, Need::optional);
  if (node == nullptr) return otherwise;
  if (const auto* value = node->as_boolean()) return value->get();
  wrong_type(key, *node, "true or false");
  return otherwise;
}

std::int64_t Fields::number(std::string_view key, std::int64_t otherwise, std::int64_t min, std::int64_t max) {
  const auto* node = find(key, Need::optional);
  if (node == nullptr) return otherwise;
  const auto* value = node->as_integer();
  if (value != nullptr && value->get() >= min && value->get() <= max) return value->get();
  if (value == nullptr) wrong_type(key, *node, "a number");
  else mistake(key, std::format("expected a number from {} to {}, found {}", min, max, value->get()));
  return otherwise;
}

std::vector<const toml::table*> Fields::tables(std::string_view key) {
  const auto* node = find(key, Need::optional);
  if (node == nullptr) return {};
  std::vector<const toml::table*> out;
  if (const auto* array = node->as_array()) {
    for (const auto& item : *array) {
      if (const auto* table = item.as_table()) out.push_back(table);
      else wrong_type(key, item, "a list of tables");
    }
  } else {
    wrong_type(key, *node, "a list of tables");
  }
  return out;
}

std::vector<std::pair<std::string, const toml::table*>> Fields::named_tables(std::string_view key) {
  const auto* node = find(key, Need::optional);
  if (node == nullptr) return {};
  std::vector<std::pair<std::string, const toml::table*>> out;
  if (const auto* parent = node->as_table()) {
    for (const auto& [name, item] : *parent) {
      if (const auto* table = item.as_table()) out.emplace_back(std::string(name.str()), table);
      else wrong_type(key, item, "tables");
    }
  } else {
    wrong_type(key, *node, "tables");
  }
  return out;
}

void Fields::done() {
  const std::vector<std::string_view> known(asked_.begin(), asked_.end());
  for (const auto& [key, node] : table_) {
    if (asked_.contains(key.str())) continue;
    const auto meant = nearest(key.str(), known);
    mistakes_.add(key.source().begin, std::format("{}{}unknown key '{}'{}", where_, where_.empty() ? "" : ": ", sanitise(key.str()),
                                                  meant.empty() ? "" : std::format("; did you mean '{}'?", meant)));
  }
}

}  // namespace cloudos::images
