// Inside agent/metrics: a page of the Prometheus text format, version 0.0.4. Lines of one name stand together however they come,
// and what was allocated for one page serves the next.
#pragma once

#include <concepts>
#include <initializer_list>
#include <map>
#include <span>
#include <string>
#include <string_view>

namespace cloudos::metrics {

enum class Kind { counter, gauge, untyped };

struct Label {
  std::string_view name, value;
};
using Labels = std::initializer_list<Label>;

// All lines of one name.
class Family {
 public:
  Family(std::string_view name, Kind kind, std::string_view help);
  void add(std::floating_point auto value, Labels labels = {}) { add_double(static_cast<double>(value), span(labels)); }
  void add(std::signed_integral auto value, Labels labels = {}) { add_signed(value, span(labels)); }
  void add(std::unsigned_integral auto value, Labels labels = {}) { add_unsigned(value, span(labels)); }
  // The value 1, of labels whose number is not known beforehand.
  void add_one(std::span<const Label> labels) { add_signed(1, labels); }

 private:
  friend class Page;
  static std::span<const Label> span(Labels labels) { return {labels.begin(), labels.size()}; }
  void add_double(double value, std::span<const Label> labels);
  void add_signed(long long value, std::span<const Label> labels);
  void add_unsigned(unsigned long long value, std::span<const Label> labels);
  void add_labels(std::span<const Label> labels);
  std::string name_, head_, lines_;
};

class Page {
 public:
  // The family of that name, made when it is asked for first; it stays where it is as long as the page.
  Family& family(std::string_view name, Kind kind, std::string_view help);
  Family& counter(std::string_view name, std::string_view help) { return family(name, Kind::counter, help); }
  Family& gauge(std::string_view name, std::string_view help) { return family(name, Kind::gauge, help); }
  // The families that have lines, by name.
  [[nodiscard]] std::string text() const;
  void clear();

 private:
  std::map<std::string, Family, std::less<>> families_;
};

// A label's value between its quotes: backslash, quote and newline escaped. Each run of bytes that is no UTF-8 becomes U+FFFD, as
// Go's strings.ToValidUTF8 has it: a scrape with any other byte is refused whole.
void append_escaped(std::string& out, std::string_view value);

}  // namespace cloudos::metrics
