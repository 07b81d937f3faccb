// The way in that most people have: a user who may sudo with a password, whose login shell is not sh and who is greeted.
#include <catch2/catch_test_macros.hpp>
#include <filesystem>
#include <fstream>

#include "tests/machines/machines.hpp"

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

// Files under the folders of ours and of Kubernetes, units, links, and what the kernel holds for us: the machine as it stands.
constexpr auto snapshot = R"(
ls -A /etc/systemd/system /etc/systemd/system/*.wants /etc/sysctl.d /etc/modules-load.d /usr/local/bin /opt 2>/dev/null
ls -d /etc/kubernetes /etc/cni /etc/cloudos /var/lib/kubelet /var/lib/etcd /var/lib/cni /var/lib/cloudos /run/cloudos /run/flannel /var/log/pods /var/log/containers 2>/dev/null || true
ip -o link | sed 's/^[0-9]*: //; s/[@:].*//' | sort
ip route | sort
awk '{ print $2 }' /proc/self/mounts | sort
cut -d: -f1 /etc/passwd
cat /proc/sys/net/ipv4/ip_forward
)";

}  // namespace

TEST_CASE("a sudo user with a password, fish as login shell and a noisy greeting installs, and reset leaves the machines as they were",
          "[access]") {
  const Sandbox sandbox("t-access", 1, 1,
                        {"--shell", "fish", "--ops-password-file", password_file(), "--motd", "*** authorised use only ***"});
  std::map<std::string, std::string> before;
  for (const auto& machine : sandbox.machines()) before[machine.name] = sandbox.sh(machine, snapshot);

  const std::vector<std::string> where = {"--masters", sandbox.addresses("master"), "--nodes", sandbox.addresses("node")};
  const std::vector<std::string> access = {
      "--user", "ops", "--key", sandbox.key(), "--known-hosts", sandbox.known_hosts(), "--sudo-password-file", password_file()};
  std::vector<std::string> install = {"install", "--bundle", bundle(), "--bundle-key", bundle_key(),
                                      "--yes",   "--json",   "-vv",    "--log-file",   scratch() + "/access.log"};
  for (const auto* list : {&where, &access}) install.insert(install.end(), list->begin(), list->end());
  const auto installed = machines::cloudos(install);
  INFO(installed.out.substr(installed.out.size() > 4000 ? installed.out.size() - 4000 : 0) << installed.err);
  REQUIRE(installed.code == 0);

  // The password is nowhere but in the file that holds it.
  CHECK_FALSE(installed.out.contains(password));
  CHECK_FALSE(installed.err.contains(password));
  std::ifstream log(scratch() + "/access.log");
  CHECK_FALSE(std::string(std::istreambuf_iterator<char>(log), {}).contains(password));
  for (const auto& machine : sandbox.machines())
    CHECK(sandbox.on(machine, {"grep", "-rqF", password, "/etc", "/var/lib/cloudos/journal.jsonl", "/var/log", "/run/cloudos", "/tmp"})
              .code != 0);

  // The nodes are known to the cluster: a master is enough to find them.
  std::vector<std::string> reset = {"reset", "--yes", "--masters", sandbox.addresses("master")};
  reset.insert(reset.end(), access.begin(), access.end());
  const auto gone = machines::cloudos(reset);
  INFO(gone.out << gone.err);
  REQUIRE(gone.code == 0);
  for (const auto& machine : sandbox.machines()) {
    INFO(machine.name);
    CHECK(sandbox.sh(machine, snapshot) == before[machine.name]);
  }
}
