// TOML tables read key by key, all mistakes collected. Private to this room.
#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/base/result.hpp"
#include "core/os/toml/toml.hpp"

namespace cloudos::images {

// All that is wrong with one file, in the order of its lines.
class Mistakes {
 public:
  explicit Mistakes(std::filesystem::path file) : file_(std::move(file)) {}
  void add(const toml::source_position& at, const std::string& what) { found_.insert({{at.line, at.column}, what}); }
  // Errors: input.
  [[nodiscard]] Status status() const;

 private:
  std::filesystem::path file_;
  std::multimap<std::pair<std::uint32_t, std::uint32_t>, std::string> found_;
};

[[nodiscard]] Result<toml::table> parse_toml(const std::filesystem::path& file);

enum class Need { required, optional };

// One table. Ask for each key, then call done(): what was not asked for is unknown.
class Fields {
 public:
  // `where` names the table in messages ("go.etcd"); "" for the root.
  Fields(const toml::table& table, std::string where, Mistakes& mistakes) : table_(table), where_(std::move(where)), mistakes_(mistakes) {}

  std::string text(std::string_view key, Need need = Need::required);
  std::vector<std::string> texts(std::string_view key, Need need = Need::optional);
  std::map<std::string, std::string> text_map(std::string_view key, Need need = Need::optional);
  std::map<std::string, unsigned> mode_map(std::string_view key);
  bool flag(std::string_view key, bool otherwise);
  std::int64_t number(std::string_view key, std::int64_t otherwise, std::int64_t min, std::int64_t max);
  // The tables of an array of tables, or the subtables of a table by name.
  std::vector<const toml::table*> tables(std::string_view key);
  std::vector<std::pair<std::string, const toml::table*>> named_tables(std::string_view key);

  void mistake(std::string_view key, const std::string& what);
  void done();

 private:
  const toml::node* find(std::string_view key, Need need);
  void wrong_type(std::string_view key, const toml::node& found, std::string_view wanted);

  const toml::table& table_;
  std::string where_;
  Mistakes& mistakes_;
  std::set<std::string, std::less<>> asked_ = {};
};

}  // namespace cloudos::images
