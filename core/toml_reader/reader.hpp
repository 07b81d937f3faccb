// core/toml_reader: TOML files of people, read key by key with all mistakes collected: each with line and column, what was found, what
// is allowed and the nearest name. Not here: what the keys mean (installer/config, agent/settings, core/join_file).
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/os/toml/toml.hpp"
#include "core/toml_reader/finding.hpp"

namespace cloudos::toml_reader {

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

class TableReader;
// Whether a syntax error is told in the words of toml++, which may quote the file; not where it holds secrets.
enum class Words { told, withheld };
// Gives the document's root to `read`, unless the text is not TOML, which is one finding then. Never an exception.
void read_document(std::string_view text, std::string_view name, Located& findings, const std::function<void(TableReader&)>& read,
                   Words words = Words::told);

// One table of the document: typed access by key; what does not fit becomes a finding, and the value is then absent.
class TableReader {
 public:
  // `path` is the table's name in findings, "" for the root. Both references outlive the reader.
  TableReader(const toml::table& table, std::string path, Located& findings) : table_(table), path_(std::move(path)), findings_(findings) {}

  // A finding for each key that is not among `known`, with the nearest name.
  void only(std::span<const std::string_view> known);
  [[nodiscard]] bool has(std::string_view key) const { return table_.contains(key); }
  // One line; "" is a finding unless it is `empty_too`.
  [[nodiscard]] Maybe<std::string> text(std::string_view key, bool empty_too = false);
  [[nodiscard]] Maybe<bool> flag(std::string_view key);
  [[nodiscard]] Maybe<std::int64_t> integer(std::string_view key, std::int64_t min, std::int64_t max);
  [[nodiscard]] const toml::table* table(std::string_view key);
  [[nodiscard]] const toml::array* array(std::string_view key);

  void refuse(std::string_view key, std::string code, std::string message, std::string remedy);
  // A key as findings name it, and its position; of "", the table's own.
  [[nodiscard]] std::string name(std::string_view key) const;
  [[nodiscard]] toml::source_position at(std::string_view key) const;
  [[nodiscard]] const toml::table& node() const { return table_; }
  [[nodiscard]] Located& findings() const { return findings_; }
  // `remedy` "": how such a value is written.
  void wrong_type(std::string_view key, const toml::node& found, std::string_view wanted, std::string remedy = {});

 private:
  const toml::table& table_;
  std::string path_;
  Located& findings_;
};

[[nodiscard]] std::string_view type_name(const toml::node& node);
// A text as a TOML file has it: in quotes, on one line.
[[nodiscard]] std::string in_quotes(std::string_view text);

}  // namespace cloudos::toml_reader
