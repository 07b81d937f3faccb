#include "agent/cli/metrics.hpp"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "agent/metrics/metrics.hpp"
#include "core/os/file/file.hpp"

namespace cloudos::agent {
namespace {

struct Flags {
  std::string root = "/", procfs = "/proc", sysfs = "/sys";
};

Status print(const Flags& flags) {
  metrics::Collectors collectors({.roots = {.root = flags.root, .procfs = flags.procfs, .sysfs = flags.sysfs, .devfs = "/dev"}});
  const auto text = collectors.render({});
  return os::write_all(STDOUT_FILENO, std::as_bytes(std::span(text)));
}

}  // namespace

void add_metrics(CLI::App& app, int& status) {
  const auto flags = std::make_shared<Flags>();
  auto* command = app.add_subcommand("metrics", "What this machine's agent serves at /metrics, but for what only its daemon knows");
  command->add_option("--root", flags->root, "Where /etc, /run and what is mounted are");
  command->add_option("--procfs", flags->procfs, "Where /proc is");
  command->add_option("--sysfs", flags->sysfs, "Where /sys is");
  command->callback([flags, &status] {
    const auto printed = print(*flags);
    status = printed ? 0 : exit_status(printed.error().kind);
    if (!printed) std::fprintf(stderr, "%s\n", printed.error().text().c_str());
  });
}

}  // namespace cloudos::agent
