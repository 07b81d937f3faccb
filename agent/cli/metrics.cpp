#include "agent/cli/metrics.hpp"

#include <CLI/CLI.hpp>
#include <memory>

#include "agent/cli/answer.hpp"
#include "agent/metrics/metrics.hpp"

namespace cloudos::agent {
namespace {

struct Flags {
  std::string root = "/", procfs = "/proc", sysfs = "/sys";
};

Status print(const Flags& flags) {
  metrics::Collectors collectors({.roots = {.root = flags.root, .procfs = flags.procfs, .sysfs = flags.sysfs, .devfs = "/dev"}});
  return say(collectors.render({}));
}

}  // namespace

void add_metrics(CLI::App& app, int& status) {
  const auto flags = std::make_shared<Flags>();
  auto* command = app.add_subcommand("metrics", "What this machine's agent serves at /metrics, but for what only its daemon knows");
  command->add_option("--root", flags->root, "Where /etc, /run and what is mounted are");
  command->add_option("--procfs", flags->procfs, "Where /proc is");
  command->add_option("--sysfs", flags->sysfs, "Where /sys is");
  command->callback([flags, &status] { status = tell(print(*flags)); });
}

}  // namespace cloudos::agent
