#include "agent/daemon/half.hpp"

#include <malloc.h>

#include <csignal>
#include <cstdio>

#include "agent/daemon/notify.hpp"
#include "agent/daemon/resident.hpp"

namespace cloudos::daemon {
namespace {

constexpr Milliseconds trim_every{60'000};

void trim(loop::Loop& loop, loop::Source& timer) {
  if (auto due = loop.after(trim_every, [&] {
        give_back_idle_memory();
        trim(loop, timer);
      }))
    timer = std::move(*due);
}

Status run(const std::string& status, const std::function<Result<std::unique_ptr<Half>>(loop::Loop&, Log&)>& make) {
  hold_hangups();
  JournalLog log;
  CLOUDOS_ASSIGN(auto loop, loop::Loop::make());
  CLOUDOS_ASSIGN(const auto half, make(loop, log));
  CLOUDOS_ASSIGN(const auto hangups, Hangups::watch(loop, [&] {
                   notify_reloading();
                   half->reload();
                   notify_ready(status);
                 }));
  const auto watchdog = Watchdog::start(loop, [&] { return half->alive(); });
  notify_ready(status);
  loop::Source trimming;
  trim(loop, trimming);
  auto ended = loop.run(true);
  notify_stopping();
  return ended;
}

}  // namespace

int run_half(int argc, char** argv, const std::string& about, const std::string& status,
             const std::function<Result<std::unique_ptr<Half>>(loop::Loop&, Log&)>& make) {
  if (argc > 1) {
    const std::string asked = argv[1];
    if (asked == "--version") return std::puts(CLOUDOS_VERSION) < 0 ? 1 : 0;
    std::printf("%s\n\nIt is started by its unit and takes no arguments but --help and --version.\n", about.c_str());
    return asked == "--help" ? 0 : exit_status(ErrorKind::usage);
  }
  // A heap a thread would be most of the memory.
  mallopt(M_ARENA_MAX, 1);
  // A peer that goes away shows as a failed write, not as our end.
  std::signal(SIGPIPE, SIG_IGN);
  const auto ended = run(status, make);
  if (ended) return 0;
  std::fprintf(stderr, "<3>%s\n", ended.error().text().c_str());
  return exit_status(ended.error().kind);
}

}  // namespace cloudos::daemon
