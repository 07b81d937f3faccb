#include <data.hpp>
#include <format>

#include "agent/settings/duration.hpp"
#include "agent/settings/keys.hpp"
#include "core/toml_reader/reader.hpp"

namespace cloudos::settings {
namespace {

using toml_reader::in_quotes;

class Printer {
 public:
  void section(std::string_view name, const auto& keys_of) {
    out_ += std::format("{}[{}]\n", out_.empty() ? "" : "\n", name);
    keys_of(*this);
  }
  void flag(std::string_view key, bool value) { line(key, value ? "true" : "false"); }
  void number(std::string_view key, auto value, auto, auto) { line(key, std::format("{}", value)); }
  void count(std::string_view key, std::int64_t value, Microseconds unit, Microseconds, Microseconds) {
    line(key, in_quotes(duration_text(value * unit)));
  }
  void time(std::string_view key, Milliseconds value, Microseconds, Microseconds) { line(key, in_quotes(duration_text(value))); }
  void time_or_never(std::string_view key, Milliseconds value, Microseconds min, Microseconds max) { time(key, value, min, max); }
  void mig(std::string_view key, devices::MigStrategy value) {
    using enum devices::MigStrategy;
    line(key, in_quotes(value == single ? "single" : value == mixed ? "mixed" : "none"));
  }
  void shares(std::string_view key, const std::map<std::string, unsigned>& value) {
    std::string all;
    for (const auto& [resource, count] : value) all += std::format("{}{} = {}", all.empty() ? " " : ", ", in_quotes(resource), count);
    line(key, "{" + all + (all.empty() ? "}" : " }"));
  }
  void file(std::string_view key, const std::string& value) { line(key, in_quotes(value)); }
  void ordered(auto&&...) {}
  void differing(auto&&...) {}

  [[nodiscard]] std::string text() && { return std::move(out_); }

 private:
  void line(std::string_view key, std::string_view value) { out_ += std::format("{} = {}\n", key, value); }
  std::string out_;
};

}  // namespace

std::string print(const Settings& settings) {
  Printer printer;
  keys(printer, settings);
  return std::move(printer).text();
}

std::string_view commented_defaults() { return data::agent_toml; }

}  // namespace cloudos::settings
