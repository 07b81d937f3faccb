// agent/nvml: what NVIDIA's management library says of this machine's GPUs, as typed answers. The library is the driver's
// and is opened when it is there (dlopen(3)), so the agent needs nothing of NVIDIA's to build or start, and a driver that is
// installed later is found later. Not here: what a GPU's state means for workloads (agent/devices).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/base/units.hpp"

namespace cloudos::nvml {

// A slice of a GPU that is in MIG mode (NVIDIA Multi-Instance GPU user guide).
struct MigInstance {
  std::string uuid;     // "MIG-…"
  std::string profile;  // "1g.10gb", "1c.3g.40gb"
  unsigned gpu_instance = 0, compute_instance = 0;
  Bytes memory;
  unsigned multiprocessors = 0, gpu_slices = 0, compute_slices = 0;
  unsigned copy_engines = 0, decoders = 0, encoders = 0, jpeg_engines = 0, ofa_engines = 0;
  bool operator==(const MigInstance&) const = default;
};

// What stays as it is until a driver is loaded anew or MIG is set up differently.
struct Gpu {
  std::string uuid;     // "GPU-…"
  std::string name;     // "NVIDIA H100 80GB HBM3"
  std::string pci_bus;  // as sysfs names it: "0000:18:00.0"
  unsigned minor = 0;   // of /dev/nvidiaN
  Bytes memory;
  int compute_major = 0, compute_minor = 0;  // 0: not told
  bool mig_capable = false, mig_enabled = false;
  std::vector<MigInstance> instances;
  std::vector<std::string> linked;  // what its active NVLinks lead to: GPUs by PCI bus, and "fabric" for NVSwitches; sorted
  bool operator==(const Gpu&) const = default;
};

// What the driver wants done with a GPU (nvml.h, nvmlDeviceGpuRecoveryAction_t).
enum class Recovery { none = 0, reset = 1, reboot = 2, drain_p2p = 3, drain_and_reset = 4 };

// What changes from moment to moment. What a GPU does not tell is empty.
struct Reading {
  std::string uuid;
  std::optional<Error> error;  // it does not answer; nothing else is set then
  bool lost = false;           // it has fallen off the bus
  bool reset_required = false;
  std::optional<Recovery> recovery;           // by drivers since 570
  std::optional<unsigned> temperature;        // °C
  std::optional<unsigned> power;              // mW
  std::optional<unsigned> busy, memory_busy;  // percent of the last sample period
  std::optional<Bytes> memory_used, memory_free;
  std::optional<std::uint64_t> ecc_corrected, ecc_uncorrected;  // since the driver was loaded
  bool remap_pending = false;                                   // rows of memory wait for a reset to be replaced
  bool remap_failed = false;                                    // there was no spare row left
  std::optional<std::uint64_t> throttle;                        // throttle_reasons() names the bits
};

// A GPU's own error report (NVIDIA, "Xid Errors").
struct Xid {
  std::string uuid;  // of the GPU
  std::uint64_t number = 0;
  std::optional<unsigned> gpu_instance;  // of the MIG instance that it is about, when it is about one
  bool operator==(const Xid&) const = default;
};

struct Inventory {
  std::string driver;  // "570.86.15"
  int cuda_major = 0, cuda_minor = 0;
  std::vector<Gpu> gpus;
  bool operator==(const Inventory&) const = default;
};

// "power cap", "thermal (hardware)" …, those that slow the GPU down; idling and clocks that somebody set do not count.
[[nodiscard]] std::vector<std::string> throttle_reasons(std::uint64_t bits);

// Whether one of them is heat.
[[nodiscard]] bool slowed_by_heat(std::uint64_t bits);

// "00000000:18:00.0" as sysfs has it: "0000:18:00.0" (four digits of domain, or eight when it needs them; lower case).
[[nodiscard]] std::string sysfs_bus(std::string_view bus);

// The opened library. One thread at a time; calls may block for as long as the driver does.
class Library {
 public:
  // Opens and initialises. `path`: the file, or empty for libnvidia-ml.so.1 from where the loader and drivers' installers
  // have it. Errors: io, retryable: the library is not there, or its driver is not loaded.
  static Result<Library> open(const std::filesystem::path& path);
  ~Library();
  Library(Library&&) noexcept;
  Library& operator=(Library&&) noexcept;

  // The folder that the library was found in: the driver's other libraries lie beside it.
  [[nodiscard]] const std::filesystem::path& folder() const;
  // Errors: failed. A GPU that is lost already is left out, with its error among `skipped` if that is given.
  [[nodiscard]] Result<Inventory> inventory(std::vector<std::string>* skipped = nullptr);
  // One reading a GPU of the last inventory, in its order.
  [[nodiscard]] std::vector<Reading> readings();
  // Waits up to `span` for the next Xid of a GPU of the last inventory. Nothing: none came. Errors: failed, when GPUs or the
  // driver report no events; then nobody waited.
  [[nodiscard]] Result<std::optional<Xid>> wait(Milliseconds span);

 private:
  struct State;
  explicit Library(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace cloudos::nvml
