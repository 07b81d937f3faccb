// agent/join: a machine that has nothing but the agent and a join file becomes a worker of that cluster by itself: asks the stores
// that the file names for the cluster and for what it lacks, believes nothing that is not pinned or signed, plans with core/plan
// and applies with agent/steps. Here: the way from the file to a node that is Ready, once; whatever cuts it off, the next run goes
// on. Not here: the steps themselves, what stores serve (agent/supply), who is let in (agent/admit).
#pragma once

#include <filesystem>
#include <functional>
#include <stop_token>
#include <string>

#include "agent/steps/environment.hpp"
#include "core/base/log.hpp"
#include "core/base/result.hpp"
#include "core/model/paths.hpp"

namespace cloudos::joining {

struct Options {
  std::filesystem::path file = paths::join_file;
  Milliseconds network{120'000};  // how long to wait for a way to one of the stores
  Milliseconds clock{60'000};     // and for a clock that is far off to be set right
  Milliseconds pause{1'000};      // before a store that failed is asked again
  std::stop_token stop;
};

// How it tells what it is at: lines for the journal, and the one line that `systemctl status` shows.
struct Voice {
  Log& log;
  std::function<void(const std::string&)> status = [](const std::string&) {};
};

enum class Outcome {
  joined,  // now
  member,  // already: nothing was to be done
};
// Errors are of one line each. Those that may pass (network, timeout, io, failed) are worth another try; refused, trust and
// input are not: they say what must change first. Before the first step nothing on the machine is changed.
[[nodiscard]] Result<Outcome> join(const Options& options, steps::Environment& environment, const Voice& voice);

}  // namespace cloudos::joining
