// installer/driver: carries a plan out. It connects to all machines side by side, lays the agent down, gathers what the plan
// needs to know, moves the blobs, runs the stages in the order of their dependencies, takes runs up again after a lost
// connection, and takes back what was done. Here: the order of work and what happens when something breaks. Not here:
// what is to be done (plan), how it looks (report), how bytes travel (ssh).
//
// Nothing here prints. Work is told as events, from several threads; `Setting::emit` must bear that.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "core/base/log.hpp"
#include "core/model/model.hpp"
#include "core/plan/plan.hpp"
#include "images/bundle.hpp"
#include "installer/ssh/transport.hpp"

namespace cloudos::driver {

// Opens a new connection to a machine; called from several threads. A machine may get two: one for control, one for bytes.
using Connect = std::function<Result<std::unique_ptr<ssh::Transport>>(const model::MachineConfig&)>;
using Emit = std::function<void(const model::Event&)>;

// How long things may take. The defaults are for real machines, slow ones too.
struct Timing {
  Milliseconds question{60'000};      // facts, store missing, queries
  Milliseconds upload{1'800'000};     // the agent
  Milliseconds stage{7'200'000};      // one stage; its steps have limits of their own
  Milliseconds transfer{86'400'000};  // all of a machine's blobs
  Milliseconds lost_after{90'000};    // without a connection for so long: the machine is given up for this run
  Milliseconds retry_first{300};      // doubles up to retry_most
  Milliseconds retry_most{8'000};
};

struct Setting {
  Connect connect;
  Emit emit;
  Log* log = nullptr;      // never null in use; outlives the work
  std::string holder;      // "ops@laptop": for the lock's message
  std::stop_token stop{};  // once requested nothing new is started
  Timing timing{};
};

// A machine and our connections to it. One thread at a time.
class Machine {
 public:
  Machine(model::MachineConfig config, const Setting& setting) : config_(std::move(config)), setting_(&setting) {}

  [[nodiscard]] const model::MachineConfig& config() const { return config_; }
  [[nodiscard]] const MachineId& id() const { return config_.id; }
  // Where the agent of this run lies: ".../agent/<digest12>/bin/cloudos-agent", or the current one's path on day 2.
  std::string agent = paths::agent;
  bool uploaded = false;  // by this run

  // Connects unless there is a connection.
  [[nodiscard]] Status connect();
  // One command over the control connection; a lost connection is an error and closes it.
  [[nodiscard]] Result<ssh::RemoteExit> run(const Argv& argv, ssh::Streams streams, Deadline deadline);
  // Asks the agent something that changes nothing, again over a new connection when the first was lost; gives stdout.
  // Errors: those of the connection, or failed with the agent's own words.
  [[nodiscard]] Result<std::string> ask(std::vector<std::string> words, const std::string& input = {});
  // A command that must succeed; gives stdout.
  [[nodiscard]] Result<std::string> must(const Argv& argv);
  void close();

 private:
  model::MachineConfig config_;
  const Setting* setting_;
  std::unique_ptr<ssh::Transport> control_;
};

// A blob that a machine lacks, and how much of it is there already.
struct MissingBlob {
  Digest digest;
  std::uint64_t offset = 0, size = 0;
  bool operator==(const MissingBlob&) const = default;
};

// The machines as they were found.
struct Survey {
  std::vector<std::unique_ptr<Machine>> machines;  // those that answered, in the config's order
  std::map<MachineId, plan::Seen> seen;
  std::map<MachineId, Error> unreachable;  // no connection: a later run may take them up
  std::vector<model::Finding> findings;    // reached, but refused: host key, login, sudo, a broken agent
  std::vector<model::Reach> reach;
  std::map<MachineId, std::vector<MissingBlob>> missing;
  std::optional<model::ClusterConfig> wanted;  // what the cluster that they are in holds, where there is one and it answers
};
// Connects, uploads the agent where this bundle's is not there yet, asks for facts, reach and missing blobs: all machines
// side by side. The only thing that it leaves on a machine is the agent's folder.
[[nodiscard]] Survey survey(const model::ClusterConfig& config, const images::Bundle& bundle, const Setting& setting);
// Connects to the machines, nothing more: for day 2, where the agent is there.
[[nodiscard]] Survey connect_all(const std::vector<model::MachineConfig>& machines, const Setting& setting);
// Takes away the agents that this run uploaded: after a refusal, a dry run or a "no" the machines are as they were.
void remove_uploaded(Survey& survey, const Setting& setting);
// The blobs of the bundle that a machine of this role may come to need.
[[nodiscard]] std::vector<Digest> blobs_for(const model::BundleIndex& index, model::Role role);

enum class StageState { waiting, running, done, failed, skipped };
struct StageEnd {
  StageId id;
  MachineId machine;
  StageState state = StageState::waiting;
  std::string reason;  // why it was skipped or failed
};
struct Outcome {
  std::vector<StageEnd> stages;        // in the plan's order
  std::vector<model::Event> failures;  // step_failed events, one for each stage that failed
  std::uint64_t applied = 0, satisfied = 0;
  std::set<MachineId> lost;  // the connection went and did not come back
  bool stopped = false;      // by the stop token, with stages left
  [[nodiscard]] bool ok() const { return failures.empty() && !stopped; }
};
// Runs the plan. A stage that fails takes those that need it with it; everything else goes on.
[[nodiscard]] Outcome execute(const model::Plan& plan, Survey& survey, const images::Bundle& bundle, const Setting& setting);

// Makes the secrets that a plan names, in memory only. Errors: failed (a name that nobody knows).
[[nodiscard]] Result<std::map<std::string, Secret>> make_secrets(const std::vector<std::string>& names);

// How taking everything back went on one machine: the journal in reverse, the agent's folder last.
struct Undone {
  MachineId machine;
  std::string node;  // the name it had in the cluster, "" when it was in none
  bool nothing_here = false;
  std::vector<std::string> residue;  // what is left, in words
  std::optional<Error> error;
  [[nodiscard]] bool clean() const { return !error && residue.empty(); }
};
// Nodes side by side, then masters: all at once when the whole cluster goes, else one after the other, so that etcd keeps
// its quorum.
[[nodiscard]] std::vector<Undone> undo_all(Survey& survey, bool whole_cluster, const Setting& setting);
// Tells a cluster, over one of its masters, that these nodes are gone and what is wanted from now on.
[[nodiscard]] Status forget_nodes(const std::vector<std::string>& nodes, const model::ClusterConfig& remaining, const Setting& setting);

// The first answer, in the config's order, of `cloudos-agent WORDS…` on a master; all masters are asked side by side.
// Errors: that of the masters, with what each said.
struct MasterAnswer {
  model::MachineConfig master;
  std::string text;
};
[[nodiscard]] Result<MasterAnswer> ask_masters(const model::ClusterConfig& config, const std::vector<std::string>& words,
                                               const Setting& setting);

// `cloudos-agent WORDS…` on one master, once, whatever becomes of the connection: the first, in the config's order, that can be
// reached and does not refuse. What it prints reaches no error and no log. Errors: network (none is reached), refused, input
// and failed (the agent's own words).
[[nodiscard]] Result<Secret> tell_master(const model::ClusterConfig& config, const std::vector<std::string>& words, const Setting& setting);

// Runs `work` for each index below `count`, each in a thread of its own, and waits for all.
void side_by_side(std::size_t count, const std::function<void(std::size_t)>& work);

}  // namespace cloudos::driver
