// Who may log in, and what is said when nobody may.
#include <sys/stat.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <csignal>
#include <cstdlib>
#include <memory>

#include "core/base/text.hpp"
#include "sshd.hpp"

using namespace cloudos;
using namespace cloudos::ssh::test;

namespace {

// A real ssh-agent with some keys, known by SSH_AUTH_SOCK while the object lives.
class Agent {
 public:
  explicit Agent(const std::vector<fs::path>& keys) {
    const std::string said = must_run({"ssh-agent", "-s", "-a", (folder_ / "agent").string()});
    const auto at = said.find("SSH_AGENT_PID=") + 14;
    pid_ = std::stoi(said.substr(at));
    ::setenv("SSH_AUTH_SOCK", (folder_ / "agent").c_str(), 1);
    for (const auto& key : keys) must_run({"ssh-add", "-q", key.string()});
  }
  ~Agent() {
    ::unsetenv("SSH_AUTH_SOCK");
    ::kill(pid_, SIGTERM);
  }
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;
  [[nodiscard]] int pid() const { return pid_; }

 private:
  Folder folder_;
  int pid_ = -1;
};

Error refused(const ssh::Options& options, const ssh::Prompts& prompts = {}) {
  NullLog log;
  auto transport = ssh::connect(options, prompts, log);
  REQUIRE_FALSE(transport);
  INFO(transport.error().text());
  return transport.error();
}

bool works(const Sshd& sshd, const ssh::Options& options, const ssh::Prompts& prompts = {}) {
  NullLog log;
  auto transport = ssh::connect(options, prompts, log);
  INFO((transport ? std::string() : transport.error().text()) << "\n" << sshd.log());
  REQUIRE(transport);
  const auto ran = run(**transport, {"echo", "in"});
  INFO((ran ? std::string() : ran.error().text()));
  REQUIRE(ran);
  return ran->out == "in\n";
}

// The options without the key that the server knows.
ssh::Options without_key(const Sshd& sshd, const std::string& user) {
  auto options = sshd.options();
  options.user = user;
  options.identity_file.clear();
  write(sshd.folder() / "ssh_config", "IdentityFile " + (sshd.folder() / "no-such-key").string() + "\n");
  options.become_root = false;
  return options;
}

}  // namespace

TEST_CASE("keys of every kind log in, encrypted or not") {
  const Folder folder;
  const std::string type = GENERATE("ed25519", "ecdsa", "rsa");
  const std::string passphrase = GENERATE("", "open sesame");
  CAPTURE(type, passphrase);
  const auto key = make_key(folder / "key", type, passphrase);
  const Sshd sshd({.authorized_keys = {read(key.string() + ".pub")}});
  auto options = sshd.options();
  options.identity_file = key.string();
  if (!passphrase.empty()) options.passphrase = Secret{passphrase};
  CHECK(works(sshd, options));
}

TEST_CASE("keys in the older PEM formats log in") {
  const Folder folder;
  const std::string format = GENERATE("PEM", "PKCS8");
  const std::string passphrase = GENERATE("", "open sesame");
  CAPTURE(format, passphrase);
  const auto key = folder / "key";
  must_run({"ssh-keygen", "-q", "-t", "rsa", "-m", format, "-N", passphrase, "-f", key.string()});
  const Sshd sshd({.authorized_keys = {read(key.string() + ".pub")}});
  auto options = sshd.options();
  options.identity_file = key.string();
  if (!passphrase.empty()) options.passphrase = Secret{passphrase};
  CHECK(works(sshd, options));
}

TEST_CASE("an encrypted key asks for its passphrase, once, and says so where it cannot") {
  const Folder folder;
  const auto key = make_key(folder / "key", "ed25519", "open sesame");
  const Sshd sshd({.authorized_keys = {read(key.string() + ".pub")}});
  auto options = sshd.options();
  options.identity_file = key.string();

  std::vector<std::string> asked;
  CHECK(works(sshd, options, {.secret = [&](const std::string& what) {
                asked.push_back(what);
                return Secret{"open sesame"};
              }}));
  CHECK(asked == std::vector<std::string>{"passphrase of " + key.string()});

  const auto silent = refused(options);
  CHECK(silent.kind == ErrorKind::auth);
  CHECK(silent.message.contains("is encrypted and no passphrase was given"));
  CHECK(silent.hint.contains("ssh-add"));

  options.passphrase = Secret{"wrong"};
  const auto wrong = refused(options);
  CHECK(wrong.kind == ErrorKind::auth);
  CHECK(wrong.message.contains("passphrase does not open"));
}

TEST_CASE("a key file that cannot be meant is named") {
  const Sshd sshd;
  auto options = sshd.options();
  SECTION("missing") {
    options.identity_file = "/nonexistent/key";
    CHECK(refused(options).message == "there is no key file /nonexistent/key");
  }
  SECTION("the public half") {
    options.identity_file += ".pub";
    CHECK(refused(options).hint == "give the file without .pub");
  }
  SECTION("readable by others") {
    REQUIRE(::chmod(options.identity_file.c_str(), 0644) == 0);
    CHECK(refused(options).hint == "chmod 600 " + options.identity_file);
  }
  SECTION("broken inside") {
    write(options.identity_file,
          "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ==\n-----END OPENSSH PRIVATE KEY-----\n");
    CHECK(refused(options).message.contains("cannot be used"));
  }
}

TEST_CASE("a key that the machine does not know is refused, with what was tried and what is taken") {
  const Folder folder;
  const Sshd sshd({.config = "PasswordAuthentication no\n"});
  auto options = sshd.options();
  options.identity_file = make_key(folder / "stranger", "ed25519").string();
  const auto error = refused(options);
  CHECK(error.kind == ErrorKind::auth);
  CHECK(error.message.contains("tried: " + options.identity_file));
  CHECK(error.hint.contains("publickey"));
}

TEST_CASE("the agent's keys log in") {
  const Folder folder;
  const std::string type = GENERATE("ed25519", "ecdsa", "rsa");
  CAPTURE(type);
  const auto key = make_key(folder / "key", type);
  const Sshd sshd({.authorized_keys = {read(key.string() + ".pub")}});
  const Agent agent({key});
  CHECK(works(sshd, without_key(sshd, "root")));
}

TEST_CASE("an encrypted key that the agent holds open needs no passphrase") {
  const Folder folder;
  const auto key = make_key(folder / "key", "ed25519");
  const Agent agent({key});
  must_run({"ssh-keygen", "-q", "-p", "-P", "", "-N", "secret", "-f", key.string()});
  const Sshd sshd({.authorized_keys = {read(key.string() + ".pub")}});
  auto options = sshd.options();
  options.identity_file = key.string();
  CHECK(works(sshd, options));
}

TEST_CASE("an agent that hangs is passed over") {
  const Sshd sshd;
  const Agent agent({});
  REQUIRE(::kill(agent.pid(), SIGSTOP) == 0);
  auto options = sshd.options();
  options.connect_timeout = Milliseconds{1000};
  write(sshd.folder() / "ssh_config", "IdentityFile " + options.identity_file + "\n");
  options.identity_file.clear();
  CHECK(works(sshd, options));
  ::kill(agent.pid(), SIGCONT);
}

TEST_CASE("more agent keys than the machine has patience for are named as the cause") {
  const Folder folder;
  std::vector<fs::path> keys;
  for (int i = 0; i < 5; ++i) keys.push_back(make_key(folder / ("key" + std::to_string(i)), "ed25519"));
  const Sshd sshd({.config = "MaxAuthTries 3\n"});
  const Agent agent(keys);
  const auto error = refused(without_key(sshd, "root"));
  INFO(error.text());
  CHECK(error.kind == ErrorKind::auth);
  CHECK(error.hint.contains("a few tries"));
}

TEST_CASE("a password logs in, plain or asked for by the machine") {
  const std::string config = GENERATE("", "PasswordAuthentication no\nKbdInteractiveAuthentication yes\n");
  CAPTURE(config);
  const Sshd sshd({.config = config});
  auto options = without_key(sshd, "ops");
  SECTION("given") {
    options.password = Secret{"correct horse"};
    CHECK(works(sshd, options));
  }
  SECTION("asked for") {
    CHECK(works(sshd, options, {.secret = [](const std::string& what) -> std::optional<Secret> {
                  CHECK(what.contains("ops@127.0.0.1"));
                  return Secret{"correct horse"};
                }}));
  }
  SECTION("wrong") {
    options.password = Secret{"battery staple"};
    const auto error = refused(options);
    CHECK(error.kind == ErrorKind::auth);
    CHECK(error.message.contains("accepts none of our credentials"));
    CHECK_FALSE(error.text().contains("battery"));
  }
  SECTION("none") { CHECK(refused(options).kind == ErrorKind::auth); }
}

TEST_CASE("no secret reaches the log, the environment or a command line") {
  struct Lines final : Log {
    void write(Level, std::string_view line) override { text += std::string(line) + "\n"; }
    std::string text;
  } log;
  auto spec = with_sudo("tops3cret-sudo");
  const Sshd sshd(std::move(spec));
  auto options = without_key(sshd, "ops");
  options.password = Secret{"correct horse"};
  options.sudo_password = Secret{"tops3cret-sudo"};
  options.become_root = true;
  auto transport = ssh::connect(options, {}, log);
  REQUIRE(transport);
  // Everything that other users of the machine can see of the processes on it.
  const auto ran = run(**transport, {"sh", "-c", "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'"});
  REQUIRE(ran);
  for (const std::string secret : {"correct horse", "tops3cret-sudo"}) {
    CHECK_FALSE(ran->out.contains(secret));
    CHECK_FALSE(log.text.contains(secret));
    CHECK_FALSE(sshd.log().contains(secret));
  }
}
