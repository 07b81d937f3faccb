#pragma once

#include <CLI/CLI.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace cloudos::cli {

// The command line as data: what completions and the manual page are made from, so that they cannot fall behind it.
struct FlagEntry {
  std::string long_name, short_name;  // without dashes, "" when it has none
  std::string description, group;
  bool takes_value = false;
};
struct CommandEntry {
  std::vector<std::string> path;  // {"cloudos", "bundle", "build"}
  std::string description, footer;
  std::vector<FlagEntry> flags;
  std::vector<std::string> arguments;  // names of positional ones, in brackets when they may be left out
  std::vector<CommandEntry> commands;
};
[[nodiscard]] CommandEntry tree_of(const CLI::App& app);

// Scripts for the shells; "shell" is bash, zsh or fish.
[[nodiscard]] std::string completion_script(const CommandEntry& root, std::string_view shell);
// A manual page in man(7).
[[nodiscard]] std::string man_page(const CommandEntry& root, std::string_view version);

}  // namespace cloudos::cli
