#include <iostream>
#include <thread>

#include "installer/cli/day2.hpp"
#include "installer/cli/lookout.hpp"

namespace cloudos::cli {

namespace {

struct StatusFlags {
  DayTwoFlags cluster;
  std::string node;
  bool watch = false;
  double every = 2, over = 1;  // seconds
};

Result<int> show_node(Lookout& lookout, const StatusFlags& flags, const Context& context, std::string_view before) {
  CLOUDOS_ASSIGN(const auto seen, lookout.node(flags.node));
  const auto now = std::chrono::system_clock::now();
  std::cout << before << (context.json ? with_machine(seen.json, seen.node) + '\n' : print(seen.node, now, look_of_stdout())) << std::flush;
  return seen.node.line.ready ? 0 : 1;
}

Result<int> show_pool(Lookout& lookout, std::string_view cluster, const Context& context, std::string_view before) {
  CLOUDOS_ASSIGN(const auto seen, lookout.pool());
  const auto now = std::chrono::system_clock::now();
  std::cout << before << (context.json ? with_usage(seen.json, seen.pool) + '\n' : print(seen.pool, cluster, now, look_of_stdout()))
            << std::flush;
  return seen.pool.ready == seen.pool.nodes ? 0 : 1;
}

Result<int> status(const StatusFlags& flags, const Context& context) {
  CLOUDOS_ASSIGN(auto begun, begin(flags.cluster, context, "status"));
  if (!begun) return 2;
  // Nobody waits a minute for one machine of many that does not say what it uses.
  begun->setting.timing.question = Milliseconds{30'000} + Milliseconds{static_cast<std::int64_t>(flags.over * 1000)};
  Lookout lookout(begun->loaded.config, begun->setting, flags.over);
  const auto show = [&](std::string_view before) {
    return flags.node.empty() ? show_pool(lookout, begun->loaded.config.name, context, before) : show_node(lookout, flags, context, before);
  };
  if (!flags.watch) return show("");
  const bool terminal = !context.json && report::is_terminal(stdout);
  // Until Ctrl-C, or nobody reads any more. A moment in which no master answers is told and got over.
  for (;; std::this_thread::sleep_for(std::chrono::duration<double>(flags.every))) {
    const auto shown = show(terminal ? "\x1b[H\x1b[2J" : "");
    if (!shown && shown.error().kind == ErrorKind::usage) return shown;
    if (!shown) report(shown.error(), context);
    if (!std::cout) return 1;
  }
}

}  // namespace

void add_status(CLI::App& app, Context& context) {
  auto flags = std::make_shared<StatusFlags>();
  auto* command = app.add_subcommand("status", "The pool as one computer, then a line a node; or everything about one node");
  command->add_option("node", flags->node, "A node's name or address: everything about it");
  flags->cluster.add_to(*command);
  auto* watch = command->add_flag("--watch", flags->watch, "Look again and again, until Ctrl-C");
  command->add_option("--every", flags->every, "Seconds between two looks of --watch; else 2")
      ->check(CLI::Range(0.2, 3600.0))
      ->needs(watch);
  command->add_option("--over", flags->over, "Seconds over which CPU time is counted; else 1")->check(CLI::Range(0.1, 20.0));
  command->footer(
      "Examples:\n"
      "  cloudos status                          of the cluster that this computer installed\n"
      "  cloudos status node-1                   facts, conditions, labels, last events of one node\n"
      "  cloudos status --watch\n"
      "  cloudos status --masters 10.0.0.2 --user ops\n"
      "What is in use, each machine's agent reads from its kernel:\n"
      "  CPU     user, nice, system, irq and softirq of /proc/stat, between two readings\n"
      "  memory  MemTotal - MemAvailable of /proc/meminfo\n"
      "  disk    blocks taken, as df counts, of the file system that holds pods' data\n"
      "A machine that is a container is counted by its control group instead: cpuacct.usage or usage_usec of cpu.stat,\n"
      "and charged memory without inactive file pages. GPUs are in use when a pod has asked for them.\n"
      "Exit status 1: a node is not Ready, or no master answers.");
  command->callback([flags, &context] { context.work = [flags, &context] { return status(*flags, context); }; });
}

}  // namespace cloudos::cli
