#include "agent/cli/settings.hpp"

#include <CLI/CLI.hpp>
#include <memory>

#include "agent/cli/answer.hpp"
#include "agent/settings/settings.hpp"
#include "core/model/paths.hpp"

namespace cloudos::agent {
namespace {

struct Flags {
  std::string file = paths::agent_config;
  bool defaults = false;
};

Status show(const Flags& flags) {
  if (flags.defaults) return say(settings::commented_defaults());
  CLOUDOS_ASSIGN(const auto read, settings::read(flags.file));
  return say(settings::print(read));
}

}  // namespace

void add_settings(CLI::App& app, int& status) {
  const auto flags = std::make_shared<Flags>();
  auto* command = app.add_subcommand("settings", "Checks the agent's settings and prints what they are");
  auto* file = command->add_option("--file", flags->file, "Where they are, instead of " + flags->file);
  command->add_flag("--defaults", flags->defaults, "Only the file as it is laid down: every key with its default")->excludes(file);
  command->callback([flags, &status] { status = tell(show(*flags)); });
}

}  // namespace cloudos::agent
