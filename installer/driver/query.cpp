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

}  // namespace cloudos::driver
