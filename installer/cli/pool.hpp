#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/units.hpp"
#include "core/model/config.hpp"
#include "core/model/usage.hpp"
#include "installer/cli/table.hpp"

namespace cloudos::cli {

// What `cloudos-agent query pool` on a master tells and `cloudos-agent sample` on every machine, put together; how it looks.
struct PoolSum {
  std::int64_t cpu_m = 0, gpu = 0, pods = 0;  // cpu in thousandths of a core
  Bytes memory, disk;
};
struct PoolGpu {
  std::string resource, model;  // "nvidia.com/gpu", "NVIDIA H100 80GB HBM3" ("" while no label tells it)
  // `cards`: devices; the others count what kubelet offers of them, which is more when they are shared.
  std::int64_t cards = 0, capacity = 0, allocatable = 0, requested = 0;
};
struct PoolProblem {
  std::string type, reason, message, since;  // a node's condition that is bad news; since: RFC 3339
};
struct PoolNode {
  std::string name, role, address, version, reason, created;  // created: RFC 3339
  std::string os, kernel;
  bool ready = false, schedulable = true;
  std::vector<PoolProblem> problems;
  std::vector<PoolGpu> gpus;
  PoolSum allocatable, requested;
  std::optional<model::Usage> usage;  // what its machine says
  std::string no_usage;               // why it says nothing
};
struct Pool {
  std::int64_t nodes = 0, ready = 0, pods_waiting = 0;
  PoolSum allocatable, requested;
  std::vector<PoolNode> list;  // masters first, by name
};
// Errors: failed (not what the agent speaks).
[[nodiscard]] Result<Pool> decode_pool(std::string_view json);
// A node's part of it, and of what `query node` tells.
[[nodiscard]] Result<PoolNode> decode_pool_node(std::string_view json);

// The machine that a node runs on, by the name and the addresses that it was given; nullptr when none fits.
[[nodiscard]] const model::MachineConfig* machine_of(const PoolNode& node, const std::vector<model::MachineConfig>& machines);
// Puts what the machines said into the pool: by the name that a machine joined with. `said`: usage, or why there is none.
void add_usage(Pool& pool, const std::vector<model::MachineConfig>& machines, const std::map<MachineId, Result<model::Usage>>& said);

// What the nodes use together.
struct PoolUsage {
  std::int64_t nodes = 0;  // that said something
  std::int64_t cpu_m = 0;
  Bytes memory, memory_total, disk, disk_total;  // disk: of the file systems that hold pods' data
};
[[nodiscard]] PoolUsage usage_of(const Pool& pool);
// GPUs of one model that one resource offers, over all nodes; and those that no driver offers, by device.
struct PoolGpus {
  std::vector<PoolGpu> offered;
  std::map<std::string, std::int64_t> without_driver;  // "10de:2330" -> how many
};
[[nodiscard]] PoolGpus gpus_of(const Pool& pool);

// The master's JSON with each node's "usage" or "no_usage", and the pool's "usage" and "gpus".
[[nodiscard]] std::string with_usage(std::string_view json, const Pool& pool);

// The pool as one computer, then a line a node, then what is wrong. `now`: for the nodes' ages.
[[nodiscard]] std::string print(const Pool& pool, std::string_view cluster, std::chrono::system_clock::time_point now, const Look& look);

// How parts of it are put, here and for one node.
[[nodiscard]] std::string cores(std::int64_t thousandths);                                           // "2.5", "12", "0.04"
[[nodiscard]] std::string age_of(const std::string& at, std::chrono::system_clock::time_point now);  // "12d", "" of no time
[[nodiscard]] std::string offered_text(const PoolGpu& gpu);                             // "8 × H100: 3 of 7 in use, 1 unhealthy"
[[nodiscard]] std::string missing_text(const std::string& device, std::int64_t count);  // "8 × 10de:2330 present, driver missing"
[[nodiscard]] const model::Usage::FileSystem* pods_disk(const model::Usage& usage);     // nullptr: not known
// What is wrong with a node: a line each, with its name before.
[[nodiscard]] std::vector<std::string> complaints(const PoolNode& node, std::chrono::system_clock::time_point now);

}  // namespace cloudos::cli
