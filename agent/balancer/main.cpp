// cloudos-balancer: started by cloudos-balancer.socket. Reads /etc/cloudos/balancer.json, and again whenever it changes.
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "agent/balancer/balancer.hpp"
#include "core/base/text.hpp"

namespace {

using namespace cloudos;

// Standard error, which systemd gives to the journal; "<4>" is its priority prefix (sd-daemon(3)).
class JournalLog final : public Log {
 public:
  void write(Level level, std::string_view line) override {
    std::fprintf(stderr, "%s%.*s\n", level >= Level::warning ? "<4>" : "<6>", static_cast<int>(line.size()), line.data());
  }
};

// The socket that systemd opened for us: descriptor 3 when LISTEN_FDS is 1 and LISTEN_PID is ours (sd_listen_fds(3)).
Result<os::Fd> inherited() {
  const char* pid = std::getenv("LISTEN_PID");
  const char* count = std::getenv("LISTEN_FDS");
  if (pid == nullptr || count == nullptr || pid != std::to_string(getpid()) || std::strcmp(count, "1") != 0)
    return fail(ErrorKind::usage, "no socket was handed over", "start it through cloudos-balancer.socket");
  os::Fd fd(3);
  fcntl(3, F_SETFD, FD_CLOEXEC);
  fcntl(3, F_SETFL, fcntl(3, F_GETFL) | O_NONBLOCK);
  return fd;
}

Result<std::vector<balancer::Master>> load(const std::string& path) {
  CLOUDOS_ASSIGN(auto text, os::read(path, 1U << 20));
  return balancer::parse_config(text);
}

// One descriptor that is readable on SIGHUP, SIGTERM or a change of the configuration.
class Wake {
 public:
  explicit Wake(const std::string& path) : name_(std::filesystem::path(path).filename()) {
    sigset_t set;
    sigemptyset(&set);
    for (const int s : {SIGHUP, SIGTERM, SIGINT}) sigaddset(&set, s);
    sigprocmask(SIG_BLOCK, &set, nullptr);
    signals_ = os::Fd(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
    files_ = os::Fd(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    // The folder, because the file is replaced by rename(2).
    inotify_add_watch(files_.get(), std::filesystem::path(path).parent_path().c_str(), IN_MOVED_TO | IN_CLOSE_WRITE);
    both_ = os::Fd(epoll_create1(EPOLL_CLOEXEC));
    for (const int fd : {signals_.get(), files_.get()}) {
      epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
      epoll_ctl(both_.get(), EPOLL_CTL_ADD, fd, &event);
    }
  }
  [[nodiscard]] int fd() const { return both_.get(); }

  struct Seen {
    bool stop = false, reload = false;
  };
  Seen drain() const {
    Seen seen;
    signalfd_siginfo info{};
    while (::read(signals_.get(), &info, sizeof info) == sizeof info) (info.ssi_signo == SIGHUP ? seen.reload : seen.stop) = true;
    alignas(inotify_event) char buffer[4096];
    for (ssize_t n = 0; (n = ::read(files_.get(), buffer, sizeof buffer)) > 0;)
      for (ssize_t at = 0; at < n;) {
        const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
        if (event->len > 0 && name_ == event->name) seen.reload = true;
        at += static_cast<ssize_t>(sizeof *event + event->len);
      }
    return seen;
  }

 private:
  std::string name_;
  os::Fd signals_, files_, both_;
};

Status run(const std::string& path, Log& log) {
  CLOUDOS_ASSIGN(auto listener, inherited());
  const Wake wake(path);
  auto masters = load(path);
  if (!masters) log.warning("{}: {}; waiting for a good one", path, masters.error().text());
  CLOUDOS_ASSIGN(auto balancer, balancer::Balancer::make(std::move(listener), masters.value_or(std::vector<balancer::Master>{}), {}, log));
  return balancer.serve(wake.fd(), [&] {
    const auto seen = wake.drain();
    if (seen.stop) return false;
    if (!seen.reload) return true;
    if (auto fresh = load(path)) {
      log.info("{} masters", fresh->size());
      balancer.set_masters(*fresh);
    } else {
      log.warning("{}: {}; keeping the masters as they were", path, fresh.error().text());
    }
    return true;
  });
}

}  // namespace

int main(int argc, char** argv) {
  JournalLog log;
  const auto status = run(argc > 1 ? argv[1] : "/etc/cloudos/balancer.json", log);
  if (status) return 0;
  log.write(Log::Level::error, status.error().text());
  return exit_status(status.error().kind);
}
