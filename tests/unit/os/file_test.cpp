#include "core/os/file/file.hpp"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <chrono>
#include <future>
#include <thread>

#include "tests/support/temporary_folder.hpp"

using namespace cloudos;
using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using cloudos::test::TemporaryFolder;
namespace fs = std::filesystem;

namespace {

mode_t mode_of(const fs::path& path) {
  struct stat info{};
  REQUIRE(::lstat(path.c_str(), &info) == 0);
  return info.st_mode & 07777;
}

std::size_t files_in(const fs::path& folder) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

// Runs `work` in a mount namespace of its own; its result is the exit status. 99: this user may not make one.
int with_own_mounts(auto&& work) {
  const pid_t child = ::fork();
  if (child == 0) _exit(::unshare(CLONE_NEWNS) == 0 ? work() : 99);
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  return WEXITSTATUS(status);
}

}  // namespace

TEST_CASE("A file written has exactly the content and mode asked for, whatever the umask, and its folders are made") {
  const TemporaryFolder folder;
  const mode_t before = ::umask(077);
  const auto status = os::write_atomic(folder / "a/b/file", "content", 0644);
  ::umask(before);
  REQUIRE(status);
  CHECK(*os::read(folder / "a/b/file") == "content");
  CHECK(mode_of(folder / "a/b/file") == 0644);
  CHECK(mode_of(folder / "a/b") == 0755);
  REQUIRE(os::write_atomic(folder / "a/b/file", "secret", 0600));
  CHECK(*os::read(folder / "a/b/file") == "secret");
  CHECK(mode_of(folder / "a/b/file") == 0600);
  CHECK(files_in(folder / "a/b") == 1);
}

TEST_CASE("Who reads a file while it is replaced reads the old one to its end") {
  const TemporaryFolder folder;
  REQUIRE(os::write_atomic(folder / "file", "old", 0644));
  const auto reader = os::open(folder / "file", O_RDONLY);
  REQUIRE(reader);
  REQUIRE(os::write_atomic(folder / "file", "new and longer", 0644));
  char buffer[32];
  CHECK(std::string_view(buffer, static_cast<std::size_t>(::read(reader->get(), buffer, sizeof buffer))) == "old");
}

TEST_CASE("A file that cannot be written leaves nothing behind and names itself") {
  const TemporaryFolder folder;
  fs::create_directories(folder / "name/taken");
  const auto status = os::write_atomic(folder / "name", "x", 0644);
  REQUIRE_FALSE(status);
  CHECK(status.error().kind == ErrorKind::io);
  CHECK_THAT(status.error().message, ContainsSubstring((folder / "name").string()));
  CHECK(files_in(folder.path()) == 1);
}

TEST_CASE("A file larger than allowed is not read into memory") {
  const TemporaryFolder folder;
  REQUIRE(os::write_atomic(folder / "big", std::string(100'000, 'x'), 0644));
  CHECK(os::read(folder / "big", 100'000)->size() == 100'000);
  const auto refused = os::read(folder / "big", 99'999);
  REQUIRE_FALSE(refused);
  CHECK_THAT(refused.error().message, ContainsSubstring("99999 bytes"));
}

TEST_CASE("Files of /proc, whose size is said to be 0, are read whole") {
  CHECK_THAT(*os::read("/proc/self/status"), ContainsSubstring("VmRSS"));
}

TEST_CASE("A file that need not be there is nothing, and one that must be is an error with its name") {
  const TemporaryFolder folder;
  CHECK(*os::read_if_any(folder / "none") == std::nullopt);
  CHECK(*os::read_if_any(folder / "none/below") == std::nullopt);
  REQUIRE(os::write_atomic(folder / "empty", "", 0644));
  CHECK(*os::read_if_any(folder / "empty") == "");
  const auto missing = os::read(folder / "none");
  REQUIRE_FALSE(missing);
  CHECK_THAT(missing.error().message, ContainsSubstring((folder / "none").string()) && ContainsSubstring("No such file"));
}

TEST_CASE("A journal record that does not fit the disk leaves the journal as it was") {
  const TemporaryFolder folder;
  const auto fd = os::open(folder / "journal", O_WRONLY | O_CREAT | O_APPEND);
  REQUIRE(fd);
  REQUIRE(os::append_synced(fd->get(), "first\n"));
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const auto old = ::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{.rlim_cur = 10, .rlim_max = before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  const auto status = os::append_synced(fd->get(), "second\n");
  setrlimit(RLIMIT_FSIZE, &before);
  ::signal(SIGXFSZ, old);
  CHECK_FALSE(status);
  CHECK(*os::read(folder / "journal") == "first\n");
  REQUIRE(os::append_synced(fd->get(), "third\n"));
  CHECK(*os::read(folder / "journal") == "first\nthird\n");
}

TEST_CASE("A file where a folder must be is named") {
  const TemporaryFolder folder;
  REQUIRE(os::write_atomic(folder / "file", "", 0644));
  const auto status = os::make_folders(folder / "file/below");
  REQUIRE_FALSE(status);
  CHECK_THAT(status.error().message, ContainsSubstring((folder / "file").string()) && ContainsSubstring("Not a directory"));
  CHECK(os::make_folders(folder / "x/y/z/"));
  CHECK(os::make_folders(folder / "x/y/z"));
  CHECK(fs::is_directory(folder / "x/y/z"));
}

TEST_CASE("A link is moved to its new target without ever being away") {
  const TemporaryFolder folder;
  REQUIRE(os::link_atomic(folder / "current", "versions/1"));
  REQUIRE(os::link_atomic(folder / "current", "versions/2"));
  CHECK(fs::read_symlink(folder / "current") == "versions/2");
  CHECK(files_in(folder.path()) == 1);
}

TEST_CASE("Removing a tree removes all of it and nothing that its links point to") {
  const TemporaryFolder folder;
  REQUIRE(os::write_atomic(folder / "outside/kept", "kept", 0644));
  REQUIRE(os::write_atomic(folder / "tree/a/b/c", "x", 0400));
  fs::create_directory_symlink(folder / "outside", folder / "tree/a/link");
  fs::create_symlink(folder / "nowhere", folder / "tree/dangling");
  REQUIRE(os::remove_tree(folder / "tree"));
  CHECK_FALSE(fs::exists(fs::symlink_status(folder / "tree")));
  CHECK(*os::read(folder / "outside/kept") == "kept");

  fs::create_directory_symlink(folder / "outside", folder / "link");
  REQUIRE(os::remove_tree(folder / "link"));
  CHECK(*os::read(folder / "outside/kept") == "kept");
  CHECK(os::remove_tree(folder / "never/was"));
  REQUIRE(os::remove_tree(folder / "outside/"));
  CHECK(files_in(folder.path()) == 0);
  CHECK_FALSE(os::remove_tree("/"));
  CHECK_FALSE(os::remove_tree(folder / ".."));
}

TEST_CASE("Removing a tree stops at a mount in it, also at one of the same filesystem") {
  const TemporaryFolder folder;
  REQUIRE(os::write_atomic(folder / "volume/data", "precious", 0644));
  fs::create_directories(folder / "tree/mounted");
  const int result = with_own_mounts([&] {
    if (::mount((folder / "volume").c_str(), (folder / "tree/mounted").c_str(), nullptr, MS_BIND, nullptr) != 0) return 99;
    const auto status = os::remove_tree(folder / "tree");
    return !status && status.error().message.contains("mount point") && fs::exists(folder / "volume/data") ? 0 : 1;
  });
  REQUIRE(result == 0);  // 99: the mount was refused; the build root has root
  CHECK(*os::read(folder / "volume/data") == "precious");
}

TEST_CASE("Only one holds a lock, and who comes second is told who holds it and since when") {
  const TemporaryFolder folder;
  {
    const auto first = os::Lock::try_take(folder / "run/lock", "apply 0123 (process 77)");
    REQUIRE(first);
    const auto second = os::Lock::try_take(folder / "run/lock", "undo");
    REQUIRE_FALSE(second);
    CHECK(second.error().kind == ErrorKind::conflict);
    CHECK_THAT(second.error().message, ContainsSubstring("apply 0123 (process 77), since 20") && ContainsSubstring("UTC"));
  }
  CHECK(os::Lock::try_take(folder / "run/lock", "undo"));
}

TEST_CASE("Waiting for a lock ends when it is free or the deadline passes") {
  const TemporaryFolder folder;
  auto held = std::make_optional(os::Lock::try_take(folder / "lock", "holder"));
  REQUIRE(held->has_value());
  const auto late = os::Lock::take(folder / "lock", "waiter", in(250ms));
  REQUIRE_FALSE(late);
  CHECK(late.error().kind == ErrorKind::conflict);
  auto waiting = std::async(std::launch::async, [&] { return os::Lock::take(folder / "lock", "waiter", Deadline::max()).has_value(); });
  std::this_thread::sleep_for(50ms);
  held.reset();
  CHECK(waiting.get());
}

TEST_CASE("A lock whose file was removed keeps nobody out of the new one, and nobody in") {
  const TemporaryFolder folder;
  const auto old = os::Lock::try_take(folder / "lock", "old");
  REQUIRE(old);
  fs::remove(folder / "lock");
  const auto first = os::Lock::try_take(folder / "lock", "new");
  REQUIRE(first);
  CHECK_FALSE(os::Lock::try_take(folder / "lock", "third"));
}

TEST_CASE("A lock whose file is removed before it is released still lets in one at a time") {
  const TemporaryFolder folder;
  std::atomic<int> inside = 0;
  std::atomic<int> most = 0;
  const auto work = [&] {
    for (int taken = 0; taken < 1000;) {
      const auto lock = os::Lock::try_take(folder / "lock", "worker");
      if (!lock) continue;
      ++taken;
      const int now = ++inside;
      if (now > most) most = now;
      std::this_thread::sleep_for(100us);
      // Inside ends here: once the name is gone, the next one may take a new file of that name.
      --inside;
      fs::remove(folder / "lock");
    }
  };
  std::vector<std::jthread> workers;
  for (int i = 0; i < 3; ++i) workers.emplace_back(work);
  workers.clear();
  CHECK(most == 1);
}

TEST_CASE("Space is told in bytes and inodes") {
  const TemporaryFolder folder;
  const auto space = os::space_of(folder.path());
  REQUIRE(space);
  CHECK(space->total >= space->free);
  CHECK(space->free > 1_MiB);
  CHECK_FALSE(os::space_of(folder / "none"));
}
