#include "agent/daemon/notify.hpp"

#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <format>

namespace cloudos::daemon {

void JournalLog::write(Level level, std::string_view line) {
  const auto* priority = level >= Level::error ? "<3>" : level == Level::warning ? "<4>" : level == Level::info ? "<6>" : "<7>";
  std::fprintf(stderr, "%s%.*s\n", priority, static_cast<int>(line.size()), line.data());
}

Result<os::Fd> inherited_socket() {
  const int count = sd_listen_fds(0);
  if (count == 1) return os::Fd(SD_LISTEN_FDS_START);
  return fail(ErrorKind::usage, std::format("systemd gave {} sockets, one is needed", std::max(count, 0)),
              "it is started by its unit, cloudos-agent-root.socket");
}

void notify_ready(const std::string& status) { sd_notify(0, std::format("READY=1\nSTATUS={}", status).c_str()); }
void notify_status(const std::string& status) { sd_notify(0, std::format("STATUS={}", status).c_str()); }
void notify_stopping() { sd_notify(0, "STOPPING=1"); }
void notify_reloading() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  sd_notify(0, std::format("RELOADING=1\nMONOTONIC_USEC={}", std::int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1000).c_str());
}

struct Watchdog::State {
  loop::Loop& loop;
  Milliseconds every;
  std::function<bool()> alive;
  loop::Source timer = {};

  void beat() {
    if (alive()) sd_notify(0, "WATCHDOG=1");
    if (auto next = loop.after(every, [this] { beat(); })) timer = std::move(*next);
  }
};

Watchdog Watchdog::start(loop::Loop& loop, std::function<bool()> alive) {
  Watchdog dog;
  std::uint64_t limit_us = 0;
  if (sd_watchdog_enabled(0, &limit_us) <= 0) return dog;
  dog.state_ = std::make_shared<State>(State{.loop = loop, .every = Milliseconds(limit_us / 4000), .alive = std::move(alive)});
  dog.state_->beat();
  return dog;
}

namespace {

sigset_t only_hangup() {
  sigset_t set{};
  sigemptyset(&set);
  sigaddset(&set, SIGHUP);
  return set;
}

}  // namespace

void hold_hangups() {
  const auto set = only_hangup();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

Result<Hangups> Hangups::watch(loop::Loop& loop, std::function<void()> heard) {
  const auto set = only_hangup();
  Hangups out;
  out.fd_.reset(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
  if (!out.fd_) return fail_errno("take SIGHUP", errno);
  CLOUDOS_ASSIGN(out.source_, loop.watch(out.fd_.get(), EPOLLIN, [fd = out.fd_.get(), heard = std::move(heard)](std::uint32_t) {
    signalfd_siginfo info{};
    while (::read(fd, &info, sizeof info) == sizeof info) {}
    heard();
  }));
  return out;
}

}  // namespace cloudos::daemon
