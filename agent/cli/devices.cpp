#include "agent/cli/devices.hpp"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "agent/devices/devices.hpp"
#include "core/os/file/file.hpp"

namespace cloudos::agent {
namespace {

// Standard error, which systemd gives to the journal; "<4>" is its priority prefix (sd-daemon(3)).
class JournalLog final : public Log {
 public:
  void write(Level level, std::string_view line) override {
    std::fprintf(stderr, "%s%.*s\n", level >= Level::warning ? "<4>" : "<6>", static_cast<int>(line.size()), line.data());
  }
};

struct Flags {
  std::string devfs = "/dev", sysfs = "/sys", procfs = "/proc", plugins = "/var/lib/kubelet/device-plugins", cdi = "/var/run/cdi", nvml;
  std::string mig = "none";
  std::vector<std::string> shares;
  double probe = 10, recover = 30;
  bool list = false, rename_shared = false;
};

Milliseconds seconds(double count) { return Milliseconds(static_cast<std::int64_t>(count * 1000)); }

Result<devices::Options> options_of(const Flags& flags) {
  devices::Options out{.devfs = flags.devfs,
                       .sysfs = flags.sysfs,
                       .procfs = flags.procfs,
                       .plugins = flags.plugins,
                       .cdi = flags.cdi,
                       .nvml = flags.nvml,
                       .rename_shared = flags.rename_shared};
  CLOUDOS_ASSIGN(out.mig, devices::parse_mig_strategy(flags.mig));
  for (const auto& text : flags.shares) {
    CLOUDOS_ASSIGN(auto share, devices::parse_replicas(text));
    out.replicas.insert(std::move(share));
  }
  out.timing.probe = seconds(flags.probe);
  out.timing.recover = seconds(flags.recover);
  return out;
}

Status serve(const Flags& flags) {
  CLOUDOS_ASSIGN(auto options, options_of(flags));
  if (flags.list) {
    const auto line = devices::describe(options) + "\n";
    return os::write_all(STDOUT_FILENO, std::as_bytes(std::span(line)));
  }
  JournalLog log;
  CLOUDOS_ASSIGN(auto loop, loop::Loop::make());
  CLOUDOS_ASSIGN(const auto plugin, devices::Plugin::start(loop, std::move(options), log));
  return loop.run(true);
}

}  // namespace

void add_devices(CLI::App& app, int& status) {
  const auto flags = std::make_shared<Flags>();
  auto* command = app.add_subcommand("devices", "Offers this machine's GPUs to kubelet, until it is told to end");
  command->add_flag("--list", flags->list, "Only say what there is, as one line of JSON");
  command->add_option("--devfs", flags->devfs, "Where /dev is");
  command->add_option("--sysfs", flags->sysfs, "Where /sys is");
  command->add_option("--procfs", flags->procfs, "Where /proc is");
  command->add_option("--plugin-dir", flags->plugins, "kubelet's folder of device plugins");
  command->add_option("--cdi-dir", flags->cdi, "Where the container runtime reads CDI specs");
  command->add_option("--nvml", flags->nvml, "NVIDIA's library, when it is not where drivers have it");
  command->add_option("--mig-strategy", flags->mig, "none, single or mixed");
  command->add_option("--share", flags->shares, "RESOURCE=N: offers each device N times, as nvidia.com/gpu=4");
  command->add_flag("--rename-shared", flags->rename_shared, "Adds .shared to the names of shared resources");
  command->add_option("--probe", flags->probe, "Seconds between two looks at the GPUs")->check(CLI::Range(0.1, 600.0));
  command->add_option("--recover", flags->recover, "Seconds that a GPU must be well after it was not")->check(CLI::Range(0.1, 86400.0));
  command->callback([flags, &status] {
    const auto served = serve(*flags);
    status = served ? 0 : exit_status(served.error().kind);
    if (!served) std::fprintf(stderr, "%s\n", served.error().text().c_str());
  });
}

}  // namespace cloudos::agent
