#include "installer/cli/tree.hpp"

namespace cloudos::cli {

namespace {

CommandEntry entry_of(const CLI::App& app, std::vector<std::string> path) {
  CommandEntry entry{.path = std::move(path), .description = app.get_description(), .footer = app.get_footer()};
  for (const auto* option : app.get_options()) {
    if (option->get_lnames().empty() && option->get_snames().empty()) {
      entry.arguments.push_back(option->get_required() ? option->get_name(true) : "[" + option->get_name(true) + "]");
      continue;
    }
    entry.flags.push_back({.long_name = option->get_lnames().empty() ? "" : option->get_lnames().front(),
                           .short_name = option->get_snames().empty() ? "" : option->get_snames().front(),
                           .description = option->get_description(),
                           .group = option->get_group(),
                           .takes_value = option->get_items_expected_max() > 0});
  }
  for (const auto* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (command->get_group().empty()) continue;  // hidden
    auto below = entry.path;
    below.push_back(command->get_name());
    entry.commands.push_back(entry_of(*command, std::move(below)));
  }
  return entry;
}

}  // namespace

CommandEntry tree_of(const CLI::App& app) { return entry_of(app, {app.get_name()}); }

}  // namespace cloudos::cli
