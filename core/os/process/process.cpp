#include "core/os/process/process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <format>
#include <functional>
#include <memory>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "core/base/text.hpp"
#include "core/os/file/sigpipe.hpp"

namespace cloudos::os {
namespace {

constexpr Milliseconds grace_after_term{2'000};
constexpr std::size_t chunk = 64U << 10;
constexpr std::size_t last_lines = 20;

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    close();
    fd_ = std::exchange(other.fd_, -1);
    return *this;
  }
  ~Descriptor() { close(); }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }
  [[nodiscard]] int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

struct Pipe {
  Descriptor reader, writer;
};

// Above 2, so that the child's dup2 onto 0, 1 and 2 never hits one of these (a parent may have its own three closed).
Result<Descriptor> above_standard(int fd) {
  const Descriptor low(fd);
  const int high = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  if (high < 0) return fail_errno("duplicate a pipe", errno);
  return Descriptor(high);
}

Result<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return fail_errno("make a pipe", errno);
  auto reader = above_standard(ends[0]);
  auto writer = above_standard(ends[1]);
  if (!reader) return fail(reader.error());
  if (!writer) return fail(writer.error());
  return Pipe{.reader = std::move(*reader), .writer = std::move(*writer)};
}

void set_nonblocking(const Descriptor& fd) { fcntl(fd.get(), F_SETFL, fcntl(fd.get(), F_GETFL) | O_NONBLOCK); }

std::vector<std::string> child_environment(const std::map<std::string, std::string>& changes) {
  std::vector<std::string> all;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    if (!changes.contains(std::string(text.substr(0, text.find('='))))) all.emplace_back(text);
  }
  for (const auto& [key, value] : changes)
    if (!value.empty()) all.push_back(key + "=" + value);
  return all;
}

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> out;
  out.reserve(words.size() + 1);
  for (auto& word : words) out.push_back(word.data());
  out.push_back(nullptr);
  return out;
}

class SpawnSettings {
 public:
  SpawnSettings() {
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
  }
  ~SpawnSettings() {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;

  posix_spawn_file_actions_t actions{};
  posix_spawnattr_t attributes{};
};

// The child starts as from a login: own process group, nothing blocked, nothing ignored, no descriptor but its three.
Result<pid_t> spawn(const Argv& argv, const RunOptions& options, int in, int out, int err) {
  SpawnSettings settings;
  sigset_t none;
  sigset_t all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setflags(&settings.attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  posix_spawnattr_setpgroup(&settings.attributes, 0);
  posix_spawnattr_setsigmask(&settings.attributes, &none);
  posix_spawnattr_setsigdefault(&settings.attributes, &all);
  posix_spawn_file_actions_adddup2(&settings.actions, in, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&settings.actions, out, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&settings.actions, err, STDERR_FILENO);
  posix_spawn_file_actions_addclosefrom_np(&settings.actions, STDERR_FILENO + 1);
  if (!options.directory.empty()) posix_spawn_file_actions_addchdir_np(&settings.actions, options.directory.c_str());

  auto words = argv.words;
  auto environment = child_environment(options.environment);
  auto argument_pointers = pointers(words);
  auto environment_pointers = pointers(environment);
  pid_t pid = -1;
  const int error = posix_spawnp(&pid, argument_pointers[0], &settings.actions, &settings.attributes, argument_pointers.data(),
                                 environment_pointers.data());
  if (error != 0) {
    const std::string where = options.directory.empty() ? "" : " in " + options.directory;
    return fail_errno(std::format("start {}{}", argv.words[0], where), error);
  }
  return pid;
}

// Tells by an eventfd when the child is over, without reaping it: its process group stays addressable until then. A thread
// that waits, because pidfd_open(2) is younger (Linux 5.3) than the kernels of RHEL 8 (4.18).
class Watcher {
 public:
  static Result<std::unique_ptr<Watcher>> start(pid_t pid) {
    const int fd = eventfd(0, EFD_CLOEXEC);
    if (fd < 0) return fail_errno("make an eventfd", errno);
    return std::make_unique<Watcher>(pid, fd);
  }
  Watcher(pid_t pid, int fd) : over_(fd) {
    // Signals of this program are for its own threads to handle.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    waiting_ = std::jthread([pid, fd] {
      siginfo_t info{};
      while (waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT) != 0 && errno == EINTR) {}
      eventfd_write(fd, 1);
    });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }
  [[nodiscard]] int fd() const { return over_.get(); }

 private:
  Descriptor over_;
  std::jthread waiting_;
};

// A request to stop as a descriptor that poll(2) can wait for; none where nobody can request it.
class StopDescriptor {
 public:
  explicit StopDescriptor(const std::stop_token& token)
      : requested_(token.stop_possible() ? eventfd(0, EFD_CLOEXEC) : -1),
        callback_(token, [this] { eventfd_write(requested_.get(), 1); }) {}
  [[nodiscard]] int fd() const { return requested_.get(); }

 private:
  Descriptor requested_;
  std::stop_callback<std::function<void()>> callback_;
};

// A started child and our ends of its streams.
class Child {
 public:
  Child(pid_t pid, RunOptions& options) : stop_(options.stop), pid_(pid), options_(options) {}
  ~Child() { end_group(SIGKILL); }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  Descriptor in, out, err;
  std::unique_ptr<Watcher> watcher;

  // Until the child is over and what it wrote is delivered. A process that it left behind in the background may hold the
  // streams open for ever, so their end is not waited for: all the child's own output is in the pipes when it is gone.
  Status pump() {
    while (!over_) {
      CLOUDOS_TRY(wait_for_events(options_.deadline));
      if (!over_ && options_.stop.stop_requested()) return fail(ErrorKind::cancelled, "it was stopped");
      if (!over_ && std::chrono::steady_clock::now() >= options_.deadline) return fail(ErrorKind::timeout, "its deadline passed");
      if (in_ready_ && !over_) CLOUDOS_TRY(feed());
      if (out_ready_) CLOUDOS_TRY(drain(out, options_.stdout_sink));
      if (err_ready_) CLOUDOS_TRY(drain(err, options_.stderr_sink));
    }
    CLOUDOS_TRY(deliver_rest(out, options_.stdout_sink));
    return deliver_rest(err, options_.stderr_sink);
  }

  // SIGTERM to the whole group, time to clean up while its output goes nowhere, then SIGKILL.
  void terminate() {
    stopping_ = true;
    in.close();
    options_.stdout_sink = discard();
    options_.stderr_sink = discard();
    if (!over_) ::kill(-pid_, SIGTERM);
    const Deadline end = cloudos::in(grace_after_term);
    while (!over_ && std::chrono::steady_clock::now() < end) {
      if (!wait_for_events(end)) break;
      if (out_ready_) (void)drain(out, options_.stdout_sink);
      if (err_ready_) (void)drain(err, options_.stderr_sink);
    }
    end_group(SIGKILL);
  }

  Exit reap() {
    watcher.reset();
    siginfo_t info{};
    while (waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED) != 0 && errno == EINTR) {}
    pid_ = -1;
    if (info.si_code == CLD_EXITED) return Exit{.code = info.si_status};
    return Exit{.signal = info.si_status};
  }

 private:
  // The group's id is safe to use: the child is not reaped yet.
  void end_group(int signal) {
    if (pid_ < 0) return;
    ::kill(-pid_, signal);
    reap();
  }

  Status wait_for_events(Deadline deadline) {
    // A request to stop is heard once: while the child ends, only its own events count.
    const int stop = stopping_ ? -1 : stop_.fd();
    std::array<pollfd, 5> fds{{{.fd = watcher->fd(), .events = POLLIN},
                               {.fd = in.get(), .events = POLLOUT},
                               {.fd = out.get(), .events = POLLIN},
                               {.fd = err.get(), .events = POLLIN},
                               {.fd = stop, .events = POLLIN}}};
    int timeout = -1;
    if (deadline != Deadline::max()) {
      const auto left = std::chrono::ceil<Milliseconds>(deadline - std::chrono::steady_clock::now()).count();
      timeout = static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000));
    }
    if (::poll(fds.data(), fds.size(), timeout) < 0) {
      if (errno != EINTR) return fail_errno("poll", errno);
      for (auto& fd : fds) fd.revents = 0;
    }
    over_ = fds[0].revents != 0;
    in_ready_ = fds[1].revents != 0;
    out_ready_ = fds[2].revents != 0;
    err_ready_ = fds[3].revents != 0;
    return {};
  }

  Status feed() {
    if (sent_ == held_) {
      CLOUDOS_ASSIGN(held_, options_.stdin_source(std::span(input_)));
      sent_ = 0;
      if (held_ == 0) {
        in.close();
        return {};
      }
    }
    const ssize_t n = ::write(in.get(), input_.data() + sent_, held_ - sent_);
    if (n >= 0) {
      sent_ += static_cast<std::size_t>(n);
      return {};
    }
    if (errno == EAGAIN || errno == EINTR) return {};
    if (errno != EPIPE) return fail_errno("write to its standard input", errno);
    in.close();  // it reads no more: its own business, its exit tells whether that was right
    return {};
  }

  // One read's worth. Gives how much; 0 when there is nothing now or nothing more.
  Result<std::size_t> drain(Descriptor& fd, const ByteSink& sink) {
    ssize_t n = -1;
    do n = ::read(fd.get(), output_.data(), output_.size());
    while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN) return 0;
    if (n < 0) return fail_errno("read its output", errno);
    if (n == 0) fd.close();
    else CLOUDOS_TRY(sink(std::span(output_).first(static_cast<std::size_t>(n))));
    return static_cast<std::size_t>(n);
  }

  // What is in the pipe at this moment and no more: somebody in the background may write without end.
  Status deliver_rest(Descriptor& fd, const ByteSink& sink) {
    int waiting = 0;
    if (fd && ioctl(fd.get(), FIONREAD, &waiting) != 0) return fail_errno("measure its output", errno);
    while (fd && waiting > 0) {
      CLOUDOS_ASSIGN(const auto n, drain(fd, sink));
      if (n == 0) break;
      waiting -= static_cast<int>(n);
    }
    return {};
  }

  StopDescriptor stop_;
  pid_t pid_;
  RunOptions& options_;
  bool stopping_ = false, over_ = false, in_ready_ = false, out_ready_ = false, err_ready_ = false;
  std::size_t held_ = 0, sent_ = 0;
  std::vector<std::byte> input_ = std::vector<std::byte>(chunk);
  std::vector<std::byte> output_ = std::vector<std::byte>(chunk);
};

std::string tail(std::string_view text) {
  text = trim(text);
  std::size_t start = text.size();
  for (std::size_t n = 0; n < last_lines && start != std::string_view::npos; ++n)
    start = start == 0 ? std::string_view::npos : text.rfind('\n', start - 1);
  return sanitise(start == std::string_view::npos ? text : text.substr(start + 1));
}

}  // namespace

std::string Exit::text() const {
  if (code) return std::format("exit {}", *code);
  if (!signal) return "not ended";
  const char* abbreviation = sigabbrev_np(*signal);
  return abbreviation != nullptr ? std::format("killed by SIG{}", abbreviation) : std::format("killed by signal {}", *signal);
}

Result<Exit> run(const Argv& argv, RunOptions options) {
  if (argv.words.empty() || argv.words[0].empty()) return fail(ErrorKind::usage, "an empty command cannot be run");
  const auto started = std::chrono::steady_clock::now();
  const WithoutSigpipe quiet;
  CLOUDOS_ASSIGN(auto in, make_pipe());
  CLOUDOS_ASSIGN(auto out, make_pipe());
  CLOUDOS_ASSIGN(auto err, make_pipe());
  CLOUDOS_ASSIGN(const pid_t pid, spawn(argv, options, in.reader.get(), out.writer.get(), err.writer.get()));
  in.reader.close();
  out.writer.close();
  err.writer.close();
  Child child(pid, options);
  child.in = std::move(in.writer);
  child.out = std::move(out.reader);
  child.err = std::move(err.reader);
  for (const auto* fd : {&child.in, &child.out, &child.err}) set_nonblocking(*fd);
  CLOUDOS_ASSIGN(child.watcher, Watcher::start(pid));
  if (auto pumped = child.pump(); !pumped) {
    child.terminate();
    auto error = std::move(pumped).error();
    if (error.kind == ErrorKind::timeout && std::chrono::steady_clock::now() >= options.deadline) {
      const auto span = std::chrono::duration_cast<Milliseconds>(options.deadline - started);
      error.message = std::format("{} did not end within {}", quote(argv), human(std::max(span, Milliseconds{0})));
      return fail(std::move(error));
    }
    return fail(std::move(error).with("running " + quote(argv)));
  }
  return child.reap();
}

Result<Output> capture(const Argv& argv, RunOptions options) {
  Output output;
  options.stdout_sink = into(output.out);
  options.stderr_sink = into(output.err);
  auto exit = run(argv, std::move(options));
  if (!exit) {
    auto error = std::move(exit).error();
    if (const auto words = tail(output.err); !words.empty()) error.message += "; it had said: " + words;
    return fail(std::move(error));
  }
  output.exit = *exit;
  return output;
}

Result<std::string> must(const Argv& argv, RunOptions options) {
  CLOUDOS_ASSIGN(auto output, capture(argv, std::move(options)));
  if (output.exit.ok()) return std::move(output.out);
  auto words = tail(output.err);
  if (words.empty()) words = tail(output.out);
  return fail(ErrorKind::failed, std::format("{}: {}{}{}", quote(argv), output.exit.text(), words.empty() ? "" : ": ", words));
}

void forbid_core_dumps() {
  prctl(PR_SET_DUMPABLE, 0);
  const rlimit none{.rlim_cur = 0, .rlim_max = 0};
  setrlimit(RLIMIT_CORE, &none);
}

}  // namespace cloudos::os
