// What one look at the machine gave. Detectors see only this: no file, no clock, no socket. What could not be read is
// absent, which is never taken for good news.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/facts/facts.hpp"
#include "agent/xid/xid.hpp"
#include "core/os/file/file.hpp"

namespace cloudos::health {

// A line of the kernel's log (/dev/kmsg, Documentation/ABI/testing/dev-kmsg).
struct KernelLine {
  int priority = 6;  // 0 emergency … 7 debug
  std::uint64_t sequence = 0;
  std::int64_t since_boot_us = 0;
  std::string text;
};

struct Sample {
  std::int64_t wall_ms = 0;       // CLOCK_REALTIME
  std::int64_t monotonic_ms = 0;  // CLOCK_BOOTTIME: what spans are measured with

  struct Clock {
    std::int64_t offset_us = 0;
    bool synchronised = false;
  };
  std::optional<Clock> clock;

  struct FileSystem {
    std::string path, device, type;
    bool read_only = false;
    Bytes total, free;  // 0 when it could not be asked
    std::uint64_t inodes_total = 0, inodes_free = 0;
  };
  std::optional<std::vector<FileSystem>> file_systems;
  std::map<std::string, std::int64_t> sync_p99_us;  // folder -> how long a small write takes to be durable

  struct Use {
    std::uint64_t used = 0, limit = 0;
  };
  std::optional<Use> pids, conntrack;

  struct Link {
    std::string name;
    bool carrier = false;
    std::string duplex;
    std::uint64_t carrier_changes = 0;
  };
  std::optional<std::vector<Link>> links;  // those with a device; pods' links come and go

  // Whether a service of the node answered a question that it must answer (CRI's Version, kubelet's /healthz).
  struct Service {
    std::string name;  // "containerd", "kubelet"
    bool answered = false;
    std::string reason;  // why not
  };
  std::vector<Service> services;

  struct Certificate {
    std::string path;
    std::int64_t expires_s = 0;  // seconds since the epoch
  };
  std::optional<std::vector<Certificate>> certificates;

  std::map<std::string, std::uint64_t> cpu_throttles;  // "package 0" -> times that it was too hot, since boot
  struct MemoryErrors {
    std::uint64_t corrected = 0, uncorrected = 0;
  };
  std::map<std::string, MemoryErrors> memory_errors;  // "mc0" -> since boot

  struct Gpu {
    std::string address, uuid;
    bool healthy = true;                     // fit to be given out, as agent/devices judges it
    std::string cause;                       // why it is not
    xid::Remedy remedy = xid::Remedy::none;  // what it takes until it is
    bool answered = false;                   // its driver answered for it: what follows is so
    bool too_hot = false;                    // slowed down for its temperature
    MemoryErrors errors;
  };
  // As agent/devices sees them. Nothing: nobody watches them, and the kernel's log alone tells of their trouble.
  std::optional<std::vector<Gpu>> gpus;

  std::uint64_t tainted = 0;                // /proc/sys/kernel/tainted (Documentation/admin-guide/tainted-kernels.rst)
  std::vector<KernelLine> kernel_lines;     // new ones since the last look
  std::map<std::string, std::string> pods;  // uid -> "namespace/name" of the pods of this node, as far as known
};

// Where a sample is read from. `space` asks a file system (statvfs); without it sizes stay 0.
struct Senses {
  facts::Roots roots;
  std::function<Result<os::Space>(const std::filesystem::path&)> space;
};

// Everything that files tell. Left to others: the times, the clock's offset, services, certificates, GPUs, durable
// writes and pods.
[[nodiscard]] Sample look(const Senses& senses);

// One record of /dev/kmsg: "6,1234,56789012,-;text" with continuation lines, which are dropped. Lines of another form (a
// plain log) become the text as it is.
[[nodiscard]] KernelLine parse_kernel_line(std::string_view record);

// New lines of the kernel's log.
class KernelLog {
 public:
  // `path` is /dev/kmsg, or a file of lines. Lines that are there already are given too: what happened since boot counts.
  static Result<KernelLog> open(const std::filesystem::path& path);
  // At most `most` lines that arrived since; none when there are none. Lines that were overwritten before they were read are
  // lost. Never waits. Errors: io.
  [[nodiscard]] Result<std::vector<KernelLine>> read(std::size_t most = 1000);

 private:
  explicit KernelLog(os::Fd fd) : fd_(std::move(fd)) {}
  os::Fd fd_;
  std::string rest_;  // of a file: the beginning of a line
};

}  // namespace cloudos::health
