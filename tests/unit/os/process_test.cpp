#include "core/os/process/process.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <chrono>
#include <cstdlib>
#include <format>
#include <thread>

#include "core/base/text.hpp"

using namespace cloudos;
using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;

namespace {

Argv shell(std::string script) { return {"sh", "-c", std::move(script)}; }

// Gone, or a zombie that somebody else has to reap.
bool is_over(const std::string& pid) {
  for (int i = 0; i < 1000; ++i) {
    const auto stat = os::capture({"cat", "/proc/" + pid + "/stat"});
    if (!stat->exit.ok() || stat->out.contains(") Z ")) return true;
    std::this_thread::sleep_for(20ms);
  }
  return false;
}

std::chrono::milliseconds time_of(auto&& what) {
  const auto start = std::chrono::steady_clock::now();
  what();
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - start);
}

}  // namespace

TEST_CASE("What goes through a command comes out whole, however much it is and on both streams at once") {
  const std::string much(8U << 20, 'x');
  const auto out = os::capture(shell("tee /dev/stderr"), {.stdin_source = bytes_of(much)});
  REQUIRE(out);
  CHECK(out->exit.ok());
  CHECK(out->out == much);
  CHECK(out->err == much);
}

TEST_CASE("Arguments reach a program as they are, whatever is in them") {
  const auto out = os::must({"printf", "[%s]", "a b", "", "$HOME `id`", "it's", "two\nlines", "-n", "\\"});
  REQUIRE(out);
  CHECK(*out == "[a b][][$HOME `id`][it's][two\nlines][-n][\\]");
}

TEST_CASE("A command that reads none of its input neither blocks nor kills us") {
  const ByteSource endless = [](std::span<std::byte> room) -> Result<std::size_t> { return room.size(); };
  const auto exit = os::run(shell("exec 0<&-; sleep 0.2; exit 3"), {.stdin_source = endless, .deadline = in(30s)});
  REQUIRE(exit);
  CHECK(exit->code == 3);
  sigset_t pending;
  sigpending(&pending);
  CHECK(sigismember(&pending, SIGPIPE) == 0);
  sigset_t blocked;
  pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
  CHECK(sigismember(&blocked, SIGPIPE) == 0);
}

TEST_CASE("How a command ended is told exactly") {
  CHECK(os::run(shell("exit 0"), {})->ok());
  CHECK(os::run(shell("exit 7"), {})->text() == "exit 7");
  const auto killed = os::run(shell("kill -9 $$"), {});
  CHECK(killed->signal == SIGKILL);
  CHECK_FALSE(killed->code);
  CHECK_FALSE(killed->ok());
  CHECK(killed->text() == "killed by SIGKILL");
}

TEST_CASE("At the deadline a command and all that it started are ended, and the error says so") {
  std::string pid;
  const auto taken = time_of([&] {
    const auto exit = os::run(shell("sleep 300 & echo $!; wait"), {.stdout_sink = into(pid), .deadline = in(300ms)});
    REQUIRE_FALSE(exit);
    CHECK(exit.error().kind == ErrorKind::timeout);
    CHECK_THAT(exit.error().message, ContainsSubstring("sleep 300") && ContainsSubstring("0.3 s"));
  });
  CHECK(taken < 25s);
  CHECK(is_over(std::string(trim(pid))));
}

TEST_CASE("A command that ignores SIGTERM is killed two seconds after its deadline") {
  const auto taken = time_of([] {
    const auto exit = os::run(shell("trap '' TERM; while :; do sleep 1; done"), {.deadline = in(200ms)});
    REQUIRE_FALSE(exit);
    CHECK(exit.error().kind == ErrorKind::timeout);
  });
  CHECK(taken > 2s);
  CHECK(taken < 25s);
}

TEST_CASE("What a command leaves behind at its deadline is killed even when it ignores SIGTERM") {
  std::string pid;
  const auto exit = os::run(shell("(trap '' TERM; exec sleep 300) & echo $!; wait"), {.stdout_sink = into(pid), .deadline = in(300ms)});
  REQUIRE_FALSE(exit);
  CHECK(is_over(std::string(trim(pid))));
}

TEST_CASE("A command gets the time to clean up after its deadline") {
  const auto out = os::capture(shell("trap 'echo tidy >&2; exit 0' TERM; echo ready >&2; sleep 60 & wait"), {.deadline = in(2s)});
  REQUIRE_FALSE(out);
  CHECK(out.error().kind == ErrorKind::timeout);
  CHECK_THAT(out.error().message, ContainsSubstring("it had said: ready"));
}

TEST_CASE("Endless output ends the command with an error instead of all memory") {
  std::string out;
  const auto exit = os::run({"yes"}, {.stdout_sink = into(out, 1000), .deadline = in(30s)});
  REQUIRE_FALSE(exit);
  CHECK(exit.error().kind == ErrorKind::failed);
  CHECK_THAT(exit.error().text(), ContainsSubstring("more than 1000 bytes") && ContainsSubstring("yes"));
}

TEST_CASE("An input that fails ends the command with the input's own error") {
  const ByteSource broken = [](std::span<std::byte>) -> Result<std::size_t> { return fail(ErrorKind::network, "the line broke"); };
  const auto exit = os::run({"cat"}, {.stdin_source = broken, .deadline = in(30s)});
  REQUIRE_FALSE(exit);
  CHECK(exit.error().kind == ErrorKind::network);
  CHECK(exit.error().message == "the line broke");
}

TEST_CASE("A process left in the background does not hold its caller up") {
  std::string pid;
  const auto taken = time_of([&] {
    const auto exit = os::run(shell("sleep 60 & echo $!"), {.stdout_sink = into(pid), .deadline = in(30s)});
    REQUIRE(exit);
    CHECK(exit->ok());
  });
  CHECK(taken < 25s);
  const std::string background(trim(pid));
  CHECK_FALSE(background.empty());
  CHECK(::kill(std::stoi(background), SIGKILL) == 0);
}

TEST_CASE("A background process that writes without end does not hold its caller up") {
  std::string out;
  const auto taken = time_of([&] {
    const auto exit = os::run(shell("yes & echo $! >&2"), {.stdout_sink = discard(), .stderr_sink = into(out), .deadline = in(30s)});
    CHECK(exit);
  });
  CHECK(taken < 25s);
  CHECK(is_over(std::string(trim(out))));  // SIGPIPE: its reader is gone
}

TEST_CASE("A failed command's error carries the command, its end and the last 20 lines it said") {
  const auto out = os::must(shell("for i in $(seq 1 50); do echo line $i >&2; done; printf '\\033[31mred' >&2; exit 4"));
  REQUIRE_FALSE(out);
  const auto& message = out.error().message;
  CHECK(out.error().kind == ErrorKind::failed);
  CHECK_THAT(message, ContainsSubstring("sh -c 'for i in") && ContainsSubstring("exit 4") && ContainsSubstring("line 50"));
  CHECK_THAT(message, ContainsSubstring("line 32\n"));
  CHECK_THAT(message, !ContainsSubstring("line 31\n"));
  CHECK_THAT(message, !ContainsSubstring("\033"));
}

TEST_CASE("A program that is not there is named") {
  const auto exit = os::run({"no-such-program-of-ours"}, {});
  REQUIRE_FALSE(exit);
  CHECK(exit.error().kind == ErrorKind::io);
  CHECK_THAT(exit.error().message, ContainsSubstring("no-such-program-of-ours") && ContainsSubstring("No such file"));
  CHECK(os::run({}, {}).error().kind == ErrorKind::usage);
}

TEST_CASE("The environment of a command is ours with the changes asked for") {
  ::setenv("CLOUDOS_TEST_KEPT", "kept", 1);
  ::setenv("CLOUDOS_TEST_GONE", "gone", 1);
  const auto out = os::must(shell("echo $CLOUDOS_TEST_KEPT ${CLOUDOS_TEST_GONE-unset} $CLOUDOS_TEST_NEW"),
                            {.environment = {{"CLOUDOS_TEST_GONE", ""}, {"CLOUDOS_TEST_NEW", "new"}}});
  REQUIRE(out);
  CHECK(*out == "kept unset new\n");
}

TEST_CASE("A command runs in the folder asked for, and a missing one is named") {
  CHECK(*os::must({"pwd"}, {.directory = "/usr"}) == "/usr\n");
  const auto nowhere = os::must({"pwd"}, {.directory = "/no/such/folder"});
  REQUIRE_FALSE(nowhere);
  CHECK_THAT(nowhere.error().message, ContainsSubstring("/no/such/folder"));
}

TEST_CASE("A command inherits no descriptor but its three") {
  const int leak = ::fcntl(STDERR_FILENO, F_DUPFD, 100);  // without FD_CLOEXEC, as a library may do
  REQUIRE(leak >= 100);
  const auto out = os::must({"ls", "/proc/self/fd"});
  ::close(leak);
  REQUIRE(out);
  CHECK(*out == "0\n1\n2\n3\n");  // 3 is the folder that ls reads
}

TEST_CASE("A command starts with no signal blocked or ignored") {
  sigset_t blocked;
  sigset_t before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &blocked, &before);
  const auto old = ::signal(SIGHUP, SIG_IGN);
  const auto out = os::must({"cat", "/proc/self/status"});
  ::signal(SIGHUP, old);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  REQUIRE(out);
  CHECK_THAT(*out, ContainsSubstring("SigBlk:\t0000000000000000") && ContainsSubstring("SigIgn:\t0000000000000000"));
}

TEST_CASE("A program that handles secrets leaves no core dump") {
  const pid_t child = ::fork();
  if (child == 0) {
    os::forbid_core_dumps();
    rlimit limit{};
    getrlimit(RLIMIT_CORE, &limit);
    _exit(prctl(PR_GET_DUMPABLE) == 0 && limit.rlim_cur == 0 && limit.rlim_max == 0 ? 0 : 1);
  }
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}
