// What stands between a login and root: sudo, login shells and their noise.
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <memory>

#include "installer/ssh/command.hpp"
#include "sshd.hpp"

using namespace cloudos;
using namespace cloudos::ssh::test;

namespace {

Result<Ran> as_ops(const Sshd& sshd, std::optional<Secret> sudo_password, const ssh::Prompts& prompts = {}, const Argv& argv = {"cat"},
                   std::string in = "payload\n") {
  auto options = sshd.options();
  options.user = "ops";
  options.sudo_password = std::move(sudo_password);
  NullLog log;
  auto transport = ssh::connect(options, prompts, log);
  INFO((transport ? std::string() : transport.error().text()) << sshd.log());
  REQUIRE(transport);
  return run(**transport, argv, std::move(in), Milliseconds{10'000});
}

}  // namespace

TEST_CASE("sudo's password goes before the payload and the payload is left whole") {
  // In the script the password stands in single quotes.
  const Sshd sshd(with_sudo("it'\\''s a \"secret\" $x"));
  const auto ran = as_ops(sshd, Secret{"it's a \"secret\" $x"});
  INFO((ran ? std::string() : ran.error().text()));
  // The lecture is noise, too.
  REQUIRE(ran);
  CHECK(ran->out == "payload\n");
  CHECK(ran->err.empty());
}

TEST_CASE("sudo without a password gets none, and the payload is left whole") {
  const Sshd sshd({.sudo = "#!/bin/sh\nshift 4\nexec \"$@\"\n"});
  const auto ran = as_ops(sshd, GENERATE(std::optional<Secret>{}, std::optional<Secret>{Secret{"unused"}}));
  REQUIRE(ran);
  CHECK(ran->out == "payload\n");
}

TEST_CASE("the login password is sudo's where no other is given") {
  const Sshd sshd(with_sudo("correct horse"));
  auto options = sshd.options();
  options.user = "ops";
  options.password = Secret{"correct horse"};
  NullLog log;
  auto transport = ssh::connect(options, {}, log);
  REQUIRE(transport);
  const auto ran = run(**transport, {"echo", "x"});
  REQUIRE(ran);
  CHECK(ran->out == "x\n");
}

TEST_CASE("a sudo password that is missing is asked for once and kept") {
  const Sshd sshd(with_sudo("opensesame"));
  auto options = sshd.options();
  options.user = "ops";
  NullLog log;
  int asked = 0;
  auto transport = ssh::connect(options, {.secret = [&](const std::string& what) -> std::optional<Secret> {
                                  CHECK(what.starts_with("sudo password of ops@127.0.0.1"));
                                  ++asked;
                                  return Secret{"opensesame"};
                                }},
                                log);
  REQUIRE(transport);
  CHECK(run(**transport, {"true"}));
  CHECK(run(**transport, {"true"}));
  CHECK(asked == 1);
}

TEST_CASE("what sudo refuses is one clear auth error") {
  struct Case {
    std::string sudo;
    std::optional<Secret> password;
    std::string message, hint;
  };
  const auto c = GENERATE(values<Case>({
      {with_sudo("right").sudo, Secret{"wrong"}, "did not accept the password", "--ask-sudo-password"},
      {with_sudo("right").sudo, std::nullopt, "wants a password and none was given", "NOPASSWD"},
      {"#!/bin/sh\necho 'sudo: sorry, you must have a tty to run sudo' >&2\nexit 1\n", Secret{"x"}, "insists on a terminal", "!requiretty"},
      {"#!/bin/sh\nprintf %s \"$3\" >&2; read -r x\necho 'ops is not in the sudoers file.' >&2\nexit 1\n", Secret{"x"},
       "may not become root", "sudoers"},
      {"#!/bin/sh\nprintf %s \"$3\" >&2; read -r x\necho 'sudo: 1 incorrect password attempt' >&2\nexit 1\n", Secret{"x"},
       "did not accept the password", "--ask-sudo-password"},
  }));
  const Sshd sshd({.sudo = c.sudo});
  const auto ran = as_ops(sshd, c.password);
  REQUIRE_FALSE(ran);
  INFO(ran.error().text());
  CHECK(ran.error().kind == ErrorKind::auth);
  CHECK(ran.error().message.contains(c.message));
  CHECK(ran.error().message.contains("ops@127.0.0.1"));
  CHECK(ran.error().hint.contains(c.hint));
  CHECK_FALSE(ran.error().text().contains("cloudos-sudo-"));
}

TEST_CASE("a wrong sudo password is given once, so that no account is locked by us") {
  const Sshd sshd(with_sudo("right"));
  CHECK_FALSE(as_ops(sshd, Secret{"wrong"}));
  CHECK(read(sshd.home() / "tries") == "try\n");
}

TEST_CASE("a sudo that insists on a terminal gets one, and the streams stay as they were") {
  auto spec = with_sudo("opensesame");
  spec.sudo.insert(
      spec.sudo.find('\n') + 1,
      "tty=$(cut -d' ' -f7 /proc/$$/stat); [ \"$tty\" != 0 ] || { echo 'sudo: sorry, you must have a tty to run sudo' >&2; exit 1; }\n");
  const Sshd sshd(std::move(spec));
  std::string payload(300'000, 'p');
  payload += std::string("\x04\x03\x1a\r\0\n", 6);  // what a terminal would take for orders
  const auto ran = as_ops(sshd, Secret{"opensesame"}, {}, {"sh", "-c", "cat; echo err >&2; exit 7"}, payload);
  INFO((ran ? std::string() : ran.error().text()));
  REQUIRE(ran);
  CHECK(ran->out == payload);
  CHECK(ran->err == "err\n");
  CHECK(ran->exit.code == 7);
}

TEST_CASE("a machine without sudo is named") {
  const Sshd sshd({.without_sudo = true});
  const auto ran = as_ops(sshd, std::nullopt);
  REQUIRE_FALSE(ran);
  CHECK(ran.error().message.contains("has no sudo"));
}

TEST_CASE("noise of the login shell is dropped from both streams") {
  auto spec = with_sudo("x");
  spec.shell = "/bin/bash";
  const Sshd sshd(std::move(spec));
  // bash reads it under sshd, also for commands.
  write(sshd.home() / ".bashrc", "echo 'Welcome to cloudos-begin-'; echo careful >&2; printf 'no newline'; printf 'none here' >&2\n", 0644);
  const auto ran = as_ops(sshd, Secret{"x"}, {}, {"sh", "-c", "cat; echo err >&2"});
  REQUIRE(ran);
  CHECK(ran->out == "payload\n");
  CHECK(ran->err == "err\n");
}

TEST_CASE("every login shell hands the words on as they are") {
  const std::string shell = GENERATE("bash", "dash", "zsh", "fish", "ksh");
  CAPTURE(shell);
  REQUIRE(fs::exists("/usr/bin/" + shell));
  auto spec = with_sudo("x");
  spec.shell = "/usr/bin/" + shell;
  const Sshd sshd(std::move(spec));
  for (const auto* rc : {".bashrc", ".zshenv", ".config/fish/config.fish", ".kshrc"}) write(sshd.home() / rc, "echo noise\n", 0644);
  const std::string odd = "it's \"a\" \\ $HOME `id` * ? ~ ! {a,b} ; & | < > # % = \n end\\";
  const auto ran = as_ops(sshd, Secret{"x"}, {}, {"printf", "%s|%s|%s", odd, "", "-n"});
  INFO((ran ? std::string() : ran.error().text()));
  REQUIRE(ran);
  CHECK(ran->out == odd + "||-n");
  const auto ended = as_ops(sshd, Secret{"x"}, {}, {"sh", "-c", "kill -KILL $$"});
  REQUIRE(ended);
  CHECK(ended->exit.signal == "KILL");
}

TEST_CASE("the real sudo takes its password before the payload") {
  const std::string defaults = GENERATE("", "Defaults lecture=always\n", "Defaults passwd_tries=1\n", "Defaults pwfeedback\n",
                                        "Defaults timestamp_type=global\n", "Defaults use_pty\n");
  const std::string rule = GENERATE("ops ALL=(ALL:ALL) ALL\n", "ops ALL=(ALL:ALL) NOPASSWD: ALL\n");
  CAPTURE(defaults, rule);
  const Sshd sshd({.sudoers = defaults + "root ALL=(ALL) ALL\n" + rule});
  const std::string payload(100'000, 'p');
  for (int i = 0; i < 2; ++i) {
    const auto ran = as_ops(sshd, Secret{"correct horse"}, {}, {"sh", "-c", "id -u; cat"}, payload);
    INFO((ran ? std::string() : ran.error().text()));
    REQUIRE(ran);
    CHECK(ran->out == "0\n" + payload);
  }
  if (rule.contains("NOPASSWD")) return;
  if (defaults.contains("global")) return;  // it remembers the right one
  const auto wrong = as_ops(sshd, Secret{"wrong"});
  REQUIRE_FALSE(wrong);
  CHECK(wrong.error().message.contains("did not accept the password"));
}

TEST_CASE("the real sudo's refusals are told") {
  SECTION("a terminal that it insists on is given to it") {
    const std::string payload = std::string(100'000, 'p') + std::string("\x04\x03\r\0\n", 5);
    const auto ran = as_ops(Sshd({.sudoers = "Defaults requiretty\nops ALL=(ALL) ALL\n"}), Secret{"correct horse"}, {},
                            {"sh", "-c", "id -u; cat; echo err >&2; exit 7"}, payload);
    INFO((ran ? std::string() : ran.error().text()));
    REQUIRE(ran);
    CHECK(ran->out == "0\n" + payload);
    CHECK(ran->err == "err\n");
    CHECK(ran->exit.code == 7);
  }
  SECTION("not in sudoers") {
    const auto ran = as_ops(Sshd({.sudoers = "root ALL=(ALL) ALL\n"}), Secret{"correct horse"});
    REQUIRE_FALSE(ran);
    CHECK(ran.error().message.contains("may not become root"));
  }
}

TEST_CASE("an endless welcome ends") {
  const Sshd sshd({.shell = "/bin/bash"});
  write(sshd.home() / ".bashrc", "yes\n", 0644);
  const auto ran = as_ops(sshd, std::nullopt);
  REQUIRE_FALSE(ran);
  CHECK(ran.error().message.contains("before the command started"));
}

TEST_CASE("a login shell that runs nothing is told in its own words, made safe for a terminal") {
  const Folder folder;
  write(folder / "shell", "#!/bin/sh\nprintf 'account \\033[31mclosed\\n'\nexit 1\n", 0755);
  const Sshd sshd({.shell = (folder / "shell").string()});
  const auto ran = as_ops(sshd, std::nullopt);
  REQUIRE_FALSE(ran);
  CHECK(ran.error().kind == ErrorKind::auth);
  CHECK(ran.error().message.contains("closed"));
  CHECK_FALSE(ran.error().message.contains('\033'));
}

TEST_CASE("the marker is found however the stream is cut") {
  const auto wrapped = ssh::wrap({"true"}, ssh::Root::sudo, "0123456789abcdef");
  const std::string stream = "noise\n\n" + wrapped.marker + "\nthe rest\n" + wrapped.marker + "\n";
  for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
    ssh::Noise noise(wrapped.marker);
    std::string out;
    CHECK(noise.feed(std::as_bytes(std::span(stream).first(cut)), into(out)));
    CHECK(noise.feed(std::as_bytes(std::span(stream).subspan(cut)), into(out)));
    CHECK(noise.over());
    CHECK(out == "the rest\n" + wrapped.marker + "\n");
  }
}

TEST_CASE("the wrapped command never carries a secret and names sudo only when root is wanted") {
  CHECK(ssh::wrap({"true"}, ssh::Root::sudo, "r").line.contains("sudo -S"));
  CHECK_FALSE(ssh::wrap({"true"}, ssh::Root::as_is, "r").line.contains("sudo -S"));
}
