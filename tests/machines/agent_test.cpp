// The agent that stays on every node, on one cluster that the cases share; they run in the order they stand in and each leaves it
// whole. Nothing here is a matter of speed.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <format>
#include <set>
#include <thread>

#include "agent/http/http.hpp"
#include "core/base/text.hpp"
#include "core/os/crypto/crypto.hpp"
#include "tests/machines/machines.hpp"
#include "tests/machines/snapshot.hpp"

using namespace cloudos;
using namespace cloudos::machines;

namespace {

constexpr auto root_half = "cloudos-agent-root.service", network_half = "cloudos-agent.service";

struct Cluster {
  Sandbox sandbox{"t-agent", 1, 1};
  std::map<std::string, Snapshot> before;
  Ran installed;

  Cluster() {
    for (const auto& machine : sandbox.machines()) carry_firewall(sandbox, machine, false);
    for (const auto& machine : sandbox.machines()) before[machine.name] = take_snapshot(sandbox, machine);
    installed = sandbox.install(sandbox.addresses("master"), sandbox.addresses("node"));
  }
  [[nodiscard]] const Machine& master() const { return sandbox.named("master-1"); }
  [[nodiscard]] const Machine& worker() const { return sandbox.named("node-1"); }
  [[nodiscard]] Json node() const { return kubectl_json(sandbox, master(), {"get", "node", node_name()}); }
  [[nodiscard]] std::string node_name() const {
    return trimmed("cat /etc/cloudos/cluster.json | sed 's/.*\"node\":\"\\([^\"]*\\)\".*/\\1/'");
  }
  [[nodiscard]] std::string trimmed(const std::string& script) const { return std::string(trim(sandbox.sh(worker(), script))); }
  [[nodiscard]] std::string pid(const char* unit) const { return trimmed(std::format("systemctl show -P MainPID {}", unit)); }
  [[nodiscard]] bool active(const char* unit) const { return sandbox.on(worker(), {"systemctl", "is-active", "-q", unit}).code == 0; }
  [[nodiscard]] std::string log(const char* unit, const std::string& since) const {
    return sandbox.sh(worker(), std::format("journalctl -q -o cat -u {} --since '@{}'", unit, since));
  }
  [[nodiscard]] std::string now() const { return trimmed("date +%s"); }
  // What the node's condition of that type says, or "".
  [[nodiscard]] std::string condition(const std::string& type) const {
    const Json now = node();
    for (const auto& each : now.at("status").at("conditions"))
      if (each.at("type") == type) return each.at("status").get<std::string>();
    return "";
  }
  [[nodiscard]] int events(const std::string& reason) const {
    return static_cast<int>(
        kubectl_json(sandbox, master(), {"get", "events", "--field-selector", "involvedObject.kind=Node,reason=" + reason})
            .at("items")
            .size());
  }
  // The metrics as a caller with this token gets them, from this computer, over TLS with kubelet's serving certificate.
  [[nodiscard]] http::Response scrape(const std::string& token) const {
    const auto certificate =
        sandbox.sh(worker(), "cat /var/lib/kubelet/pki/kubelet-server-current.pem 2> /dev/null || cat /var/lib/kubelet/pki/kubelet.crt");
    const auto spki = os::spki_hash(certificate);
    REQUIRE(spki);
    auto client = http::Client::make({.url = std::format("https://{}:9633", worker().address), .trust = {.ca = {}, .spki = {*spki}}});
    REQUIRE(client);
    http::Request request{.path = "/metrics"};
    if (!token.empty()) request.headers["authorization"] = "Bearer " + token;
    return client->ask(request, in(Milliseconds{15'000})).value_or(http::Response{});
  }
  // What the plain listener answers on the worker itself; "" when there is none.
  [[nodiscard]] std::string loopback(int port) const {
    const auto script =
        std::format("exec 3<> /dev/tcp/127.0.0.1/{} && printf 'GET /metrics HTTP/1.0\\r\\n\\r\\n' >&3 && head -c 300 <&3", port);
    return sandbox.on(worker(), {"timeout", "10", "bash", "-c", script}).out;
  }
  [[nodiscard]] std::string token(const std::string& account) const {
    const auto ran = kubectl(sandbox, master(), {"create", "token", account});
    INFO(ran.err);
    REQUIRE(ran.code == 0);
    return std::string(trim(ran.out));
  }
};

std::optional<Cluster>& kept() {
  static std::optional<Cluster> shared;
  return shared;
}
Cluster& cluster() {
  if (!kept()) kept().emplace();
  return *kept();
}

std::set<std::string> our_labels(const Json& node) {
  std::set<std::string> out;
  for (const auto& name : split(node.at("metadata").value("annotations", Json::object()).value("cloudos.io/labels", ""), ','))
    if (!name.empty()) out.insert(name);
  return out;
}

std::string tail(const std::string& text) { return text.substr(text.size() > 4000 ? text.size() - 4000 : 0); }

}  // namespace

TEST_CASE("a node says what it is by its own credential", "[agent]") {
  auto& c = cluster();
  INFO(tail(c.installed.out) << c.installed.err);
  REQUIRE(c.installed.code == 0);
  INFO(c.log(root_half, "0") << c.log(network_half, "0"));
  CHECK(eventually(60, [&] { return c.node().at("metadata").at("labels").contains("feature.node.kubernetes.io/kernel-version.full"); }));
  const auto node = c.node();
  const auto& labels = node.at("metadata").at("labels");
  CHECK(labels.at("feature.node.kubernetes.io/kernel-version.full") == c.trimmed("uname -r"));
  CHECK(labels.at("feature.node.kubernetes.io/system-os_release.ID") == c.trimmed(". /etc/os-release; echo $ID"));
  CHECK(our_labels(node).contains("feature.node.kubernetes.io/kernel-version.full"));
  CHECK(node.at("metadata").at("annotations").at("cloudos.io/store").get<std::string>().starts_with(c.worker().address + ":9634 sha256:"));
  CHECK(eventually(60, [&] { return c.condition("ContainerRuntimeHung") == "False" && c.condition("KubeletHung") == "False"; }));
  // Whoever manages a field is written down by the API server: the node itself.
  const auto managed = kubectl_json(c.sandbox, c.master(), {"get", "node", c.node_name(), "--show-managed-fields"})
                           .at("metadata")
                           .at("managedFields")
                           .dump();
  CHECK(managed.contains("cloudos.io/labels"));
  CHECK(c.trimmed("stat -c '%a %U' /var/lib/cloudos/identity/key.pem") == "600 root");
}

TEST_CASE("both halves are confined: systemd itself puts their exposure at 2.0 or less", "[agent]") {
  auto& c = cluster();
  for (const auto* unit : {root_half, network_half}) {
    const auto said = c.sandbox.sh(c.worker(), std::format("systemd-analyze security --no-pager {} | tail -1", unit));
    INFO(said);
    const auto colon = said.rfind(": ");
    REQUIRE(colon != std::string::npos);
    CHECK(std::stod(said.substr(colon + 2)) <= 2.0);
  }
  CHECK(c.trimmed(std::format("ps -o user= -p {}", c.pid(network_half))) != "root");
  CHECK(c.trimmed(std::format("sed -n 's/^CapEff:.//p' /proc/{}/status", c.pid(network_half))) == "0000000000000000");
}

TEST_CASE("metrics are for callers whom the API server knows and allows", "[agent]") {
  auto& c = cluster();
  CHECK(eventually(30, [&] { return c.scrape("").status == 401; }));
  CHECK(c.scrape("eyJhbGciOiJub25lIn0.e30.").status == 401);
  REQUIRE(kubectl(c.sandbox, c.master(), {"create", "serviceaccount", "stranger"}).code == 0);
  REQUIRE(kubectl(c.sandbox, c.master(), {"create", "serviceaccount", "scraper"}).code == 0);
  REQUIRE(kubectl(c.sandbox, c.master(), {"create", "clusterrole", "scrape", "--verb=get", "--non-resource-url=/metrics"}).code == 0);
  REQUIRE(
      kubectl(c.sandbox, c.master(), {"create", "clusterrolebinding", "scrape", "--clusterrole=scrape", "--serviceaccount=default:scraper"})
          .code == 0);
  CHECK(c.scrape(c.token("stranger")).status == 403);
  const auto page = c.scrape(c.token("scraper"));
  INFO(page.body.substr(0, 2000));
  CHECK(page.status == 200);
  CHECK(page.body.contains("node_memory_MemTotal_bytes "));
  CHECK(page.body.contains("cloudos_"));
}

TEST_CASE("a bad agent.toml changes nothing and says so, a good one is in force without a restart", "[agent]") {
  auto& c = cluster();
  const auto root = c.pid(root_half), network = c.pid(network_half);
  const auto since = c.now();
  c.sandbox.sh(
      c.worker(),
      "cp /etc/cloudos/agent.toml /root/agent.toml 2> /dev/null || true; printf '[metrics]\\nprot = 9700\\n' > /etc/cloudos/agent.toml");
  CHECK(eventually(30, [&] { return c.log(root_half, since).contains("prot"); }));
  CHECK(eventually(60, [&] { return c.events("AgentConfigurationInvalid") >= 1; }));
  CHECK(c.scrape("").status == 401);
  c.sandbox.sh(c.worker(), "printf '[metrics]\\nloopback = 9700\\n' > /etc/cloudos/agent.toml");
  CHECK(eventually(30, [&] { return c.loopback(9700).contains(" 200 "); }));
  CHECK(c.pid(root_half) == root);
  CHECK(c.pid(network_half) == network);
  c.sandbox.sh(c.worker(),
               "rm /etc/cloudos/agent.toml; cp /root/agent.toml /etc/cloudos/agent.toml 2> /dev/null || true; rm -f /root/agent.toml");
  c.sandbox.sh(c.worker(), std::format("systemctl reload {} {}", root_half, network_half));
  CHECK(eventually(30, [&] { return c.loopback(9700).empty(); }));
}

TEST_CASE("halves that are killed again and again come back, and no label is lost meanwhile", "[agent]") {
  auto& c = cluster();
  const auto before = our_labels(c.node());
  REQUIRE_FALSE(before.empty());
  std::set<std::string> missing;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  for (int round = 0; std::chrono::steady_clock::now() < end; ++round) {
    c.sandbox.sh(c.worker(), std::format("systemctl kill -s KILL {} || true", round % 3 == 0 ? root_half : network_half));
    static_cast<void>(kubectl(c.sandbox, c.master(),
                              {"run", "passing", "--image=cloudos.local/flannel:v0.28.10", "--image-pull-policy=Never", "--restart=Never",
                               "--", "/bin/busybox", "true"}));
    const Json labels = c.node().at("metadata").at("labels");
    for (const auto& name : before)
      if (!labels.contains(name)) missing.insert(name);
    static_cast<void>(kubectl(c.sandbox, c.master(), {"delete", "pod", "passing", "--now", "--ignore-not-found"}));
  }
  CHECK(missing == std::set<std::string>{});
  CHECK(eventually(60, [&] { return c.active(root_half) && c.active(network_half) && c.scrape("").status == 401; }));
  CHECK(our_labels(c.node()) == before);
  CHECK(c.trimmed("ps -eo stat=,comm= | awk '$1 ~ /^Z/ && /cloudos/' | wc -l") == "0");
}

TEST_CASE("an API that is away for a minute costs few log lines, and what happened meanwhile is told afterwards", "[agent]") {
  auto& c = cluster();
  const auto since = c.now();
  const auto count = c.events("AgentConfigurationInvalid");
  c.sandbox.sh(c.master(), "mv /etc/kubernetes/manifests/kube-apiserver.yaml /root/");
  CHECK(eventually(60, [&] { return kubectl(c.sandbox, c.master(), {"--request-timeout=2s", "get", "--raw", "/livez"}).code != 0; }));
  c.sandbox.sh(
      c.worker(),
      "cp /etc/cloudos/agent.toml /root/agent.toml 2> /dev/null || true; printf '[metrics]\\nwhile_away = 1\\n' > /etc/cloudos/agent.toml");
  std::this_thread::sleep_for(std::chrono::seconds(60));  // the promise is about a minute
  c.sandbox.sh(c.master(), "mv /root/kube-apiserver.yaml /etc/kubernetes/manifests/");
  c.sandbox.sh(c.worker(),
               "rm /etc/cloudos/agent.toml; cp /root/agent.toml /etc/cloudos/agent.toml 2> /dev/null || true; rm -f /root/agent.toml");
  REQUIRE(eventually(180, [&] { return kubectl(c.sandbox, c.master(), {"get", "--raw", "/readyz"}).code == 0; }));
  CHECK(eventually(180, [&] { return c.events("AgentConfigurationInvalid") > count; }));
  CHECK(eventually(120, [&] { return c.log(network_half, since).contains("well again"); }));
  const auto said = c.log(network_half, since);
  INFO(said);
  CHECK(split(said, '\n').size() <= 8);
}

TEST_CASE("a containerd that hangs is told as a condition, an event and a metric, is restarted, and clears", "[agent]") {
  auto& c = cluster();
  REQUIRE(eventually(60, [&] { return c.condition("ContainerRuntimeHung") == "False"; }));
  const auto pid = c.pid("cloudos-containerd.service");
  const auto cleared = c.events("ContainerRuntimeHungCleared");
  c.sandbox.sh(c.worker(), "kill -STOP " + pid);
  CHECK(eventually(180, [&] { return c.events("DoesNotAnswer") >= 1; }));
  CHECK(eventually(120, [&] { return c.pid("cloudos-containerd.service") != pid && c.active("cloudos-containerd.service"); }));
  CHECK(eventually(60, [&] { return c.events("ServiceRestarted") >= 1; }));
  CHECK(eventually(180, [&] { return c.events("ContainerRuntimeHungCleared") > cleared; }));
  CHECK(eventually(60, [&] { return c.condition("ContainerRuntimeHung") == "False"; }));
  const auto page = c.scrape(c.token("scraper"));
  INFO(page.body.substr(0, 2000));
  CHECK(page.body.contains("containerd"));
  CHECK(eventually(240, [&] { return all_ready(c.sandbox, c.master(), 2); }));
}

TEST_CASE("a machine that is reset keeps nothing of the agent", "[agent]") {
  auto& c = cluster();
  // What kubectl kept for the cases above is theirs, not the agent's.
  for (const auto& machine : c.sandbox.machines()) c.sandbox.sh(machine, "rm -rf /root/.kube");
  std::vector<std::string> reset = {"reset", "--yes", "--masters", c.sandbox.addresses("master")};
  std::ranges::copy(c.sandbox.access(), std::back_inserter(reset));
  const auto gone = machines::cloudos(reset);
  INFO(tail(gone.out) << gone.err);
  REQUIRE(gone.code == 0);
  for (const auto& machine : c.sandbox.machines()) {
    INFO(machine.name);
    CHECK(differences(c.before[machine.name], take_snapshot(c.sandbox, machine)) == std::vector<std::string>{});
  }
  kept().reset();
}
