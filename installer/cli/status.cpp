#include <format>
#include <iostream>

#include "core/base/text.hpp"
#include "installer/cli/day2.hpp"
#include "installer/cli/pool.hpp"

namespace cloudos::cli {

namespace {

Result<int> status(const DayTwoFlags& flags, const Context& context) {
  CLOUDOS_ASSIGN(auto begun, begin(flags, context, "status"));
  if (!begun) return 2;
  CLOUDOS_ASSIGN(const auto answer, driver::ask_masters(begun->loaded.config, {"query", "pool"}, begun->setting));
  CLOUDOS_ASSIGN(const auto pool, decode_pool(answer.text));
  if (context.json) std::cout << trim(answer.text) << '\n';
  else std::cout << print(pool, begun->loaded.config.name, std::chrono::system_clock::now());
  return pool.ready == pool.nodes ? 0 : 1;
}

}  // namespace

void add_status(CLI::App& app, Context& context) {
  auto flags = std::make_shared<DayTwoFlags>();
  auto* command = app.add_subcommand("status", "The pool as one computer, then a line a node");
  flags->add_to(*command);
  command->footer(
      "Examples:\n"
      "  cloudos status                          of the cluster that this computer installed\n"
      "  cloudos status --masters 10.0.0.2 --user ops\n"
      "Exit status 1: a node is not Ready, or no master answers.");
  command->callback([flags, &context] { context.work = [flags, &context] { return status(*flags, context); }; });
}

}  // namespace cloudos::cli
