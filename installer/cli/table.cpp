#include "installer/cli/table.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <format>
#include <numeric>

#include "core/base/text.hpp"
#include "installer/report/report.hpp"

namespace cloudos::cli {

namespace {

// A code point counts as a column.
std::size_t columns_of(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

constexpr std::size_t gap = 2;

struct Layout {
  std::vector<std::size_t> shown;   // columns, by index
  std::vector<std::size_t> widths;  // of every column
};

Layout lay_out(const std::vector<Column>& columns, const std::vector<std::vector<Cell>>& rows, std::size_t limit) {
  Layout layout;
  layout.shown.resize(columns.size());
  std::iota(layout.shown.begin(), layout.shown.end(), 0UZ);
  for (std::size_t i = 0; i < columns.size(); ++i) {
    auto width = columns_of(columns[i].title);
    for (const auto& row : rows)
      if (i < row.size()) width = std::max(width, columns_of(row[i].text));
    layout.widths.push_back(width);
  }
  const auto total = [&] {
    std::size_t sum = 0;
    for (const auto i : layout.shown) sum += layout.widths[i] + gap;
    return sum - std::min(sum, gap);
  };
  while (limit > 0 && total() > limit) {
    const auto last = std::ranges::max_element(layout.shown, {}, [&](std::size_t i) { return columns[i].spare; });
    if (last == layout.shown.end() || columns[*last].spare == 0) break;
    layout.shown.erase(last);
  }
  return layout;
}

std::string line_of(const std::vector<Cell>& row, const Layout& layout, const Look& look) {
  std::string line, blanks;
  for (const auto i : layout.shown) {
    const auto& cell = i < row.size() ? row[i] : Cell{};
    if (!cell.text.empty()) line += blanks + toned(cell.text, cell.tone, look), blanks.clear();
    blanks.append(layout.widths[i] - columns_of(cell.text) + gap, ' ');
  }
  return line + '\n';
}

}  // namespace

Look look_of_stdout() {
  winsize size{};
  const bool known = report::is_terminal(stdout) && ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0;
  return {.width = known ? size.ws_col : 0UZ, .colour = report::wants_colour(stdout)};
}

std::string toned(std::string_view text, Tone tone, const Look& look) {
  if (!look.colour || tone == Tone::plain || text.empty()) return std::string(text);
  const auto code = [&] {
    switch (tone) {
      case Tone::good: return "32";
      case Tone::bad: return "1;31";
      case Tone::warning: return "33";
      case Tone::strong: return "1";
      default: return "2";
    }
  }();
  return std::format("\x1b[{}m{}\x1b[0m", code, text);
}

std::string one_line(std::string_view text) {
  auto out = sanitise(text);
  std::ranges::replace_if(out, [](char c) { return c == '\n' || c == '\t'; }, ' ');
  out.resize(out.find_last_not_of(' ') + 1);
  return out;
}

std::string table(const std::vector<Column>& columns, const std::vector<std::vector<Cell>>& rows, const Look& look) {
  std::vector<std::vector<Cell>> safe;
  for (const auto& row : rows) {
    auto& out = safe.emplace_back();
    for (const auto& cell : row) out.push_back({.text = one_line(cell.text), .tone = cell.tone});
  }
  const auto layout = lay_out(columns, safe, look.width);
  std::string out;
  std::vector<Cell> heading;
  for (const auto& column : columns) heading.push_back({.text = column.title, .tone = Tone::faint});
  if (std::ranges::any_of(columns, [](const Column& column) { return !column.title.empty(); })) out += line_of(heading, layout, look);
  for (const auto& row : safe) out += line_of(row, layout, look);
  return out;
}

}  // namespace cloudos::cli
