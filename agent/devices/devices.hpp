// agent/devices: the GPUs of this node offered to workloads, as kubelet's device plugin API v1beta1 wants it (Kubernetes
// documentation, "Device Plugins"): NVIDIA's through their library, AMD's and Intel's from sysfs, under the resource names
// that the vendors' own plugins use. What a container gets stands in CDI specs that are written here. Also here: which GPU
// is fit to be given out, and what is known of each, so that nobody else need ask a driver: the node's conditions, labels and
// metrics of GPUs are made of that, elsewhere.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/loop/loop.hpp"
#include "agent/nvml/nvml.hpp"
#include "agent/xid/xid.hpp"
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

// A GPU as it was last seen. What its driver does not tell is empty.
struct CardState {
  std::string uuid;                        // "" for those of AMD and Intel
  std::string address;                     // PCI bus: "0000:18:00.0"
  std::string vendor;                      // "nvidia", "amd", "intel"
  std::string model;                       // "" for those of AMD and Intel: agent/facts knows it
  bool healthy = true;                     // fit to be given out
  std::string cause;                       // why it is not; of one that is fit again, what had been
  xid::Remedy remedy = xid::Remedy::none;  // what it takes until it is
  bool answered = false;                   // its driver answered for it at the last look; else all below but the Xid is empty
  std::optional<std::uint64_t> last_xid;   // since the plugin was started
  bool too_hot = false;                    // it slows itself down for its heat
  std::optional<unsigned> temperature;     // °C
  std::optional<std::uint64_t> power;      // mW
  std::optional<unsigned> busy;            // percent
  std::optional<Bytes> memory_total, memory_used;
  std::optional<std::uint64_t> ecc_corrected, ecc_uncorrected;  // since the driver was loaded
  std::vector<std::string> throttle;                            // what slows it down, as nvml::throttle_reasons() says it
  bool operator==(const CardState&) const = default;
};

// Of what is offered under a resource's name.
struct Counts {
  std::uint64_t healthy = 0, unhealthy = 0;
  bool operator==(const Counts&) const = default;
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

  // Every GPU that was looked at so far, NVIDIA's first. From memory: nothing is asked, nothing waits.
  [[nodiscard]] std::vector<CardState> cards() const;
  // By resource name: its devices, or shares of them.
  [[nodiscard]] std::map<std::string, Counts> offered() const;
  // NVIDIA's GPUs as they were last counted; a driver that does not answer now does not make them go. Errors: io or failed, why
  // there are none: no driver has answered yet.
  [[nodiscard]] Result<nvml::Inventory> inventory() const;

 private:
  struct State;
  explicit Plugin(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace cloudos::devices
