#include "installer/sandbox/child.hpp"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>

#include "core/os/file/file.hpp"

namespace cloudos::sandbox {
namespace {

struct Pipe {
  os::Fd reader, writer;
};

Result<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail_errno("make a pipe", errno);
  return Pipe{.reader = os::Fd(ends[0]), .writer = os::Fd(ends[1])};
}

// What a child says before it ends: '+' and the value, or '-', the kind, the message and, after a NUL, the hint.
std::string encode(const Result<std::string>& outcome) {
  if (outcome) return "+" + *outcome;
  const auto& error = outcome.error();
  std::string message = error.message;
  for (const auto& where : error.context) message += ", while " + where;
  return "-" + std::string(1, static_cast<char>('a' + static_cast<int>(error.kind))) + message + '\0' + error.hint;
}

Result<std::string> decode(const std::string& text) {
  if (text.starts_with('+')) return text.substr(1);
  if (text.size() < 2) return fail(ErrorKind::failed, "a child process died at its work");
  const auto end = text.find('\0');
  return fail(static_cast<ErrorKind>(text[1] - 'a'), text.substr(2, end - 2), end == std::string::npos ? "" : text.substr(end + 1));
}

Result<std::string> read_all(int fd) {
  std::string text;
  std::array<char, 4096> buffer{};
  for (;;) {
    const auto n = ::read(fd, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("read from a child process", errno);
    if (n == 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(n));
  }
}

void say(const os::Fd& to, const std::string& text) { (void)os::write_all(to.get(), std::as_bytes(std::span(text))); }

void reap(pid_t pid) {
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {}
}

void default_signals() {
  for (int signal = 1; signal < NSIG; ++signal) ::signal(signal, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

Status redirect(const std::string& log) {
  CLOUDOS_ASSIGN(const auto nothing, os::open("/dev/null", O_RDONLY));
  CLOUDOS_ASSIGN(const auto out, os::open(log, O_WRONLY | O_CREAT | O_APPEND, 0600));
  if (::dup2(nothing.get(), STDIN_FILENO) < 0 || ::dup2(out.get(), STDOUT_FILENO) < 0 || ::dup2(out.get(), STDERR_FILENO) < 0)
    return fail_errno("redirect its output", errno);
  return {};
}

// Never returns on success.
std::unexpected<Error> execute(const Argv& command) {
  auto words = command.words;
  std::vector<char*> pointers;
  for (auto& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  ::execvp(pointers[0], pointers.data());
  return fail_errno("start " + words[0], errno);
}

// Closes all that this process has open but its standard streams and `kept`: a lock, above all, that would stay taken.
void close_all_but(int kept) {
  if (kept > STDERR_FILENO + 1) ::close_range(STDERR_FILENO + 1, static_cast<unsigned>(kept) - 1, 0);
  ::close_range(static_cast<unsigned>(kept) + 1, ~0U, 0);
}

// The parent of the program, for as long as it lives; gives its last exit status. `report` closes when the program runs
// (close on exec), which tells launch().
int supervise(const Daemon& daemon, os::Fd report) {
  for (;;) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      const auto error = execute(daemon.command);
      if (report) say(report, encode(error));
      ::_exit(1);
    }
    report.reset();
    int status = 0;
    while (pid > 0 && ::waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
    if (pid < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != daemon.again_on) return 0;
  }
}

[[noreturn]] void be_daemon(const Daemon& daemon, os::Fd report) {
  default_signals();
  auto ready = redirect(daemon.log);
  if (ready) ready = daemon.prepare();
  if (!ready) {
    say(report, encode(fail(ready.error())));
    ::_exit(1);
  }
  for (const auto& [key, value] : daemon.environment) ::setenv(key.c_str(), value.c_str(), 1);
  close_all_but(report.get());
  ::_exit(supervise(daemon, std::move(report)));
}

}  // namespace

Result<std::string> in_child(const std::function<Result<std::string>()>& work) {
  CLOUDOS_ASSIGN(auto pipe, make_pipe());
  const pid_t pid = ::fork();
  if (pid < 0) return fail_errno("fork", errno);
  if (pid == 0) {
    pipe.reader.reset();
    ::setpgid(0, 0);  // not in the way of the terminal's Ctrl-C
    say(pipe.writer, encode(work()));
    ::_exit(0);
  }
  pipe.writer.reset();
  auto text = read_all(pipe.reader.get());
  reap(pid);
  if (!text) return text;
  return decode(*text);
}

Status launch(const Daemon& daemon) {
  CLOUDOS_ASSIGN(auto pipe, make_pipe());
  const pid_t pid = ::fork();
  if (pid < 0) return fail_errno("fork", errno);
  if (pid == 0) {
    pipe.reader.reset();
    ::setsid();
    // A second fork: the program's parent ends here, so that PID 1 reaps it and no terminal can become its own (daemon(7)).
    if (::fork() != 0) ::_exit(0);
    be_daemon(daemon, std::move(pipe.writer));
  }
  pipe.writer.reset();
  auto text = read_all(pipe.reader.get());
  reap(pid);
  if (!text) return fail(text.error());
  if (text->empty()) return {};
  return fail(decode(*text).error());
}

Status enter_network(const std::string& network_namespace) {
  CLOUDOS_ASSIGN(const auto fd, os::open("/run/netns/" + network_namespace, O_RDONLY));
  if (::setns(fd.get(), CLONE_NEWNET) != 0) return fail_errno("enter network namespace " + network_namespace, errno);
  return {};
}

Status private_mounts() {
  if (::unshare(CLONE_NEWNS) != 0) return fail_errno("make a mount namespace", errno);
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return fail_errno("keep mounts private", errno);
  return {};
}

}  // namespace cloudos::sandbox
