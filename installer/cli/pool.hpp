#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/units.hpp"

namespace cloudos::cli {

// What `cloudos-agent query pool` tells, and how it looks.
struct PoolSum {
  std::int64_t cpu_m = 0, gpu = 0, pods = 0;  // cpu in thousandths of a core
  Bytes memory, disk;
};
struct PoolNode {
  std::string name, role, address, version, reason, created;  // created: RFC 3339
  bool ready = false, schedulable = true;
  std::vector<std::string> conditions;
  PoolSum allocatable, requested;
};
struct Pool {
  std::int64_t nodes = 0, ready = 0, pods_waiting = 0;
  PoolSum allocatable, requested;
  std::vector<PoolNode> list;
};
// Errors: failed (not what the agent speaks).
[[nodiscard]] Result<Pool> decode_pool(std::string_view json);

// The pool as one computer, then a line a node, masters first. `now`: for the nodes' ages.
[[nodiscard]] std::string print(const Pool& pool, std::string_view cluster, std::chrono::system_clock::time_point now);

}  // namespace cloudos::cli
