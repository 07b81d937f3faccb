// agent/labels: what a machine is, as labels that workloads already select on: those of node-feature-discovery and of
// NVIDIA's GPU feature discovery (documented names and values), AMD's and Intel's for their GPUs. And when to change them:
// only on a change, and a label is only taken away when what it says is known to be gone. Pure: facts in, labels out; nothing
// here speaks to an API server.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>

#include "core/model/facts.hpp"

namespace cloudos::labels {

using Labels = std::map<std::string, std::string>;

enum class MigStrategy { none, single, mixed };

// How GPUs are offered: what the device plugin is told too.
struct Sharing {
  MigStrategy mig = MigStrategy::none;
  int replicas = 1;  // time slices of a GPU, at least 1
};

struct Found {
  Labels labels;
  // Groups of labels that could not be looked at this time, by the beginning of their names: what is on the node stays.
  std::set<std::string> unknown;
};

// The labels of a machine. Values are valid (see value_of), names that would not be are left out.
[[nodiscard]] Found find(const model::HostFacts& facts, const Sharing& sharing = {});

// Text as a label's value, as GPU feature discovery does it: characters that a label cannot have go, blanks become "-", at
// most 63 characters, beginning and ending with a letter or digit. "" when nothing is left.
[[nodiscard]] std::string value_of(std::string_view text);
// As node-feature-discovery does it with versions: each such character becomes "_".
[[nodiscard]] std::string version_value(std::string_view text);
[[nodiscard]] bool is_value(std::string_view text);
[[nodiscard]] bool is_name(std::string_view text);  // "prefix/name", as Kubernetes wants a label's key

// What has to be remembered from one look to the next. `ours` outlives restarts (the agent keeps it in an annotation); the
// rest begins anew, which only keeps labels longer.
struct Memory {
  std::set<std::string> ours;         // labels that we put onto the node
  std::map<std::string, int> absent;  // looks in a row that knew of no such thing
};

struct Change {
  Labels set;
  std::set<std::string> remove;
  [[nodiscard]] bool empty() const { return set.empty() && remove.empty(); }
};

// How many looks in a row must find a thing gone before its label goes.
constexpr int looks_until_gone = 3;

// What to change on a node that has `on_node` now, after a look that gave `found`; `memory` is brought up to date. A label
// that we did not put there is never removed; it is overwritten when it says otherwise than what was found. A label of a
// group that is unknown stays, and its count of absences with it.
[[nodiscard]] Change merge(const Found& found, const Labels& on_node, Memory& memory);

// Memory::ours as an annotation's text and back: names with commas between. Names that are none are left out.
[[nodiscard]] std::string write_names(const std::set<std::string>& names);
[[nodiscard]] std::set<std::string> read_names(std::string_view text);

}  // namespace cloudos::labels
