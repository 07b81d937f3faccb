#include <format>

#include "core/base/text.hpp"
#include "installer/driver/driver.hpp"

namespace cloudos::driver {

Result<MasterAnswer> ask_masters(const model::ClusterConfig& config, const std::vector<std::string>& words, const Setting& setting) {
  const auto masters = config.masters();
  std::vector<Result<std::string>> answers(masters.size(), fail(ErrorKind::network, "not asked"));
  side_by_side(masters.size(), [&](std::size_t i) {
    Machine machine(*masters[i], setting);
    answers[i] = machine.ask(words);
  });
  std::string tried;
  ErrorKind kind = ErrorKind::network;
  std::string hint = "is the cluster installed, and is one of its masters up?";
  for (std::size_t i = 0; i < masters.size(); ++i) {
    if (answers[i]) return MasterAnswer{.master = *masters[i], .text = std::move(*answers[i])};
    tried += std::format("\n  {}: {}", masters[i]->id.value, answers[i].error().message);
    const auto& error = answers[i].error();
    if (error.kind == ErrorKind::network || error.kind == ErrorKind::timeout) continue;
    kind = error.kind;
    if (!error.hint.empty()) hint = error.hint;
  }
  return fail(kind, std::format("no master answers{}", tried), hint);
}

namespace {

// The agent's last lines: a sentence, and what to do next.
Error error_of(const ssh::RemoteExit& ended, const std::string& said, const MachineId& master) {
  const auto text = sanitise(trim(said));
  const auto end = text.find('\n');
  Error error{.kind = ErrorKind::failed, .message = text.substr(0, end), .context = {std::format("asking {}", master.value)}};
  if (end != std::string::npos) error.hint = text.substr(end + 1);
  if (error.message.empty())
    error.message =
        ended.code ? std::format("the agent ended with exit {}", *ended.code) : std::format("the agent was killed by SIG{}", ended.signal);
  if (ended.code == exit_status(ErrorKind::input)) error.kind = ErrorKind::input;
  if (ended.code == exit_status(ErrorKind::refused)) error.kind = ErrorKind::refused;
  return error;
}

}  // namespace

Result<Secret> tell_master(const model::ClusterConfig& config, const std::vector<std::string>& words, const Setting& setting) {
  Error last{.kind = ErrorKind::network, .message = "no master answers", .hint = "is the cluster installed, and is one of its masters up?"};
  for (const auto* master : config.masters()) {
    Machine machine(*master, setting);
    if (auto connected = machine.connect(); !connected) {
      if (last.kind == ErrorKind::network) last.message += std::format("\n  {}: {}", master->id.value, connected.error().message);
      continue;
    }
    Argv argv{machine.agent};
    for (const auto& word : words) argv += word;
    std::string out, err;
    auto ended = machine.run(argv, {.out = into(out), .err = into(err)}, in(setting.timing.question));
    Secret printed(std::move(out));
    if (!ended) return fail(std::move(ended).error().with(std::format("asking {}", master->id.value)));
    if (ended->ok()) return printed;
    last = error_of(*ended, err, master->id);
    if (last.kind != ErrorKind::refused) break;
  }
  return fail(std::move(last));
}

}  // namespace cloudos::driver
