#include "agent/cli/devices.hpp"

#include <CLI/CLI.hpp>
#include <memory>

#include "agent/cli/answer.hpp"
#include "agent/settings/settings.hpp"
#include "core/model/paths.hpp"

namespace cloudos::agent {
namespace {

struct Flags {
  std::string devfs = "/dev", sysfs = "/sys", procfs = "/proc", nvml, file = paths::agent_config;
};

Status show(const Flags& flags) {
  CLOUDOS_ASSIGN(const auto settings, settings::read(flags.file));
  auto options = settings::offer_of(settings.gpus);
  options.devfs = flags.devfs;
  options.sysfs = flags.sysfs;
  options.procfs = flags.procfs;
  if (!flags.nvml.empty()) options.nvml = flags.nvml;
  return say(devices::describe(options) + "\n");
}

}  // namespace

void add_devices(CLI::App& app, int& status) {
  const auto flags = std::make_shared<Flags>();
  auto* command = app.add_subcommand("devices", "The GPUs of this machine and how they are offered to kubelet, as one line of JSON");
  command->add_option("--file", flags->file, "The agent's settings, instead of " + flags->file);
  command->add_option("--devfs", flags->devfs, "Where /dev is");
  command->add_option("--sysfs", flags->sysfs, "Where /sys is");
  command->add_option("--procfs", flags->procfs, "Where /proc is");
  command->add_option("--nvml", flags->nvml, "NVIDIA's library, when it is not where drivers have it");
  command->callback([flags, &status] { status = tell(show(*flags)); });
}

}  // namespace cloudos::agent
