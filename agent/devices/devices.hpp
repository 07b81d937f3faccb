// agent/devices: the GPUs of this node offered to workloads, as kubelet's device plugin API v1beta1 wants it (Kubernetes
// documentation, "Device Plugins"): NVIDIA's through their library, AMD's and Intel's from sysfs, under the resource names
// that the vendors' own plugins use. What a container gets stands in CDI specs that are written here. Also here: which GPU
// is fit to be given out. Not here: labels and metrics of GPUs, the node's conditions (they are told what changed).
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/loop/loop.hpp"
#include "core/base/log.hpp"
#include "core/base/units.hpp"

namespace cloudos::devices {

// How GPUs in MIG mode are offered; the words of NVIDIA's plugin.
enum class MigStrategy {
  none,    // as if they were whole
  single,  // every instance is a nvidia.com/gpu; for nodes where all GPUs have the same instances
  mixed,   // each kind of instance is a resource of its own, nvidia.com/mig-1g.10gb
};

struct Timing {
  Milliseconds probe{10'000};       // between two looks at the GPUs
  Milliseconds recover{30'000};     // a GPU that was unfit must be well for so long; doubles with each relapse
  Milliseconds longest{1'800'000};  // at most
  Milliseconds relapse{3'600'000};  // falling ill again within this is a relapse
  Milliseconds unreset{
      600'000};  // instead of `recover` after an Xid that asks for a reset, when the driver cannot say whether there was one
  Milliseconds silence{60'000};  // a driver that has not come back for so long hangs
};

// A device that became fit or unfit: the one cause for the device's state, the node's condition, the event and the metric.
struct Change {
  std::string card;  // UUID, or PCI bus for AMD and Intel
  bool healthy = false;
  std::string cause;  // "Xid 79: the GPU has fallen off the bus"; of a recovery, what had been
};

struct Options {
  std::filesystem::path devfs = "/dev", sysfs = "/sys", procfs = "/proc";
  std::filesystem::path plugins = "/var/lib/kubelet/device-plugins";
  std::filesystem::path cdi = "/var/run/cdi";
  std::filesystem::path nvml = {};  // the library's file; empty: where drivers have it
  MigStrategy mig = MigStrategy::none;
  // By resource name: each device is offered so many times (time slicing; nothing keeps the takers apart).
  std::map<std::string, unsigned> replicas = {};
  bool rename_shared = false;  // "nvidia.com/gpu.shared" for what is offered several times
  Timing timing = {};
  std::function<void(const Change&)> on_change = [](const Change&) {};
};

// "none", "single", "mixed". Errors: input.
[[nodiscard]] Result<MigStrategy> parse_mig_strategy(std::string_view text);
// "nvidia.com/gpu=4": a resource and how often each device of it is offered (2 to 64). Errors: input.
[[nodiscard]] Result<std::pair<std::string, unsigned>> parse_replicas(std::string_view text);

// What there is and how it would be offered, as one line of JSON, without offering it: NVIDIA's inventory and readings, and
// for each vendor its resources. What cannot be asked is in "errors".
[[nodiscard]] std::string describe(const Options& options);

// Serves on the loop for as long as it lives. Neither kubelet nor a GPU nor a driver needs to be there at its start.
class Plugin {
 public:
  // `loop` and `log` outlive the plugin. Errors: io.
  static Result<Plugin> start(loop::Loop& loop, Options options, Log& log);
  ~Plugin();
  Plugin(Plugin&&) noexcept;
  Plugin& operator=(Plugin&&) noexcept;

 private:
  struct State;
  explicit Plugin(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace cloudos::devices
