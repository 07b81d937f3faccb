#include "agent/cli/settings.hpp"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "agent/settings/settings.hpp"
#include "core/model/paths.hpp"
#include "core/os/file/file.hpp"

namespace cloudos::agent {
namespace {

struct Flags {
  std::string file = paths::agent_config;
  bool defaults = false;
};

Status show(const Flags& flags) {
  if (flags.defaults) return os::write_all(STDOUT_FILENO, std::as_bytes(std::span(settings::commented_defaults())));
  CLOUDOS_ASSIGN(const auto read, settings::read(flags.file));
  const auto text = settings::print(read);
  return os::write_all(STDOUT_FILENO, std::as_bytes(std::span(text)));
}

}  // namespace

void add_settings(CLI::App& app, int& status) {
  const auto flags = std::make_shared<Flags>();
  auto* command = app.add_subcommand("settings", "Checks the agent's settings and prints what they are");
  auto* file = command->add_option("--file", flags->file, "Where they are, instead of " + flags->file);
  command->add_flag("--defaults", flags->defaults, "Only the file as it is laid down: every key with its default")->excludes(file);
  command->callback([flags, &status] {
    const auto shown = show(*flags);
    status = shown ? 0 : exit_status(shown.error().kind);
    if (!shown) std::fprintf(stderr, "%s\n", shown.error().text().c_str());
  });
}

}  // namespace cloudos::agent
