// What ~/.ssh/config says about a machine, and the ways that lead over others.
#include <catch2/catch_test_macros.hpp>
#include <format>
#include <thread>

#include "installer/ssh/pattern.hpp"
#include "installer/ssh/ssh_config.hpp"
#include "sshd.hpp"

using namespace cloudos;
using namespace cloudos::ssh::test;

namespace {

const ssh::ConfigReader me{.home = "/home/me", .local_user = "me"};

ssh::HostConfig config_of(std::string_view text, const std::string& host) {
  auto config = ssh::parse_ssh_config(text, "config", host, me);
  INFO((config ? std::string() : config.error().text()));
  REQUIRE(config);
  return *config;
}

std::string complaint(std::string_view text) {
  auto config = ssh::parse_ssh_config(text, "config", "h", me);
  REQUIRE_FALSE(config);
  CHECK(config.error().kind == ErrorKind::input);
  return config.error().text();
}

Result<Ran> over(const ssh::Options& options, const ssh::Prompts& prompts = {}) {
  NullLog log;
  CLOUDOS_ASSIGN(auto transport, ssh::connect(options, prompts, log));
  return run(*transport, {"cat"}, std::string(3 << 20, 'x'));
}

}  // namespace

TEST_CASE("wildcards match as ssh's do") {
  CHECK(ssh::matches("*", ""));
  CHECK(ssh::matches("10.0.0.?", "10.0.0.4"));
  CHECK_FALSE(ssh::matches("10.0.0.?", "10.0.0.44"));
  CHECK(ssh::matches("*.a.*b", "x.a.a.bb"));
  CHECK_FALSE(ssh::matches("a*c", "ab"));
  const std::vector<std::string> list{"*.example", "!db.example"};
  CHECK(ssh::matches_list(list, "web.example"));
  CHECK_FALSE(ssh::matches_list(list, "db.example"));
}

TEST_CASE("the first value counts, identity files add up, and Host narrows") {
  const auto config = config_of(
      "User first\nHost a b* !bad\n  HostName=%h.example\n\tPort 2222\n  IdentityFile ~/k1\n  IdentityFile \"%d/k 2\"\n  User second\n"
      "Host *\n  IdentityFile /k/%h/%r\n  Port 1\n  IdentitiesOnly yes # only these\n  ForwardAgent yes\n",
      "a");
  CHECK(config.user == "first");
  CHECK(config.hostname == "a.example");
  CHECK(config.port == 2222);
  CHECK(config.identity_files == std::vector<std::string>{"/home/me/k1", "/home/me/k 2", "/k/a.example/first"});
  CHECK(config.identities_only);
  CHECK(config_of("Host b* !bad\nPort 7\n", "bad").port == 0);
}

TEST_CASE("Match is passed over with a note, with all that stands below it") {
  const auto config = config_of("Match user x\nPort 7\nHost h\nUser u\nMatch all\nPort 8\n", "h");
  CHECK(config.port == 8);
  CHECK(config.user == "u");
  REQUIRE(config.notes.size() == 1);
  CHECK(config.notes[0].starts_with("config:1: Match"));
}

TEST_CASE("ProxyJump is a list, and none ends it") {
  CHECK(config_of("ProxyJump a,ops@b:2200,ssh://[fd00::1]:22\n", "h").proxy_jump.size() == 3);
  CHECK(config_of("ProxyJump none\nProxyJump a\n", "h").proxy_jump.empty());
  const auto hop = ssh::parse_hop("ops@[fd00::1]:2200");
  REQUIRE(hop);
  CHECK(hop->user == "ops");
  CHECK(hop->host == "fd00::1");
  CHECK(hop->port == 2200);
  CHECK(ssh::parse_hop("fd00::1")->host == "fd00::1");
}

TEST_CASE("mistakes in ssh_config are told by file and line") {
  CHECK(complaint("\nPort none\n").starts_with("config:2: Port is none"));
  CHECK(complaint("Host\n").starts_with("config:1: Host needs a pattern"));
  CHECK(complaint("User \"x\n").starts_with("config:1: a quote is not closed"));
  CHECK(complaint("User a b\n").starts_with("config:1: user needs one value"));
  CHECK(complaint("ProxyJump -x\n").contains("begins with a dash"));
  CHECK(complaint("ProxyJump a:70000\n").contains("1 to 65535"));
  CHECK(complaint("HostName -oops\n").contains("begins with a dash"));
  CHECK(complaint("User -oops\n").contains("begins with a dash"));
  CHECK(complaint(std::string_view("a\0b\n", 4)).contains("not a text file"));
}

TEST_CASE("Include reads other files, and circles of them end") {
  const Folder folder;
  write(folder / "a.conf", "Host h\nPort 77\n");
  write(folder / "loop.conf", "Include " + (folder / "loop.conf").string() + "\n");
  const auto config = config_of("Include " + (folder / "a*.conf").string() + "\nUser u\nInclude /nonexistent/x\n", "h");
  CHECK(config.port == 77);
  CHECK(config.user == "u");
  CHECK(complaint("Include " + (folder / "loop.conf").string() + "\n").contains("deep"));
}

TEST_CASE("an alias of ssh_config leads to its machine") {
  const Sshd sshd;
  auto options = sshd.options();
  write(options.ssh_config_file,
        std::format("Host web\n  HostName 127.0.0.1\n  Port {}\n  User root\n  IdentityFile {}\n", sshd.port(), sshd.user_key().string()));
  options.host = "web";
  options.port = 0;
  options.user.clear();
  options.identity_file.clear();
  const auto ran = over(options);
  INFO((ran ? std::string() : ran.error().text()) << sshd.log());
  REQUIRE(ran);
  CHECK(ran->out.size() == 3 << 20);
}

TEST_CASE("a machine behind jump hosts is reached, each host key checked on the way") {
  const Sshd target, jump, outer;
  auto options = target.options();
  const std::string known = read(target.known_hosts()) + read(jump.known_hosts()) + read(outer.known_hosts());
  write(options.known_hosts_file, known);
  const auto config = [&](const Sshd& through, const std::string& jumps) {
    write(options.ssh_config_file,
          std::format("Host 127.0.0.1\nUser root\nHost jump\nHostName 127.0.0.1\nPort {}\nUser root\nIdentityFile {}\n"
                      "Host outer\nHostName 127.0.0.1\nPort {}\nUser root\nIdentityFile {}\nHost 127.0.0.1\nProxyJump {}\n",
                      through.port(), through.user_key().string(), outer.port(), outer.user_key().string(), jumps));
  };
  SECTION("over one") {
    config(jump, "jump");
    const auto ran = over(options);
    INFO((ran ? std::string() : ran.error().text()) << jump.log());
    REQUIRE(ran);
    CHECK(ran->out == std::string(3 << 20, 'x'));
    CHECK(jump.log().contains("Accepted publickey"));
  }
  SECTION("with a slow reader at this end") {
    config(jump, "jump");
    NullLog log;
    auto transport = ssh::connect(options, {}, log);
    REQUIRE(transport);
    std::string out;
    ssh::Streams streams{.out = [&](std::span<const std::byte> bytes) -> Status {
      std::this_thread::sleep_for(Milliseconds{1});
      out.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      return {};
    }};
    REQUIRE((*transport)->run({"seq", "1000000"}, std::move(streams), in(Milliseconds{60'000})));
    CHECK(out == must_run({"seq", "1000000"}));
  }
  SECTION("over two") {
    config(jump, "outer,jump");
    const auto ran = over(options);
    INFO((ran ? std::string() : ran.error().text()) << jump.log());
    REQUIRE(ran);
    CHECK(ran->out.size() == 3 << 20);
    CHECK(outer.log().contains("Accepted publickey"));
    CHECK(jump.log().contains("Accepted publickey"));
  }
  SECTION("an unknown key of a jump host ends it there") {
    config(jump, "jump");
    write(options.known_hosts_file, read(outer.known_hosts()));
    write(options.known_hosts_file, std::format("[127.0.0.1]:{} {}\n", target.port(), target.host_key("ed25519")));
    const auto ran = over(options);
    REQUIRE_FALSE(ran);
    CHECK(ran.error().kind == ErrorKind::trust);
    CHECK(ran.error().text().contains("jumping over jump"));
    CHECK_FALSE(jump.log().contains("Accepted"));
  }
  SECTION("a jump host that forbids forwarding is named") {
    const Sshd strict({.config = "AllowTcpForwarding no\n"});
    write(options.known_hosts_file, known + read(strict.known_hosts()));
    config(strict, "jump");
    const auto ran = over(options);
    REQUIRE_FALSE(ran);
    CHECK(ran.error().kind == ErrorKind::network);
    CHECK(ran.error().hint.contains("AllowTcpForwarding"));
  }
  SECTION("jump hosts in a circle end") {
    write(options.ssh_config_file, "Host *\nProxyJump 127.0.0.1\n");
    const auto ran = over(options);
    REQUIRE_FALSE(ran);
    CHECK(ran.error().message.contains("circle"));
  }
}
