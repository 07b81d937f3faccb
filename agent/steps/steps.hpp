// agent/steps: the hands. Takes a list of steps and walks it: check, write the intent and its undo into the journal,
// apply, verify; or walks the journal backwards and scans for what is left. Here: how each action of core/model/plan.hpp
// is done on a machine, the journal, the events of a run, and what a master can tell about the pool. Not here: what is to
// be done (core/plan), what the machine is (agent/facts), the command line (agent/cli).
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "agent/steps/environment.hpp"
#include "core/model/model.hpp"

namespace cloudos::steps {

// Where the events of a run go. An error ends the run.
using EventSink = std::function<Status(const model::Event&)>;

// Walks the steps of the request in this process, under the machine's lock (an earlier holder is waited for, and a note
// says so). Emits everything from run_started to run_done or run_failed, numbered from 1. Gives whether it ended well;
// an error is only what kept it from telling (the event sink failed).
[[nodiscard]] Result<bool> apply(const model::ApplyRequest& request, Environment& environment, const EventSink& sink);

struct UndoOptions {
  // The whole cluster goes: a master does not take itself out of etcd first.
  bool whole_cluster = false;
};
// Walks the journal back, removes what Kubernetes and containerd made, then scans for what is left; each thing left is a
// finding event. Gives whether the machine is clean. Safe to run again after it was killed.
[[nodiscard]] Result<bool> undo(Environment& environment, const UndoOptions& options, const EventSink& sink);

// On a master: "pool" | "nodes" | "wanted" | "kubeconfig". One line of JSON, or admin.conf's text for "kubeconfig".
// Errors: usage (unknown subject), refused (not a master), failed (the API does not answer).
[[nodiscard]] Result<std::string> query(std::string_view subject, Environment& environment);

// On a master: everything that the cluster knows of one node, by its name or its address, as node_of() gives it. Errors: query's.
[[nodiscard]] Result<std::string> query_node(const std::string& name, Environment& environment);

// The JSON of query pool out of `kubectl get nodes,pods -A -o json`. Pure. Errors: input.
[[nodiscard]] Result<std::string> pool_of(std::string_view text);
// The name of the node that a name or an address means, "" when there is none. `nodes`: `kubectl get nodes -o json`.
[[nodiscard]] Result<std::string> name_of_node(std::string_view nodes, std::string_view word);
// The JSON of query node: "nodes" (all names) and, when there is one called `name`, "node" (its line of the pool),
// "conditions", "labels", "taints", "phases" (pods by phase), "runtime" and "events" (the last ten). `pods` and `events` are
// those of that node, as kubectl's lists. Pure. Errors: input.
[[nodiscard]] Result<std::string> node_of(std::string_view nodes, std::string_view name, std::string_view pods, std::string_view events);

}  // namespace cloudos::steps
