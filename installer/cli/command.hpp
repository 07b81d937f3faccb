// installer/cli: the command line of `cloudos`, one file a command. Here: flags, help with examples, what is printed, exit
// statuses. Not here: any decision or work; a command gathers its input, calls the room that does it, and prints the result.
#pragma once

#include <CLI/CLI.hpp>

#include <functional>
#include <string>

#include "core/base/result.hpp"

namespace cloudos::cli {

// The flags that every command takes, and the work that the command line chose.
struct Context {
  bool json = false;                  // --json: one record a line, stable keys
  bool quiet = false;                 // --quiet: only errors and the result
  int verbose = 0;                    // -v, -vv
  bool assume_yes = false;            // --yes
  std::function<Result<int>()> work;  // set by the chosen subcommand's callback; gives the exit status
};

// Prints an error as the product promises (or as one JSON record) on standard error and gives its exit status.
int report(const Error& error, const Context& context);

// An error as one JSON record: {"error":{"kind","message","context","hint","exit"}}.
[[nodiscard]] std::string error_record(const Error& error);

// Each adds its subcommand; the callback that CLI11 runs sets `context.work`. `context` outlives the app.
void add_bundle(CLI::App& parent, Context& context);
void add_sandbox(CLI::App& app, Context& context);
void add_install(CLI::App& app, Context& context);  // install and add
void add_status(CLI::App& app, Context& context);
void add_kubeconfig(CLI::App& app, Context& context);
void add_reset(CLI::App& app, Context& context);
void add_token(CLI::App& app, Context& context);
void add_join_media(CLI::App& app, Context& context);
void add_completion(CLI::App& app, Context& context);  // completion bash|zsh|fish, and man

}  // namespace cloudos::cli
