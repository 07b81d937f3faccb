#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace cloudos::cli {

// How a result is to look.
struct Look {
  std::size_t width = 0;  // columns of the terminal; 0: as wide as it comes, for files and pipes
  bool colour = false;
};
// Of standard output as it is now.
[[nodiscard]] Look look_of_stdout();

enum class Tone { plain, good, bad, warning, strong, faint };
// `text` in that tone where there is colour, else as it is.
[[nodiscard]] std::string toned(std::string_view text, Tone tone, const Look& look);

struct Cell {
  std::string text;
  Tone tone = Tone::plain;
};
struct Column {
  std::string title;
  int spare = 0;  // 0: always shown; else the columns with the highest numbers go first when the terminal is narrow
};
// A heading, then a line a row; columns as wide as their widest cell, two spaces between. Text from outside is made safe for
// a terminal. Rows may be shorter than `columns`; no title at all: no heading.
[[nodiscard]] std::string table(const std::vector<Column>& columns, const std::vector<std::vector<Cell>>& rows, const Look& look);

// Text from outside as one line that is safe for a terminal.
[[nodiscard]] std::string one_line(std::string_view text);

}  // namespace cloudos::cli
