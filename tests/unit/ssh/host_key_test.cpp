// Whether the machine that answers is the one the operator means.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <format>
#include <thread>

#include "core/base/text.hpp"
#include "core/os/file/file.hpp"
#include "installer/ssh/known_hosts.hpp"
#include "sshd.hpp"

using namespace cloudos;
using namespace cloudos::ssh::test;

namespace {

std::string name_of(const Sshd& sshd) { return std::format("[127.0.0.1]:{}", sshd.port()); }

std::string fingerprint_of(const Sshd& sshd, const std::string& type) {
  return split(must_run({"ssh-keygen", "-lf", (sshd.folder() / ("host_" + type + ".pub")).string()}), ' ').at(1);
}

Status try_it(const ssh::Options& options, const ssh::Prompts& prompts = {}) {
  NullLog log;
  auto transport = ssh::connect(options, prompts, log);
  if (!transport) return std::unexpected(transport.error());
  const auto ran = run(**transport, {"true"});
  return ran ? Status{} : std::unexpected(ran.error());
}

std::string stranger(const Folder& folder) {
  const auto key = make_key(folder / "stranger", "ed25519");
  return read(key.string() + ".pub");
}

}  // namespace

TEST_CASE("a changed host key ends the connection before any authentication") {
  const Sshd sshd;
  const Folder folder;
  write(sshd.known_hosts(), "# mine\n" + name_of(sshd) + " " + stranger(folder));
  auto options = sshd.options();
  options.accept_new_host_keys = GENERATE(false, true);
  const auto status = try_it(options, {.secret = {}, .confirm = [](const std::string&) { return true; }});
  REQUIRE_FALSE(status);
  INFO(status.error().text());
  CHECK(status.error().kind == ErrorKind::trust);
  CHECK(exit_status(status.error().kind) == 3);
  CHECK(status.error().message.contains("has changed"));
  CHECK(status.error().message.contains(sshd.known_hosts().string() + ":2"));
  CHECK(status.error().message.contains(fingerprint_of(sshd, "ed25519")));
  CHECK(status.error().hint.contains("ssh-keygen -R"));
  CHECK_FALSE(sshd.log().contains("Accepted"));
  CHECK_FALSE(sshd.log().contains("publickey"));
}

TEST_CASE("a host that is known by one key and shows another type counts as changed") {
  const Sshd sshd({.host_key_types = {"ecdsa"}});
  const Folder folder;
  write(sshd.known_hosts(), name_of(sshd) + " " + stranger(folder));
  auto options = sshd.options();
  options.accept_new_host_keys = true;
  const auto status = try_it(options);
  REQUIRE_FALSE(status);
  CHECK(status.error().kind == ErrorKind::trust);
}

TEST_CASE("of several host keys the known one is asked for") {
  const std::string type = GENERATE("ed25519", "ecdsa", "rsa");
  const Sshd sshd;
  write(sshd.known_hosts(), name_of(sshd) + " " + sshd.host_key(type) + "\n");
  CHECK(try_it(sshd.options()));
}

TEST_CASE("a revoked host key is refused even where another line trusts it") {
  const Sshd sshd;
  const bool pinned = GENERATE(false, true);
  write(sshd.known_hosts(), std::format("{} {}\n@revoked * {}\n", name_of(sshd), sshd.host_key("ed25519"), sshd.host_key("ed25519")));
  auto options = sshd.options();
  if (pinned) options.pinned_host_key = fingerprint_of(sshd, "ed25519");
  const auto status = try_it(options);
  REQUIRE_FALSE(status);
  CHECK(status.error().kind == ErrorKind::trust);
  CHECK(status.error().message.contains("is revoked"));
  CHECK(status.error().message.contains(sshd.known_hosts().string() + ":2"));
}

TEST_CASE("hashed and wildcard lines are known") {
  const Sshd sshd;
  SECTION("hashed by ssh-keygen") {
    must_run({"ssh-keygen", "-H", "-f", sshd.known_hosts().string()});
    REQUIRE(read(sshd.known_hosts()).starts_with("|1|"));
    CHECK(try_it(sshd.options()));
  }
  SECTION("wildcard") {
    write(sshd.known_hosts(), std::format("[127.0.0.*]:{} {}\n", sshd.port(), sshd.host_key("ed25519")));
    CHECK(try_it(sshd.options()));
  }
  SECTION("known without its port, as ssh takes it") {
    write(sshd.known_hosts(), "127.0.0.1 " + sshd.host_key("ed25519") + "\n");
    CHECK(try_it(sshd.options()));
  }
  SECTION("negated") {
    write(sshd.known_hosts(), std::format("*,!127.0.0.1,!{} {}\n", name_of(sshd), sshd.host_key("ed25519")));
    CHECK_FALSE(try_it(sshd.options()));
  }
}

TEST_CASE("an unknown host key is refused, shown, asked for, or accepted and written down as ssh does") {
  const Sshd sshd;
  const Folder folder;
  auto options = sshd.options();
  options.known_hosts_file = (folder / ".ssh/known_hosts").string();
  SECTION("refused without a terminal") {
    const auto status = try_it(options);
    REQUIRE_FALSE(status);
    CHECK(status.error().kind == ErrorKind::trust);
    CHECK(status.error().message.contains(fingerprint_of(sshd, "ed25519")));
    CHECK(status.error().hint.contains("--accept-new-host-keys"));
    CHECK_FALSE(sshd.log().contains("Accepted"));
    CHECK_FALSE(fs::exists(options.known_hosts_file));
  }
  SECTION("the operator says no") {
    CHECK_FALSE(try_it(options, {.secret = {}, .confirm = [](const std::string&) { return false; }}));
    CHECK_FALSE(fs::exists(options.known_hosts_file));
  }
  SECTION("the operator says yes, and is asked once") {
    int asked = 0;
    const ssh::Prompts prompts{.secret = {}, .confirm = [&](const std::string& question) {
                                 ++asked;
                                 CHECK(question.contains(fingerprint_of(sshd, "ed25519")));
                                 return true;
                               }};
    CHECK(try_it(options, prompts));
    CHECK(try_it(options, prompts));
    CHECK(asked == 1);
  }
  SECTION("accepted") {
    options.accept_new_host_keys = true;
    CHECK(try_it(options));
    CHECK(read(options.known_hosts_file) == name_of(sshd) + " " + sshd.host_key("ed25519") + "\n");
    struct stat s{};
    REQUIRE(::stat(options.known_hosts_file.c_str(), &s) == 0);
    CHECK((s.st_mode & 0777) == 0600);
    // ssh itself finds it.
    CHECK(must_run({"ssh-keygen", "-F", name_of(sshd), "-f", options.known_hosts_file}).contains(sshd.host_key("ed25519")));
  }
  SECTION("accepted by several at once, written once, after a last line without its end") {
    options.accept_new_host_keys = true;
    write(options.known_hosts_file, "# no newline");
    {
      std::vector<std::jthread> threads;
      for (int i = 0; i < 4; ++i) threads.emplace_back([&] { [[maybe_unused]] const auto ignored = try_it(options); });
    }
    CHECK(read(options.known_hosts_file) == "# no newline\n" + name_of(sshd) + " " + sshd.host_key("ed25519") + "\n");
  }
}

TEST_CASE("who writes known_hosts waits for whoever else does") {
  const Folder folder;
  const auto file = folder / "known_hosts";
  write(file, "");
  os::Fd other(::open(file.c_str(), O_RDWR | O_CLOEXEC));
  REQUIRE(::flock(other.get(), LOCK_EX) == 0);
  Status status;
  std::jthread writer([&] { status = ssh::remember(file, "a", "ssh-rsa", std::string("\0\0\0\x07ssh-rsa", 11)); });
  std::this_thread::sleep_for(Milliseconds{200});
  CHECK(read(file).empty());
  other.reset();
  writer.join();
  CHECK(status);
  CHECK(read(file) == "a ssh-rsa AAAAB3NzaC1yc2E=\n");
}

TEST_CASE("a pinned key of any type wins over known_hosts") {
  const Sshd sshd;
  const Folder folder;
  write(sshd.known_hosts(), name_of(sshd) + " " + stranger(folder));
  auto options = sshd.options();
  for (const std::string type : {"ed25519", "ecdsa", "rsa"}) {
    options.pinned_host_key = fingerprint_of(sshd, type);
    CHECK(try_it(options));
  }
  options.pinned_host_key = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
  const auto status = try_it(options);
  REQUIRE_FALSE(status);
  CHECK(status.error().kind == ErrorKind::trust);
  CHECK(status.error().message.contains("is pinned"));
}

TEST_CASE("known_hosts lines that cannot be read are noted by number and change nothing else") {
  const auto hosts = ssh::parse_known_hosts(
      "a\n@revokd a ssh-rsa AAAA\na ssh-ed25519 !!!!\n|1|x|y ssh-rsa AAAAB3NzaC1yc2E=\n@cert-authority *.a ssh-rsa AAAAB3NzaC1yc2E=\n"
      "b ssh-ed25519 AAAAB3NzaC1yc2E=\n\n  # note\nc,D ssh-rsa AAAAB3NzaC1yc2E= a comment\n",
      "f");
  REQUIRE(hosts.entries.size() == 1);
  CHECK(hosts.entries[0].line == 9);
  CHECK(ssh::names(hosts.entries[0], "d"));
  REQUIRE(hosts.notes.size() == 6);
  CHECK(hosts.notes[1].contains("f:2 "));
  CHECK(hosts.notes[4].contains("certificates are not supported"));
}
