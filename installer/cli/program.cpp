#include "installer/cli/program.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <format>
#include <iostream>
#include <tuple>

#include "core/base/text.hpp"
#include "core/os/process/process.hpp"

namespace cloudos::cli {

namespace {

constexpr auto every_command =
    "Every command takes --json (one record a line), --quiet, -v/-vv and --yes (ask nothing).\n"
    "Exit status: 0 done, 1 failed, 2 bad usage or input, 3 a check failed and nothing was changed.";

const CLI::App& deepest(const CLI::App& app) {
  const CLI::App* at = &app;
  while (!at->get_subcommands().empty()) at = at->get_subcommands().back();
  return *at;
}

// The flags and subcommands that could have stood where `app` was given something unknown.
std::vector<std::string> known_words(const CLI::App& app, bool flags) {
  std::vector<std::string> words;
  if (!flags)
    for (const auto* command : app.get_subcommands([](const CLI::App*) { return true; })) words.push_back(command->get_name());
  for (const CLI::App* at = &app; flags && at != nullptr; at = at->get_parent())
    for (const auto* option : at->get_options())
      for (const auto& name : option->get_lnames()) words.push_back("--" + name);
  return words;
}

Error usage_error(const CLI::App& app, const CLI::ParseError& error) {
  const auto& command = deepest(app);
  const auto help =
      std::format("`{} --help` lists what there is", command.get_parent() == nullptr ? "cloudos" : "cloudos " + command.get_name());
  const auto extras = app.remaining(true);
  if (extras.empty()) return {.kind = ErrorKind::usage, .message = std::string{trim(error.what())}, .hint = help};
  const auto word = extras.front().substr(0, extras.front().find('='));
  const bool flag = word.starts_with("-");
  const auto known = known_words(command, flag);
  const std::vector<std::string_view> views(known.begin(), known.end());
  const auto meant = nearest(word, views);
  return {.kind = ErrorKind::usage,
          .message = std::format("unknown {} '{}'", flag ? "flag" : (known.empty() ? "argument" : "command"), sanitise(word)),
          .hint = meant.empty() ? help : std::format("did you mean '{}'? {}", meant, help)};
}

}  // namespace

std::unique_ptr<CLI::App> make_app(Context& context) {
  auto app = std::make_unique<CLI::App>("Raw Linux machines to one computer: installs Kubernetes from one signed file.", "cloudos");
  app->fallthrough();
  app->require_subcommand(1);
  app->set_version_flag("--version", "cloudos " CLOUDOS_VERSION);
  app->add_flag("--json", context.json, "One JSON record a line, with stable keys");
  app->add_flag("-q,--quiet", context.quiet, "Only errors and the result");
  app->add_flag("-v,--verbose", context.verbose, "Tell more; -vv: everything");
  app->add_flag("-y,--yes", context.assume_yes, "Ask nothing, go on");
  app->footer(every_command);
  add_install(*app, context);
  add_status(*app, context);
  add_kubeconfig(*app, context);
  add_token(*app, context);
  add_reset(*app, context);
  add_join_media(*app, context);
  add_bundle(*app, context);
  add_sandbox(*app, context);
  add_completion(*app, context);
  return app;
}

int report(const Error& error, const Context& context) {
  if (context.json) std::cerr << error_record(error) << '\n';
  else std::cerr << "cloudos: " << sanitise(error.text()) << '\n';
  return exit_status(error.kind);
}

namespace {

// A program that was started without its three streams would give their numbers to files that it opens.
void open_streams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (::fcntl(fd, F_GETFD) < 0 && errno == EBADF) std::ignore = ::open("/dev/null", O_RDWR);
}

// The status to end with: what could not be printed was not done. A reader that went away (| head) wanted no more.
int after_output(int status, const Context& context) {
  errno = 0;
  std::cout.flush();
  const bool written = std::fflush(stdout) == 0 && std::ferror(stdout) == 0 && std::cout.good();
  if (written) return status;
  const int why = errno;
  pollfd out{.fd = STDOUT_FILENO, .events = POLLOUT, .revents = 0};
  if (why == EPIPE || (::poll(&out, 1, 0) == 1 && (out.revents & POLLERR) != 0)) return status;
  return report({.kind = ErrorKind::io,
                 .message = std::format("cannot write to standard output{}", why != 0 ? std::format(": {}", std::strerror(why)) : "")},
                context);
}

int run_command(std::span<char*> arguments, Context& context) {
  const auto app = make_app(context);
  try {
    app->parse(static_cast<int>(arguments.size()), arguments.data());
  } catch (const CLI::CallForHelp& help) { return app->exit(help); } catch (const CLI::CallForVersion& version) {
    return app->exit(version);
  } catch (const CLI::ParseError& error) { return report(usage_error(*app, error), context); }
  if (!context.work)
    return report({.kind = ErrorKind::usage, .message = "nothing to do", .hint = "`cloudos --help` lists the commands"}, context);
  const auto status = context.work();
  return status ? *status : report(status.error(), context);
}

}  // namespace

int run(std::span<char*> arguments) {
  open_streams();
  os::forbid_core_dumps();
  std::signal(SIGPIPE, SIG_IGN);
  Context context;
  const int status = run_command(arguments, context);
  return after_output(status, context);
}

}  // namespace cloudos::cli
