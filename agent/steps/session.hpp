// One walk over steps: what the actions share while it lasts. Values and secrets in memory, the commands that are run, what
// was already asked of containerd and the API, and the journal's past.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/steps/environment.hpp"
#include "agent/steps/journal.hpp"
#include "agent/store/store.hpp"
#include "core/model/model.hpp"

namespace cloudos::steps {

using Undo = std::map<std::string, std::string>;

// What a check found. It reads only.
struct Check {
  enum class State { satisfied, needed, conflict };
  State state = State::satisfied;
  std::string text;  // the difference, or why it cannot be

  static Check satisfied() { return {}; }
  static Check needed(std::string difference) { return {.state = State::needed, .text = std::move(difference)}; }
  static Check conflict(std::string reason) { return {.state = State::conflict, .text = std::move(reason)}; }
};

struct KubeObjects;  // cluster.hpp
struct ImageList;    // images.cpp

class Session {
 public:
  Session(Environment& environment, const model::ApplyRequest& request, const Journal& journal);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  Environment& env;
  const model::ApplyRequest& request;
  const Journal& journal;
  store::Store store;

  // The step at work, and whether its apply has just been done (a check is then a verification).
  model::Step const* step = nullptr;
  bool verifying = false;
  std::map<std::string, std::string> outputs;                             // of this step
  std::function<void(std::uint64_t done, std::uint64_t total)> progress;  // may be called from several threads
  std::function<void(std::string)> note;                                  // a line for people

  [[nodiscard]] fs::path at(std::string_view path) const { return env.at(path); }

  // The text with its ${secret:NAME} and ${value:NAME} put in. Errors: input (an unknown name).
  [[nodiscard]] Result<std::string> resolve(std::string_view text) const;
  // The text with every secret's value turned back into ${secret:NAME}.
  [[nodiscard]] std::string redact(std::string_view text) const;
  [[nodiscard]] const Secret* secret(const std::string& name) const;
  void output(const std::string& name, std::string value);

  // Runs a program of ours or the host's, PATH beginning with our binaries. Anything but exit 0 is an error, and is kept
  // in `failed_command` with its last lines, redacted. Gives stdout.
  struct Call {
    ByteSource input = no_bytes();
    Milliseconds limit{120'000};
    std::map<std::string, std::string> environment = {};
  };
  [[nodiscard]] Result<std::string> command(const Argv& argv, Call call);
  [[nodiscard]] Result<std::string> command(const Argv& argv) { return command(argv, Call{}); }
  // As command(), for calls whose failure is an answer: the output, whatever the exit.
  [[nodiscard]] Result<os::Output> ask(const Argv& argv, Call call);
  // command() and ask() for kubectl. An API server that does not answer for a moment (it starts, its etcd elects a leader or
  // is still a learner, the balancer has just lost it) is asked again until env.api_patience is over: each of our calls may
  // be repeated.
  [[nodiscard]] Result<std::string> kube(const Argv& argv, Milliseconds limit = Milliseconds{60'000}, const std::string& input = {});
  [[nodiscard]] Result<os::Output> kube_ask(const Argv& argv, Milliseconds limit, const std::string& input = {});
  // kubectl with the first of admin.conf and kubelet.conf that is here.
  [[nodiscard]] Argv kubectl(std::initializer_list<std::string> words) const;
  [[nodiscard]] Argv ctr(std::initializer_list<std::string> words) const;
  [[nodiscard]] Argv kubeadm(std::initializer_list<std::string> words) const;

  struct FailedCommand {
    std::string command, exit;
    std::vector<std::string> lines;
  };
  std::optional<FailedCommand> failed_command;

  // Answers that stay good until something is applied that may change them.
  std::unique_ptr<KubeObjects> objects;
  std::unique_ptr<ImageList> images;
  void forget();

 private:
  [[nodiscard]] Result<std::string> stdout_of(const Argv& argv, Result<os::Output> output);
  std::map<std::string, std::string> values_;
};

// Whether kubectl's words tell of an API server that may answer in a moment.
[[nodiscard]] bool may_pass(std::string_view kubectl_error);

}  // namespace cloudos::steps
