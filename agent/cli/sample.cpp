#include "agent/cli/sample.hpp"

#include <CLI/CLI.hpp>
#include <memory>

#include "agent/cli/answer.hpp"
#include "agent/usage/usage.hpp"

namespace cloudos::agent {
namespace {

struct Flags {
  std::string root = "/", procfs = "/proc", sysfs = "/sys", devfs = "/dev", nvml;
  double span = 1;
};

Status sample(const Flags& flags) {
  const facts::Roots roots{.root = flags.root, .procfs = flags.procfs, .sysfs = flags.sysfs, .devfs = flags.devfs};
  CLOUDOS_ASSIGN(const auto facts, facts::gather(roots));
  CLOUDOS_ASSIGN(
      const auto used,
      usage::take(facts, {.roots = roots, .span = Milliseconds(static_cast<std::int64_t>(flags.span * 1000)), .nvml = flags.nvml}));
  return say(model::encode_usage(used) + "\n");
}

}  // namespace

void add_sample(CLI::App& app, int& status) {
  const auto flags = std::make_shared<Flags>();
  auto* command = app.add_subcommand("sample", "What this machine uses now, as one line of JSON");
  command->add_option("--root", flags->root, "Where /etc, /var and /run are");
  command->add_option("--procfs", flags->procfs, "Where /proc is");
  command->add_option("--sysfs", flags->sysfs, "Where /sys is");
  command->add_option("--devfs", flags->devfs, "Where /dev is");
  command->add_option("--nvml", flags->nvml, "NVIDIA's library, when it is not where drivers have it");
  command->add_option("--over", flags->span, "Seconds over which CPU time is counted")->check(CLI::Range(0.1, 60.0));
  command->callback([flags, &status] { status = tell(sample(*flags)); });
}

}  // namespace cloudos::agent
