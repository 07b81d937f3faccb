// core/plan: facts and config in, plan out, for the installer and for a machine that joins by itself. Pure: no clock, no randomness, no
// environment, no I/O; equal inputs give equal plans and findings. Here: preflight (what is wrong, on all machines at once), the plan, and
// its printed form.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/model/model.hpp"

namespace cloudos::plan {

// One machine as it was seen over its connection.
struct Seen {
  model::HostFacts facts;
  Milliseconds clock_offset{0};  // machine minus installer, measured at the middle of the round trip
  Milliseconds round_trip{0};
};

// What vouches for the bundle, so that a node can pass it on to machines that join by themselves: bundle.json, its signature, and
// the public keys that it may be signed with, all as their files have them. Empty for a bundle that nobody vouches for.
struct Vouched {
  std::string json, minisig;
  std::map<std::string, std::string> keys;  // key id as minisign prints it -> text of the .pub file
};

struct Input {
  model::ClusterConfig config;
  std::map<MachineId, Seen> machines;      // those that answered
  std::map<MachineId, Error> unreachable;  // those that did not, and why
  std::vector<model::Reach> reach;         // who reaches whom; may be empty
  model::BundleIndex bundle;
  Digest bundle_digest;
  Vouched vouched;
  std::map<Digest, std::string> manifests;  // the bundle's manifest blobs, read
  std::map<MachineId, Bytes> missing;       // bytes of the bundle that each machine still has to receive
  std::string cluster_id;                   // of a cluster that exists, or the one to give to a new one
};

// Everything that is wrong or odd, on all machines and between them, each with its remedy. Errors mean: change nothing.
[[nodiscard]] std::vector<model::Finding> preflight(const Input& input);
// The plan for the machines that answered. Call it only when preflight found no error.
[[nodiscard]] model::Plan make_plan(const Input& input);
// A machine that joins a cluster by itself, as a worker: what it knows of the cluster, and what it is.
struct Joiner {
  model::ClusterConfig config;  // the cluster's
  std::string cluster_id;
  std::vector<std::string> masters;           // "10.0.0.1:6443"
  std::string address;                        // its own, from which it reaches the cluster
  std::map<std::string, std::string> labels;  // that its kubelet registers with
  Seen seen;
  model::BundleIndex bundle;
  Digest bundle_digest;
  Vouched vouched;
  Bytes missing;  // of the bundle, still to be fetched
};
// preflight() and make_plan() of that one machine: the same checks and the same steps, less those that are done on a master.
[[nodiscard]] std::vector<model::Finding> join_preflight(const Joiner& joiner);
[[nodiscard]] model::Plan join_plan(const Joiner& joiner);
// By machine and phase, what and why: for --dry-run.
[[nodiscard]] std::string print(const model::Plan& plan);

}  // namespace cloudos::plan
