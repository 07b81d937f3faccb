// A cluster of a master and a node, and machines that nobody logs in to: each gets what `cloudos join-media` writes, as its README
// tells, and a join file, and boots. The cases share the cluster and run in the order they stand in.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <format>
#include <fstream>
#include <iostream>
#include <sstream>

#include "core/base/text.hpp"
#include "core/join_file/join_file.hpp"
#include "tests/machines/machines.hpp"

using namespace cloudos;
using namespace cloudos::machines;

namespace {

std::string content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  REQUIRE(file.good());
  std::stringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

// The commands that the README among the media gives for an image: its indented lines, without those for cloud-init.
std::string commands_of(const std::string& readme) {
  std::string out;
  bool wanted = false;
  for (const auto& line : split(readme, '\n')) {
    if (line.starts_with("Into an image")) wanted = true;
    if (line.starts_with("On a USB stick")) wanted = false;
    if (wanted && line.starts_with("  ")) out += line + "\n";
  }
  return out;
}

struct Pool {
  Sandbox sandbox{"t-join", 1, 1};
  std::string folder = scratch() + "/join";

  Pool() {
    const auto installed = sandbox.install(sandbox.addresses("master"), sandbox.addresses("node"));
    INFO(installed.out.substr(installed.out.size() > 6000 ? installed.out.size() - 6000 : 0) << installed.err);
    REQUIRE(installed.code == 0);
    sandbox.grow(1, 3);
  }
  [[nodiscard]] const Machine& master() const { return sandbox.named("master-1"); }

  [[nodiscard]] Ran token(std::vector<std::string> words) const {
    words.insert(words.begin(), "token");
    words.insert(words.end(), {"--masters", master().address});
    for (const auto& flag : sandbox.access()) words.push_back(flag);
    auto ran = machines::cloudos(words);
    INFO(ran.out << ran.err);
    REQUIRE(ran.code == 0);
    return ran;
  }
  // A join file, fresh. The stores are found in the nodes' annotations, which their agents write once they serve.
  [[nodiscard]] std::string join_file(std::vector<std::string> flags) const {
    flags.insert(flags.begin(), "create");
    return token(std::move(flags)).out;
  }

  // Puts the media on a machine as their README tells. The machine is not started by it.
  void equip(const Machine& machine, const std::string& join_toml) const {
    const auto name = folder + "-" + machine.name;
    std::ofstream(name + ".toml") << join_toml;
    const auto made =
        machines::cloudos({"join-media", "-o", name, "--join-file", name + ".toml", "--bundle", bundle(), "--bundle-key", bundle_key()});
    INFO(made.out << made.err);
    REQUIRE(made.code == 0);
    const auto packed = os::must({"tar", "-C", name, "-cf", "-", "--owner=0", "--group=0", "."});
    REQUIRE(packed);
    REQUIRE(sandbox.on(machine, {"sh", "-euc", "mkdir -p /root/media; tar -xf - -C /root/media"}, *packed).code == 0);
    sandbox.sh(machine, "cd /root/media\n" + commands_of(content_of(name + "/README")));
  }
  // Only another join file on a machine that has been equipped.
  void give(const Machine& machine, const std::string& join_toml) const {
    REQUIRE(sandbox.on(machine, {"sh", "-euc", "umask 077; mkdir -p /etc/cloudos; cat > /etc/cloudos/join.toml"}, join_toml).code == 0);
  }

  // The node at a machine's address, or nothing.
  [[nodiscard]] Json node_of(const Machine& machine) const {
    const auto nodes = kubectl_json(sandbox, master(), {"get", "nodes"});
    for (const auto& node : nodes.at("items"))
      for (const auto& address : node.at("status").value("addresses", Json::array()))
        if (address.at("address") == machine.address) return node;
    return {};
  }
  [[nodiscard]] bool ready(const Machine& machine) const {
    const auto node = node_of(machine);
    return !node.is_null() && std::ranges::any_of(node.at("status").at("conditions"),
                                                  [](const Json& c) { return c.at("type") == "Ready" && c.at("status") == "True"; });
  }
  [[nodiscard]] std::string journal(const Machine& machine) const {
    return sandbox.on(machine, {"journalctl", "-u", "cloudos-join", "-o", "cat", "--no-pager"}).out;
  }

  // Lets a machine try to join that must not: gives the one line of its unit's journal that says why, and checks that nothing is
  // left of it.
  [[nodiscard]] std::string refusal(const Machine& machine) const {
    const std::string since(trim(sandbox.sh(machine, "date '+%F %T.%6N'")));
    sandbox.sh(machine, "systemctl reset-failed cloudos-join 2> /dev/null || true; systemctl start cloudos-join");
    CHECK(eventually(120, [&] { return trim(sandbox.on(machine, {"systemctl", "is-failed", "cloudos-join"}).out) == "failed"; }));
    const std::string errors(trim(sandbox.sh(machine, std::format("journalctl -u cloudos-join -o cat --no-pager -p err -S '{}'", since))));
    INFO(errors << "\n" << journal(machine));
    CHECK(std::ranges::count(errors, '\n') == 0);
    CHECK(trim(sandbox.sh(machine, "ls /var/lib/cloudos")) == "agent");
    CHECK(trim(sandbox.sh(machine, "ls /etc/cloudos")) == "join.toml");
    CHECK(sandbox.on(machine, {"test", "-e", "/etc/kubernetes/kubelet.conf"}).code != 0);
    CHECK(node_of(machine).is_null());
    return errors;
  }
};

// Made by the first case that needs it, taken down by the last.
std::optional<Pool>& kept() {
  static std::optional<Pool> shared;
  return shared;
}
Pool& pool() {
  if (!kept()) kept().emplace();
  return *kept();
}

// The first machine's join file: for one machine.
std::string& first_file() {
  static std::string text;
  return text;
}

}  // namespace

TEST_CASE("a machine that boots with a join file is a node of the cluster, and nobody logged in to it", "[join]") {
  auto& p = pool();
  const auto& machine = p.sandbox.named("node-2");
  // The agents of the nodes offer their stores a moment after the install.
  first_file() = p.join_file({"--uses", "1", "--label", "rack=b7"});
  p.equip(machine, first_file());
  p.sandbox.fault("power-cut", machine);
  const auto booted = std::chrono::steady_clock::now();
  p.sandbox.fault("start", machine);
  const bool ready = eventually(300, [&] { return p.ready(machine); });
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - booted);
  INFO(p.journal(machine));
  REQUIRE(ready);
  std::cout << std::format("from power-on to Ready: {}\n", human(took));

  CHECK(p.node_of(machine).at("metadata").at("labels").value("rack", "") == "b7");
  CHECK(eventually(60, [&] { return p.sandbox.on(machine, {"test", "-e", "/etc/cloudos/join.toml"}).code != 0; }));
  CHECK(eventually(60, [&] { return trim(p.sandbox.on(machine, {"systemctl", "is-active", "cloudos-join"}).out) == "inactive"; }));
  const auto records = lines(p.sandbox.sh(machine, "cat /var/lib/cloudos/journal.jsonl"));
  CHECK(std::ranges::any_of(records, [](const Json& r) { return r.at("step") == "kubeadm-join" && r.at("state") == "done"; }));
  for (const auto* unit : {"kubelet", "cloudos-containerd", "cloudos-agent-root", "cloudos-agent"}) {
    INFO(unit);
    CHECK(eventually(60, [&] { return trim(p.sandbox.on(machine, {"systemctl", "is-active", unit}).out) == "active"; }));
  }
  // Bytes and mode of nothing secret are left: the plan that is kept between runs is gone too.
  CHECK(p.sandbox.on(machine, {"test", "-e", "/var/lib/cloudos/join-plan.json"}).code != 0);
}

TEST_CASE("a pod that wants the label of a machine that joined by itself runs there", "[join]") {
  auto& p = pool();
  constexpr auto pod = R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"there"},"spec":{"nodeSelector":{"rack":"b7"},
    "terminationGracePeriodSeconds":1,"containers":[{"name":"there","image":"cloudos.local/flannel:v0.28.10","imagePullPolicy":"Never",
    "command":["/bin/busybox","sleep","600"]}]}})";
  REQUIRE(kubectl(p.sandbox, p.master(), {"apply", "-f", "-"}, pod).code == 0);
  const auto waited = kubectl(p.sandbox, p.master(), {"wait", "--for=condition=Ready", "pod/there", "--timeout=120s"});
  INFO(waited.out << waited.err);
  CHECK(waited.code == 0);
  CHECK(kubectl(p.sandbox, p.master(), {"exec", "there", "--", "/bin/busybox", "true"}).code == 0);
}

TEST_CASE("a machine that is a node already says so, and its new join file goes", "[join]") {
  auto& p = pool();
  const auto& machine = p.sandbox.named("node-2");
  p.give(machine, p.join_file({}));
  p.sandbox.sh(machine, "systemctl start cloudos-join");
  CHECK(eventually(60, [&] { return p.sandbox.on(machine, {"test", "-e", "/etc/cloudos/join.toml"}).code != 0; }));
  CHECK(p.journal(machine).contains("already"));
  CHECK(p.ready(machine));
}

TEST_CASE("a token that is used up, another CA, an expired file and a revoked token each refuse a machine with one clear line", "[join]") {
  auto& p = pool();
  const auto& machine = p.sandbox.named("node-3");
  p.equip(machine, first_file());
  CHECK(p.refusal(machine).contains("is used up"));

  auto parsed = join_file::parse(p.join_file({}), "join.toml");
  REQUIRE(parsed);
  auto wrong_ca = *parsed;
  wrong_ca.ca.back() = wrong_ca.ca.back() == '0' ? '1' : '0';
  p.give(machine, std::string(join_file::write(wrong_ca).reveal()));
  const auto ca = p.refusal(machine);
  CHECK(ca.contains(wrong_ca.ca));
  CHECK(ca.contains(parsed->ca));

  auto over = *parsed;
  over.expires_s = 1'700'000'000;
  p.give(machine, std::string(join_file::write(over).reveal()));
  const auto expired = p.refusal(machine);
  CHECK(expired.contains("expired at 2023-11-14 22:13:20 UTC"));
  CHECK(expired.contains("cloudos token create"));

  // One that somebody made up is an event on the node that was asked.
  auto guessed = *parsed;
  guessed.token = Secret(parsed->token_id + ".0000000000000000");
  p.give(machine, std::string(join_file::write(guessed).reveal()));
  CHECK(p.refusal(machine).contains("revoked"));
  CHECK(eventually(30, [&] { return kubectl(p.sandbox, p.master(), {"get", "events", "-A", "-o", "json"}).out.contains("JoinRefused"); }));

  static_cast<void>(p.token({"revoke", parsed->token_id}));
  p.give(machine, std::string(join_file::write(*parsed).reveal()));
  CHECK(eventually(180, [&] {
    // A store remembers for a while that it took a token.
    return p.refusal(machine).contains("was revoked");
  }));
}

TEST_CASE("a machine whose power is cut while it fetches goes on where it was, and becomes a node", "[join]") {
  auto& p = pool();
  const auto& machine = p.sandbox.named("node-3");
  p.give(machine, p.join_file({"--uses", "1"}));
  p.sandbox.sh(machine, "systemctl reset-failed cloudos-join 2> /dev/null || true; systemctl start --no-block cloudos-join");
  REQUIRE(eventually(60, [&] { return p.sandbox.on(machine, {"sh", "-c", "ls /var/lib/cloudos/cas/sha256 | grep -q ."}).code == 0; }));
  p.sandbox.fault("power-cut", machine);
  CHECK(p.node_of(machine).is_null());
  p.sandbox.fault("start", machine);
  CHECK(eventually(300, [&] { return p.ready(machine); }));
  INFO(p.journal(machine));
  CHECK(eventually(60, [&] { return p.sandbox.on(machine, {"test", "-e", "/etc/cloudos/join.toml"}).code != 0; }));
  CHECK(all_ready(p.sandbox, p.master(), 4));
}

TEST_CASE("a machine that joined by itself is taken back as any other, and keeps what it came with", "[join]") {
  auto& p = pool();
  const auto& machine = p.sandbox.named("node-3");
  const auto undone = p.sandbox.on(machine, {"/var/lib/cloudos/agent/current/bin/cloudos-agent", "undo"});
  INFO(undone.out << undone.err);
  CHECK(undone.code == 0);
  CHECK(trim(p.sandbox.sh(machine, "ls /var/lib/cloudos")) == "agent");
  CHECK(p.sandbox.on(machine, {"test", "-e", "/etc/systemd/system/cloudos-join.service"}).code == 0);
  kept().reset();
}
