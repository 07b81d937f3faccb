#pragma once

#include "core/model/facts.hpp"
#include "installer/cli/pool.hpp"

namespace cloudos::cli {

// Everything about one node: what `cloudos-agent query node` on a master tells of it, and what its own machine says.
struct NodeCondition {
  std::string type, status, reason, message, since;  // since: RFC 3339
};
struct NodeEvent {
  std::string at, type, reason, message;  // at: RFC 3339; type: Normal, Warning
  std::int64_t count = 1;
};
struct Node {
  PoolNode line;  // as in the pool
  std::string runtime, architecture;
  std::vector<NodeCondition> conditions;
  std::map<std::string, std::string> labels;
  std::vector<std::string> taints;
  std::map<std::string, std::int64_t> phases;  // pods by phase: "Running" -> 12
  std::vector<NodeEvent> events;               // oldest first
  std::optional<model::HostFacts> facts;
  std::string no_facts;  // why there are none
};

// Errors: usage (the cluster has no such node; with the nearest name), failed (not what the agent speaks). `word`: what the
// operator wrote.
[[nodiscard]] Result<Node> decode_node(std::string_view json, std::string_view word);

// The master's JSON with the node's "usage" or "no_usage", and "facts" or "no_facts".
[[nodiscard]] std::string with_machine(std::string_view json, const Node& node);

[[nodiscard]] std::string print(const Node& node, std::chrono::system_clock::time_point now, const Look& look);

}  // namespace cloudos::cli
