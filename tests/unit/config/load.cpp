#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <fstream>

#include <sys/stat.h>

#include "installer/config/config.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace cloudos;
using namespace cloudos::config;
using model::Finding;
using model::Role;

namespace {

// A cluster.toml in a folder of its own.
class File {
 public:
  explicit File(std::string_view text) : path_(folder_.path() / "cluster.toml") { write("cluster.toml", text, 0644); }
  void write(const std::string& name, std::string_view text, mode_t mode) const {
    std::ofstream(folder_.path() / name, std::ios::binary) << text;
    ::chmod((folder_.path() / name).c_str(), mode);
  }
  [[nodiscard]] Flags flags() const {
    Flags flags;
    flags.file = path_;
    return flags;
  }
  [[nodiscard]] std::string at(std::string_view rest) const { return path_.string() + std::string(rest); }

 private:
  test::TemporaryFolder folder_;
  std::filesystem::path path_;
};

std::vector<Finding> findings(const Flags& flags) {
  auto loaded = load(flags);
  return loaded ? loaded->warnings : loaded.error();
}
// The only finding there is.
Finding only(std::string_view toml) {
  const File file(toml);
  auto all = findings(file.flags());
  for (const auto& finding : all) UNSCOPED_INFO(finding.code << " " << finding.where << ": " << finding.message);
  REQUIRE(all.size() == 1);
  all[0].where = all[0].where.substr(all[0].where.rfind("cluster.toml"));
  return all[0];
}
Flags masters(std::string list) {
  Flags flags;
  flags.masters = {std::move(list)};
  return flags;
}

constexpr std::string_view one_master = "\n[[machines]]\nhost = \"10.0.0.1\"\nrole = \"master\"\n";

}  // namespace

TEST_CASE("flags alone are enough for a cluster") {
  auto flags = masters("10.0.0.1-10.0.0.3");
  flags.nodes = {"10.0.0.4,ops@10.0.0.5:2222", "fd00::6"};
  flags.user = "root";
  const auto loaded = load(flags);
  REQUIRE(loaded);
  const auto& machines = loaded->config.machines;
  REQUIRE(machines.size() == 6);
  CHECK(machines[2].id.value == "10.0.0.3");
  CHECK(machines[2].role == Role::master);
  CHECK(machines[2].user == "root");
  CHECK(machines[4].id.value == "10.0.0.5:2222");
  CHECK(machines[4].user == "ops");
  CHECK(machines[5].id.value == "fd00::6");
  CHECK(loaded->warnings.empty());
}

TEST_CASE("every key of the file arrives in the configuration") {
  const File file(R"(schema = 1
name = "prod"
endpoint = "api.example.com:6443"
pod_cidr = "10.32.0.0/14"
service_cidr = "10.96.0.0/16"
dns_domain = "k8s.example.com"
[ssh]
user = "ops"
port = 2200
[[machines]]
host = "10.0.0.1"
role = "master"
hostname = "m1"
address = "192.168.0.1"
host_key = "SHA256:abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ"
[[machines]]
host = "10.0.0.4-5"
user = "admin"
port = 22
labels = { disk = "ssd", "example.com/rack" = "a1" }
taints = ["gpu=yes:NoSchedule", "slow:PreferNoSchedule"]
)");
  const auto loaded = load(file.flags());
  REQUIRE(loaded);
  const auto& config = loaded->config;
  CHECK(config.name == "prod");
  CHECK(config.endpoint == "api.example.com:6443");
  CHECK(config.pod_cidr == "10.32.0.0/14");
  CHECK(config.service_cidr == "10.96.0.0/16");
  CHECK(config.dns_domain == "k8s.example.com");
  REQUIRE(config.machines.size() == 3);
  CHECK(config.machines[0].id.value == "10.0.0.1:2200");
  CHECK(config.machines[0].hostname == "m1");
  CHECK(config.machines[0].address == "192.168.0.1");
  CHECK(config.machines[2].id.value == "10.0.0.5");
  CHECK(config.machines[2].user == "admin");
  CHECK(config.machines[2].labels.at("example.com/rack") == "a1");
  CHECK(config.machines[2].taints == std::vector<model::Taint>{{"gpu", "yes", "NoSchedule"}, {"slow", "", "PreferNoSchedule"}});
}

TEST_CASE("a flag overrides the file, and the merged result says where each value came from") {
  const File file("name = \"prod\"\npod_cidr = \"10.32.0.0/14\"\n[ssh]\nuser = \"ops\"" + std::string(one_master));
  auto flags = file.flags();
  flags.pod_cidr = "10.64.0.0/14";
  const auto loaded = load(flags);
  REQUIRE(loaded);
  CHECK(loaded->config.pod_cidr == "10.64.0.0/14");
  CHECK(loaded->origin.at("pod_cidr") == "--pod-cidr");
  CHECK(loaded->origin.at("name") == file.at(":1:1"));
  CHECK(loaded->origin.at("service_cidr") == "default");
  CHECK(print(*loaded).contains("pod_cidr = \"10.64.0.0/14\""));
  CHECK(print(*loaded).contains("# --pod-cidr"));
}

TEST_CASE("a list given by flag replaces the file's list of that role, and keeps what the file says of the same machine") {
  const File file(
      "[[machines]]\nhost = \"10.0.0.1\"\nrole = \"master\"\n[[machines]]\nhost = \"10.0.0.4\"\nlabels = {disk = "
      "\"ssd\"}\n[[machines]]\nhost = \"10.0.0.5\"\n");
  auto flags = file.flags();
  flags.nodes = {"ops@10.0.0.4,10.0.0.6"};
  const auto loaded = load(flags);
  REQUIRE(loaded);
  const auto& machines = loaded->config.machines;
  REQUIRE(machines.size() == 3);
  CHECK(machines[0].id.value == "10.0.0.1");
  CHECK(machines[1].id.value == "10.0.0.4");
  CHECK(machines[1].labels.at("disk") == "ssd");
  CHECK(machines[1].user == "ops");
  CHECK(machines[2].id.value == "10.0.0.6");
}

TEST_CASE("a flag moves a machine of the file to another role") {
  const File file("[[machines]]\nhost = \"10.0.0.1\"\n[[machines]]\nhost = \"10.0.0.2\"\n");
  auto flags = file.flags();
  flags.masters = {"10.0.0.1"};
  const auto loaded = load(flags);
  REQUIRE(loaded);
  CHECK(loaded->config.masters().size() == 1);
  CHECK(loaded->config.nodes().size() == 1);
}

TEST_CASE("what --print-config prints is a cluster.toml that gives the same configuration") {
  auto flags = masters("ops@10.0.0.1:2222");
  flags.nodes = {"10.0.0.4-6"};
  flags.user = "root";
  flags.endpoint = "api.example.com";
  auto loaded = load(flags);
  REQUIRE(loaded);
  loaded->config.machines[1].labels = {{"example.com/rack", "a1"}};
  loaded->config.machines[1].taints = {{"gpu", "yes", "NoSchedule"}, {"slow", "", "NoExecute"}};
  const File printed(print(*loaded));
  const auto again = load(printed.flags());
  REQUIRE(again);
  CHECK(again->config == loaded->config);
}

TEST_CASE("an unknown key is shown with its place and the nearest name") {
  const auto finding = only("pod_cdir = \"10.32.0.0/14\"" + std::string(one_master));
  CHECK(finding.code == "unknown-key");
  CHECK(finding.where == "cluster.toml:1:1 pod_cdir");
  CHECK(finding.message == "unknown key 'pod_cdir'; did you mean 'pod_cidr'?");
  CHECK(only("[[machines]]\nhost = \"10.0.0.1\"\nrole = \"master\"\n  lables = {}\n").where == "cluster.toml:4:3 machines[0].lables");
  CHECK(only("ssh.usr = \"x\"" + std::string(one_master)).message == "unknown key 'usr'; did you mean 'user'?");
}

TEST_CASE("a value of the wrong type is shown with what was found and what is expected") {
  CHECK(only("pod_cidr = 10" + std::string(one_master)).message == "found an integer, expected a string");
  CHECK(only("[ssh]\nport = \"22\"" + std::string(one_master)).message == "found a string, expected an integer");
  CHECK(only("ssh = \"ops\"" + std::string(one_master)).message == "found a string, expected a table");
  CHECK(only(std::string(one_master) + "taints = \"x:NoSchedule\"\n").message == "found a string, expected an array");
  CHECK(only(std::string(one_master) + "taints = [1]\n").where == "cluster.toml:5:11 machines[0].taints[0]");
  CHECK(only(std::string(one_master) + "labels = {a = true}\n").message == "found a boolean, expected a string");
  CHECK(only("machines = [1, {host = \"10.0.0.1\", role = \"master\"}]").where == "cluster.toml:1:13 machines[0]");
}

TEST_CASE("all findings come at once, in the order of the file") {
  const File file("pod_cdir = 1\nservice_cidr = 2\n[[machines]]\nhost = \"Web\"\nrole = \"mastr\"\n");
  const auto all = findings(file.flags());
  std::vector<std::string> codes;
  for (const auto& finding : all) codes.push_back(finding.code);
  CHECK(codes == std::vector<std::string>{"unknown-key", "wrong-type", "bad-host", "bad-role"});
}

TEST_CASE("what is not TOML is one finding with line and column: duplicate keys, NUL, invalid UTF-8, deep nesting") {
  CHECK(only("name = \"a\"\nname = \"b\"\n").code == "not-toml");
  CHECK(only("name = \"a\"\nname = \"b\"\n").where.starts_with("cluster.toml:2:"));
  CHECK(only(std::string_view("\nname = \"a\0b\"\n", 14)).where == "cluster.toml:2:10");
  CHECK(only(std::string_view("[[[[\0", 5)).code == "not-toml");
  CHECK(only("name = \"\xff\xfe\"\n").where.starts_with("cluster.toml:1:"));
  CHECK(only("name = " + std::string(10'000, '[')).code == "not-toml");
  CHECK(only("name = \"a").code == "not-toml");
  CHECK(only("[[[a").where == "cluster.toml:1:3");
  CHECK(only("ma-\xca\x96 = 1").code == "not-toml");
}

TEST_CASE("a newer schema is refused, and a schema that is none") {
  CHECK(only("schema = 2" + std::string(one_master)).code == "unsupported-schema");
  CHECK(only("schema = 0" + std::string(one_master)).code == "out-of-range");
}

TEST_CASE("a role that is none is shown with the nearest") {
  CHECK(only(std::string(one_master) + "[[machines]]\nhost = \"10.0.0.2\"\nrole = \"nod\"\n").message ==
        "found 'nod'; did you mean 'node'?");
}

TEST_CASE("no masters are an error, an even number is a warning that says why") {
  Flags flags;
  flags.nodes = {"10.0.0.4"};
  REQUIRE(findings(flags).size() == 1);
  CHECK(findings(flags)[0].code == "no-masters");
  const auto even = findings(masters("10.0.0.1,10.0.0.2"));
  REQUIRE(even.size() == 1);
  CHECK(even[0].severity == Finding::Severity::warning);
  CHECK(even[0].code == "even-masters");
  CHECK(even[0].message.contains("majority"));
  CHECK(load(masters("10.0.0.1,10.0.0.2")));
  CHECK(findings({})[0].message == "no machines are given");
}

TEST_CASE("a machine that is named twice is refused, in one role or in two") {
  CHECK(findings(masters("10.0.0.1,10.0.0.1,10.0.0.2"))[0].code == "duplicate-machine");
  CHECK(findings(masters("10.0.0.1,10.0.0.1:22,10.0.0.2"))[0].code == "duplicate-machine");
  auto flags = masters("10.0.0.1");
  flags.nodes = {"10.0.0.1"};
  CHECK(findings(flags)[0].code == "two-roles");
}

TEST_CASE("two machines behind one forwarded address are two machines") {
  CHECK(load(masters("127.0.0.1:2201,127.0.0.1:2202,127.0.0.1:2203")));
}

TEST_CASE("a hostname or cluster address given to two machines is refused") {
  CHECK(only(std::string(one_master) + "hostname = \"a\"\n[[machines]]\nhost = \"10.0.0.2\"\nhostname = \"a\"\n").code ==
        "duplicate-hostname");
  CHECK(only(std::string(one_master) + "address = \"10.1.0.1\"\n[[machines]]\nhost = \"10.0.0.2\"\naddress = \"10.1.0.1\"\n").code ==
        "duplicate-address");
  CHECK(only(std::string(one_master) + "hostname = \"My_Host\"\n").code == "bad-hostname");
  CHECK(only(std::string(one_master) + "address = \"127.0.0.1\"\n").code == "bad-address");
}

TEST_CASE("networks that overlap, are malformed, too small or IPv6 are refused") {
  auto flags = masters("10.0.0.1");
  const auto code = [&](std::string pods, std::string services) {
    flags.pod_cidr = std::move(pods);
    flags.service_cidr = std::move(services);
    const auto all = findings(flags);
    return all.empty() ? "" : all[0].code;
  };
  CHECK(code("10.244.0.0/16", "10.96.0.0/12").empty());
  CHECK(code("10.96.0.0/16", "10.96.0.0/12") == "cidr-overlap");
  CHECK(code("10.244.0.0", "10.96.0.0/12") == "bad-cidr");
  CHECK(code("10.244.0.1/16", "10.96.0.0/12") == "bad-cidr");
  CHECK(code("10.244.0.0/16", "10.0.0.0/8") == "bad-cidr");
  CHECK(code("fd00::/48", "10.96.0.0/12") == "ipv6-cluster");
  flags.nodes = {"10.0.0.2"};
  CHECK(code("10.244.0.0/24", "10.96.0.0/12") == "cidr-too-small");
  flags.nodes = {"10.244.0.7"};
  CHECK(code("10.244.0.0/16", "10.96.0.0/12") == "cidr-overlap");
}

TEST_CASE("an endpoint that is no host is refused") {
  auto flags = masters("10.0.0.1");
  for (const auto* bad : {"https://api", "Api.example.com", "api:0", "ops@api", "10.0.0.1-2", "-x"}) {
    INFO(bad);
    flags.endpoint = bad;
    REQUIRE(findings(flags).size() == 1);
    CHECK(findings(flags)[0].code == "bad-endpoint");
  }
  flags.endpoint = "[fd00::1]:6443";
  CHECK(findings(flags).empty());
}

TEST_CASE("labels, taints, fingerprints and users are checked before a machine sees them") {
  CHECK(only(std::string(one_master) + "labels = {\"-a\" = \"b\"}\n").code == "bad-label");
  CHECK(only(std::string(one_master) + "labels = {a = \"b c\"}\n").code == "bad-label");
  CHECK(only(std::string(one_master) + "taints = [\"a=b:Never\"]\n").code == "bad-taint");
  CHECK(only(std::string(one_master) + "host_key = \"SHA256:abc\"\n").code == "bad-host-key");
  CHECK(only(std::string(one_master) + "user = \"-l\"\n").code == "bad-user");
  CHECK(only(std::string(one_master) + "user = \"\"\n").code == "empty-value");
  CHECK(only("[[machines]]\nrole = \"master\"\n").code == "missing-key");
  CHECK(only("[[machines]]\nhost = \"10.0.0.1-3\"\nrole = \"master\"\nhostname = \"a\"\n").code == "range-with-own-value");
}

TEST_CASE("a secret file that others can read, an empty one and a missing one are refused") {
  const File file("[ssh]\npassword_file = \"secret\"\n" + std::string(one_master));
  CHECK(findings(file.flags())[0].code == "secret-file");
  file.write("secret", "hunter2\n", 0644);
  CHECK(findings(file.flags())[0].code == "secret-file-readable");
  CHECK(findings(file.flags())[0].where == file.at(":2:1 ssh.password_file"));
  file.write("secret", "", 0600);
  CHECK(findings(file.flags())[0].code == "empty-secret");
  file.write("secret", "\n", 0600);
  CHECK(findings(file.flags())[0].code == "empty-secret");
  file.write("secret", "hunter2\n", 0600);
  const auto loaded = load(file.flags());
  REQUIRE(loaded);
  CHECK(loaded->password->reveal() == "hunter2");
  CHECK_FALSE(print(*loaded).contains("hunter2"));
}

TEST_CASE("a private key that others can read is refused") {
  const File file("[ssh]\nkey = \"id\"\n" + std::string(one_master));
  file.write("id", "key", 0640);
  CHECK(findings(file.flags())[0].code == "secret-file-readable");
  file.write("id", "key", 0600);
  const auto loaded = load(file.flags());
  REQUIRE(loaded);
  CHECK(loaded->config.machines[0].key == file.at("").substr(0, file.at("").rfind('/')) + "/id");
}

TEST_CASE("a file that is not there is named") {
  Flags flags;
  flags.file = "/nonexistent/cluster.toml";
  CHECK(findings(flags)[0].code == "cannot-read");
}

TEST_CASE("escape sequences in the file do not reach the terminal") {
  const auto finding = only("\"\\u001b[31m\" = 1" + std::string(one_master));
  CHECK(finding.code == "unknown-key");
  CHECK_FALSE(finding.message.contains('\x1b'));
  CHECK_FALSE(finding.where.contains('\x1b'));
}
