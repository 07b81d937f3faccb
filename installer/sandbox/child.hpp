// Work in a child process: for what must not change this process (namespaces, control groups), and machines that outlive it.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "core/base/argv.hpp"
#include "core/base/result.hpp"

namespace cloudos::sandbox {

// Runs `work` in a forked child and gives what it gave. No other thread may be running that holds a lock `work` needs. When
// this process is killed or interrupted, the child still ends its work, and until then holds the file locks of this process:
// whoever comes next waits for it, and never meets half-made things that still change.
[[nodiscard]] Result<std::string> in_child(const std::function<Result<std::string>()>& work);

// For work that has nothing to say but how it went.
[[nodiscard]] inline Result<std::string> done(Status status) {
  return std::move(status).transform([] { return std::string{}; });
}

struct Daemon {
  std::function<Status()> prepare;  // runs in the new process before the program takes over; its error is launch()'s
  Argv command;
  std::map<std::string, std::string> environment = {};  // added to this process's
  std::string log;                                      // standard output and error, appended
  std::optional<int> again_on = {};                     // the exit status at which it is started anew
};
// Starts a program that outlives this process: own session, standard input from /dev/null, no other descriptor inherited. A
// process of this program stays as its parent. Returns once it runs. Errors: io, or those of `prepare`.
[[nodiscard]] Status launch(const Daemon& daemon);

// In a child: joins a network namespace of ip-netns(8).
[[nodiscard]] Status enter_network(const std::string& network_namespace);
// In a child: a mount namespace of its own, from which nothing comes back to the host's and which goes with its processes.
[[nodiscard]] Status private_mounts();

}  // namespace cloudos::sandbox
