// The way in that most people have: a user who may sudo with a password, whose login shell is not sh and who is greeted. On
// machines that are not empty: what was there before stays, during the install and after a reset.
#include <catch2/catch_test_macros.hpp>
#include <filesystem>
#include <fstream>
#include <optional>

#include "core/base/text.hpp"
#include "tests/machines/machines.hpp"
#include "tests/machines/neighbours.hpp"
#include "tests/machines/secrets.hpp"
#include "tests/machines/snapshot.hpp"

using namespace cloudos;
using namespace cloudos::machines;

namespace {

constexpr auto password = "correct horse 'battery' $taple";

std::string password_file() {
  const auto path = scratch() + "/ops-password";
  std::ofstream(path) << password << '\n';
  std::filesystem::permissions(path, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  return path;
}

std::string log_file() { return scratch() + "/access.log"; }

// Two masters, so that a certificate key is made too; on node-1 live others.
struct Access {
  Sandbox sandbox{"t-access", 2, 1, {"--shell", "fish", "--ops-password-file", password_file(), "--motd", "*** authorised use only ***"}};
  std::map<std::string, Snapshot> before;
  std::string alive;
  Ran installed;

  Access() {
    for (const auto& machine : sandbox.machines()) {
      carry_firewall(sandbox, machine, machine.role == "node");
      if (machine.role == "node") lay_neighbours(sandbox, machine);
    }
    alive = neighbours_alive(sandbox, node());
    for (const auto& machine : sandbox.machines()) before[machine.name] = take_snapshot(sandbox, machine);
    const Watch watch(sandbox);
    installed = as_ops({"install", "--masters", sandbox.addresses("master"), "--nodes", sandbox.addresses("node"), "--bundle", bundle(),
                        "--bundle-key", bundle_key(), "--yes", "--json", "-vv", "--log-file", log_file()});
  }
  [[nodiscard]] const Machine& node() const { return sandbox.named("node-1"); }
  [[nodiscard]] Ran as_ops(std::vector<std::string> args) const {
    args.insert(args.end(),
                {"--user", "ops", "--key", sandbox.key(), "--known-hosts", sandbox.known_hosts(), "--sudo-password-file", password_file()});
    return machines::cloudos(args);
  }
};

// Made by the first case that needs it, taken down by the last.
std::optional<Access>& kept() {
  static std::optional<Access> shared;
  return shared;
}
Access& access() {
  if (!kept()) kept().emplace();
  return *kept();
}

std::string tail(const Ran& ran) { return ran.out.substr(ran.out.size() > 4000 ? ran.out.size() - 4000 : 0) + ran.err; }

}  // namespace

TEST_CASE("a sudo user with a password, fish as login shell and a noisy greeting installs", "[access]") {
  auto& a = access();
  INFO(tail(a.installed));
  REQUIRE(a.installed.code == 0);
}

TEST_CASE("no password, token or key is written, logged, or seen in a process's arguments or environment", "[access]") {
  auto& a = access();
  REQUIRE(a.installed.code == 0);
  auto secrets = secrets_of(a.sandbox);
  CHECK(secrets.size() >= 20);  // tokens, and the keys of two masters and a node
  secrets.emplace_back(password);

  for (const auto& machine : a.sandbox.machines()) {
    INFO(machine.name);
    CHECK(leaks_on(a.sandbox, machine, secrets) == std::vector<std::string>{});
    // A certificate key is in nobody's hands after the install; a process that was given one as an argument shows it.
    CHECK(a.sandbox.on(machine, {"grep", "-aE", "certificate-?key[=: ]+[0-9a-f]{64}", "/root/watched/processes"}).code == 1);
    CHECK(a.sandbox.on(machine, {"grep", "-c", "kubeadm", "/root/watched/processes"}).code == 0);  // it was watched at all
  }
  const auto master = a.sandbox.named("master-1");
  CHECK(trim(a.sandbox.sh(master, "grep -c . /root/watched/tokens")) != "0");
  std::ofstream(scratch() + "/home/printed") << a.installed.out << a.installed.err;
  CHECK(leaks_below(scratch() + "/home", secrets) == std::vector<std::string>{});
  CHECK(leaks_below(log_file(), secrets) == std::vector<std::string>{});

  // The search finds what is there.
  a.sandbox.sh(master, "cp /etc/kubernetes/pki/sa.key /var/log/planted; systemd-cat -t planted sed -n 2p /etc/kubernetes/pki/ca.key");
  CHECK(leaks_on(a.sandbox, master, secrets) == std::vector<std::string>{"/var/log/planted", "journal"});
  CHECK(leaks_below(password_file(), secrets) == std::vector<std::string>{password_file()});
  a.sandbox.sh(master, "rm /var/log/planted");
  for (const auto& machine : a.sandbox.machines()) a.sandbox.sh(machine, "rm -rf /root/watched");
}

TEST_CASE("a container runtime that was there runs on, with its containers, its state and Docker's as they were", "[access]") {
  auto& a = access();
  REQUIRE(a.installed.code == 0);
  CHECK(neighbours_alive(a.sandbox, a.node()) == a.alive);
  const auto now = take_snapshot(a.sandbox, a.node());
  for (const auto& line : a.before[a.node().name]) {
    if (line.starts_with("sysctl ")) continue;  // forwarding is on now, on every link
    if (!line.contains("docker") && !line.contains("/containerd") && !line.contains("podman") && !line.contains("/opt/")) continue;
    INFO(line);
    CHECK(now.contains(line));
  }
}

TEST_CASE("a node is Ready by its own pod network, never by the one that another runtime has configured", "[access]") {
  auto& a = access();
  REQUIRE(a.installed.code == 0);
  const auto& master = a.sandbox.named("master-1");
  // A reset is to find no cache of kubectl's.
  const auto turns = [&](const std::string& ready) {
    const auto ran =
        kubectl(a.sandbox, master, {"--cache-dir=/run/kubectl", "wait", "node/node-1", "--for=condition=Ready=" + ready, "--timeout=120s"});
    INFO(ran.out << ran.err);
    CHECK(ran.code == 0);
  };
  turns("True");
  a.sandbox.sh(a.node(), "ls /etc/cni/net.d/87-podman.conflist && mv /etc/cloudos/cni/10-cloudos.conflist /root/");
  turns("False");
  // containerd hears of what is written there and of what is renamed there, not of what is moved in from elsewhere.
  a.sandbox.sh(a.node(), "cp -p /root/10-cloudos.conflist /etc/cloudos/cni/ && rm /root/10-cloudos.conflist");
  turns("True");
  a.sandbox.sh(master, "rm -rf /run/kubectl");
}

TEST_CASE("reset leaves a machine as it was", "[access]") {
  auto& a = access();
  REQUIRE(a.installed.code == 0);
  // One machine leaves first, then all; the members are known to the cluster: a master is enough to find them.
  const auto left = a.as_ops({"reset", "--yes", "--masters", a.sandbox.addresses("master"), "--nodes", a.node().address});
  INFO(left.out << left.err);
  CHECK(left.code == 0);
  const auto gone = a.as_ops({"reset", "--yes", "--masters", a.sandbox.addresses("master")});
  INFO(gone.out << gone.err);
  REQUIRE(gone.code == 0);
  for (const auto& machine : a.sandbox.machines()) {
    INFO(machine.name);
    CHECK(differences(a.before[machine.name], take_snapshot(a.sandbox, machine)) == std::vector<std::string>{});
  }
  CHECK(neighbours_alive(a.sandbox, a.node()) == a.alive);
  kept().reset();
}

TEST_CASE("a user who may sudo without a password reaches a machine with zsh, and a dry run leaves nothing there", "[access]") {
  const Sandbox sandbox("t-nopass", 1, 0, {"--shell", "zsh", "--motd", "*** authorised use only ***"});
  const auto& master = sandbox.named("master-1");
  sandbox.sh(master, "printf 'Defaults requiretty\\nops ALL=(ALL) NOPASSWD: ALL\\n' > /etc/sudoers.d/ops");
  carry_firewall(sandbox, master, false);
  const auto before = take_snapshot(sandbox, master);
  const auto dry = machines::cloudos({"install", "--dry-run", "--masters", master.address, "--user", "ops", "--key", sandbox.key(),
                                      "--known-hosts", sandbox.known_hosts(), "--bundle", bundle(), "--bundle-key", bundle_key()});
  INFO(dry.out << dry.err);
  CHECK(dry.code == 0);
  CHECK(dry.out.contains("a new cluster"));
  CHECK(differences(before, take_snapshot(sandbox, master)) == std::vector<std::string>{});
}
