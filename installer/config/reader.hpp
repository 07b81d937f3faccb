#pragma once

#include <span>
#include <string>
#include <string_view>

#include "core/os/toml/toml.hpp"
#include "installer/config/draft.hpp"

namespace cloudos::config {

// Findings with their position in the file, so that they can be shown in the order of its lines.
class Located {
 public:
  explicit Located(std::string file) : file_(std::move(file)) {}
  void add(toml::source_position at, std::string_view key, std::string code, std::string message, std::string remedy);
  [[nodiscard]] std::string origin(toml::source_position at) const;
  void drain_into(Findings& findings);

 private:
  struct Item {
    toml::source_position at{};
    model::Finding finding;
  };
  std::string file_;
  std::vector<Item> items_;
};

// One table of the document: typed access by key; what does not fit becomes a finding, and the value is then absent.
class TableReader {
 public:
  // `path` is the table's name in findings, "" for the root. Both references outlive the reader.
  TableReader(const toml::table& table, std::string path, Located& findings) : table_(table), path_(std::move(path)), findings_(findings) {}

  // A finding for each key that is not among `known`, with the nearest name.
  void only(std::span<const std::string_view> known);
  [[nodiscard]] bool has(std::string_view key) const { return table_.contains(key); }
  [[nodiscard]] Maybe<std::string> text(std::string_view key);
  [[nodiscard]] Maybe<std::int64_t> integer(std::string_view key, std::int64_t min, std::int64_t max);
  [[nodiscard]] const toml::table* table(std::string_view key);
  [[nodiscard]] const toml::array* array(std::string_view key);

  void refuse(std::string_view key, std::string code, std::string message, std::string remedy);
  // A key as findings name it, and its position; of "", the table's own.
  [[nodiscard]] std::string name(std::string_view key) const;
  [[nodiscard]] toml::source_position at(std::string_view key) const;

 private:
  void wrong_type(std::string_view key, const toml::node& found, std::string_view wanted);

  const toml::table& table_;
  std::string path_;
  Located& findings_;
};

[[nodiscard]] std::string_view type_name(const toml::node& node);

}  // namespace cloudos::config
