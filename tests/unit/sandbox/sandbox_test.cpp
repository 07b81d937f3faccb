#include "installer/sandbox/sandbox.hpp"

#include <catch2/catch_test_macros.hpp>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "core/os/file/file.hpp"
#include "installer/sandbox/child.hpp"
#include "installer/sandbox/names.hpp"
#include "installer/sandbox/needs.hpp"
#include "installer/sandbox/root.hpp"
#include "installer/sandbox/state.hpp"

using namespace cloudos;
using namespace cloudos::sandbox;

namespace {

Record two_machines() {
  Record record{.name = "dev", .release = "bookworm", .shell = "zsh", .subnet = {.prefix = "10.77.3"}, .machines = {}};
  REQUIRE(grow(record, 1, 1, {.cpus = 0.5, .memory = 2_GiB, .disk = 10_GiB}));
  return record;
}

}  // namespace

TEST_CASE("what is remembered of a sandbox is read back as it was") {
  const auto record = two_machines();
  const auto back = decode(encode(record));
  REQUIRE(back);
  CHECK(encode(*back) == encode(record));
  CHECK(back->machines.at(0).address == "10.77.3.11");
  CHECK(back->machines.at(1).size.cpus == 0.5);
}

TEST_CASE("a record of another version or a broken one is refused, not guessed at") {
  CHECK(decode(R"({"version":2})").error().message.contains("version 2"));
  CHECK(decode("{").error().kind == ErrorKind::input);
  CHECK(decode(R"({"version":1,"name":7})").error().kind == ErrorKind::input);
}

TEST_CASE("a sandbox grows: new machines come, those that are there keep their size and address") {
  auto record = two_machines();
  REQUIRE(grow(record, 3, 1, {.memory = 8_GiB}));
  REQUIRE(record.machines.size() == 4);
  CHECK(record.machines[0].size.memory == 2_GiB);
  CHECK(record.machines[3].name == "master-3");
  CHECK(record.machines[3].address == "10.77.3.13");
  REQUIRE(grow(record, 1, 0, {}));
  CHECK(record.machines.size() == 4);
  CHECK(grow(record, 90, 0, {}).error().kind == ErrorKind::usage);
}

TEST_CASE("a sandbox's name fits into a network link's name and into a path") {
  for (const auto* good : {"dev", "a", "sb-1", "abcdefghijk"}) {
    CHECK(check_name(good));
    CHECK(link_name(good).size() <= 15);
  }
  for (const auto* bad : {"", "abcdefghijkl", "Dev", "1a", "a-", "a/b", "..", "a.b", "a b"}) CHECK_FALSE(check_name(bad));
}

TEST_CASE("two sandboxes whose names begin alike never take each other's machines down") {
  CHECK_FALSE(group_name("sb-1", "node-1").starts_with(group_name("sb", "")));
}

TEST_CASE("what cannot be made is refused before anything is touched, with the nearest word") {
  CHECK(check_request({.shell = "zhs"}, true).error().hint.contains("'zsh'"));
  CHECK(check_request({.release = "bokworm"}, true).error().hint.contains("'bookworm'"));
  CHECK_FALSE(check_request({.masters = 0, .nodes = 0}, true));
  CHECK_FALSE(check_request({.size = {.memory = 1_MiB}}, true));
}

TEST_CASE("a Debian that cannot boot on this computer's control groups is refused, the default fits") {
  CHECK(check_request({.release = "trixie"}, false).error().hint.contains("--vm"));
  CHECK(check_request({.release = "trixie"}, true));
  CHECK(check_request({}, false)->release == "bookworm");
  CHECK(check_request({.kind = Kind::vm}, false)->release == "trixie");
}

TEST_CASE("the mirror is Debian's own entry, wherever in the list it stands") {
  CHECK(debian_mirror("Vendor Vendor https://vendor.example/apt/\nDebian Debian-Security http://s.example/\nDebian Debian "
                      "http://m.example/debian/\n") == "http://m.example/debian/");
  CHECK(debian_mirror("").empty());
}

TEST_CASE("a command for a machine reaches it as the same words, and its host key is checked") {
  const Sandbox one{.name = "dev", .key = "/k", .known_hosts = "/h"};
  const auto argv = ssh_command(one, {.name = "master-1", .address = "10.77.3.11"}, "ops", Argv{"echo", "a b", "$HOME"});
  CHECK(argv.words.back() == quote(Argv{"echo", "a b", "$HOME"}));
  CHECK(std::ranges::contains(argv.words, "StrictHostKeyChecking=yes"));
  CHECK(std::ranges::contains(argv.words, "UserKnownHostsFile=/h"));
  CHECK(ssh_command(one, {.address = "10.77.3.11"}, "root", {}).words.back() == "10.77.3.11");
}

TEST_CASE("a child's value and its error come back whole") {
  CHECK(in_child([]() -> Result<std::string> { return "two\nlines"; }) == "two\nlines");
  CHECK(in_child([] { return done({}); }) == "");
  const auto failed = in_child([]() -> Result<std::string> { return fail(ErrorKind::timeout, "too late", "try again"); });
  REQUIRE_FALSE(failed);
  CHECK(failed.error().kind == ErrorKind::timeout);
  CHECK(failed.error().message == "too late");
  CHECK(failed.error().hint == "try again");
  CHECK_FALSE(in_child([]() -> Result<std::string> { ::_exit(3); }));
}

TEST_CASE("a started program runs on its own, with none of our descriptors, and again when it asks to") {
  const auto at = fs::temp_directory_path() / "cloudos-sandbox-launch-test";
  REQUIRE(os::remove_tree(at));
  REQUIRE(os::make_folders(at));
  const auto lock = os::open(at / "held", O_RDWR | O_CREAT);
  REQUIRE(lock);
  REQUIRE(::flock(lock->get(), LOCK_EX) == 0);
  const auto turns = (at / "turns").string();
  // Asks to be started again (status 7) until it was there three times, and says then that it is over.
  const auto script = "echo >> " + turns + "; [ $(wc -l < " + turns + ") = 3 ] || exit 7; ls -l /proc/self/fd; echo over";
  REQUIRE(launch({.prepare = [] { return Status{}; }, .command = {"sh", "-c", script}, .log = (at / "log").string(), .again_on = 7}));
  std::string said;
  for (const auto end = in(Milliseconds{10'000}); !said.contains("over") && std::chrono::steady_clock::now() < end;)
    said = os::read_if_any(at / "log").value().value_or("");
  CHECK(said.contains("over"));
  CHECK_FALSE(said.contains((at / "held").string()));
  CHECK(os::read(turns) == "\n\n\n");
  REQUIRE(os::remove_tree(at));
}

TEST_CASE("a program that cannot be started, or whose preparation fails, is an error here and now") {
  const auto log = (fs::temp_directory_path() / "cloudos-sandbox-launch-error").string();
  const auto absent = launch({.prepare = [] { return Status{}; }, .command = {"/absent/program"}, .log = log});
  REQUIRE_FALSE(absent);
  CHECK(absent.error().message.contains("/absent/program"));
  const auto unready = launch({.prepare = [] { return Status(fail(ErrorKind::refused, "not ready")); }, .command = {"true"}, .log = log});
  REQUIRE_FALSE(unready);
  CHECK(unready.error().kind == ErrorKind::refused);
  fs::remove(log);
}
