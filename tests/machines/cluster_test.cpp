// Three masters and two nodes, installed once as root with a key; what an operator may then rely on. The cases share the
// cluster and run in the order they stand in: each leaves it whole.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <cmath>
#include <format>
#include <fstream>
#include <sstream>

#include "core/base/text.hpp"
#include "tests/machines/machines.hpp"
#include "tests/machines/recorder.hpp"

using namespace cloudos;
using namespace cloudos::machines;

namespace {

struct Cluster {
  Sandbox sandbox{"t-cluster", 3, 2};
  Ran first;

  Cluster() { first = sandbox.install(sandbox.addresses("master"), sandbox.addresses("node")); }
  [[nodiscard]] const Machine& master() const { return sandbox.named("master-1"); }
};

// Made by the first case that needs it, taken down when the program ends.
Cluster& cluster() {
  static Cluster shared;
  return shared;
}

std::uint64_t applied(const Ran& ran) {
  std::uint64_t sum = 0;
  for (const auto& event : lines(ran.out))
    if (event.value("event", "") == "run-done") sum += std::stoull(event.at("outputs").at("applied").get<std::string>());
  return sum;
}

std::vector<std::string> pod_names(const Json& pods) {
  std::vector<std::string> out;
  for (const auto& pod : pods.at("items")) out.push_back(pod.at("metadata").at("name"));
  return out;
}

// `cloudos status` with these words, of the cluster of which only one master is named.
std::vector<std::string> status_args(const Cluster& c, const std::vector<std::string>& words) {
  std::vector<std::string> args = {"status", "--masters", c.master().address};
  args.insert(args.end(), words.begin(), words.end());
  for (const auto& flag : c.sandbox.access()) args.push_back(flag);
  return args;
}

const Json& node_at(const Json& said, const std::string& address) {
  const auto& nodes = said.at("nodes");
  const auto found = std::ranges::find_if(nodes, [&](const Json& node) { return node.at("address") == address; });
  REQUIRE(found != nodes.end());
  return *found;
}

// A pod on every node, masters too, that serves its own name over HTTP under a memory limit.
constexpr auto probe = R"({"apiVersion":"v1","kind":"List","items":[
 {"apiVersion":"apps/v1","kind":"DaemonSet","metadata":{"name":"probe"},"spec":{"selector":{"matchLabels":{"app":"probe"}},
  "template":{"metadata":{"labels":{"app":"probe"}},"spec":{"terminationGracePeriodSeconds":1,"tolerations":[{"operator":"Exists"}],
   "containers":[{"name":"probe","image":"cloudos.local/flannel:v0.28.10","imagePullPolicy":"Never",
    "command":["/bin/busybox","sh","-c","echo $HOSTNAME > /tmp/index.html; exec /bin/busybox httpd -f -p 8080 -h /tmp"],
    "resources":{"limits":{"memory":"48Mi"}}}]}}}},
 {"apiVersion":"v1","kind":"Service","metadata":{"name":"probe"},"spec":{"selector":{"app":"probe"},"ports":[{"port":80,"targetPort":8080}]}}]})";

}  // namespace

TEST_CASE("one command turns five raw machines into one computer", "[cluster]") {
  auto& c = cluster();
  INFO(c.first.out.substr(c.first.out.size() > 6000 ? c.first.out.size() - 6000 : 0) << c.first.err);
  REQUIRE(c.first.code == 0);
  CHECK(all_ready(c.sandbox, c.master(), 5));
}

TEST_CASE("every node's pod answers every node, by address, by service and by name", "[cluster]") {
  auto& c = cluster();
  REQUIRE(kubectl(c.sandbox, c.master(), {"apply", "-f", "-"}, probe).code == 0);
  const auto rollout = kubectl(c.sandbox, c.master(), {"rollout", "status", "ds/probe", "--timeout=180s"});
  INFO(rollout.out << rollout.err);
  REQUIRE(rollout.code == 0);
  const auto pods = kubectl_json(c.sandbox, c.master(), {"get", "pods", "-l", "app=probe"});
  const auto names = pod_names(pods);
  REQUIRE(names.size() == 5);
  std::string fetch_all;
  for (const auto& pod : pods.at("items"))
    fetch_all += std::format("/bin/busybox wget -q -T 10 -O - http://{}:8080/; ", pod.at("status").at("podIP").get<std::string>());
  const auto service_address =
      kubectl_json(c.sandbox, c.master(), {"get", "service", "probe"}).at("spec").at("clusterIP").get<std::string>();
  int paths = 0;
  for (const auto& from : names) {
    const auto ran = kubectl(c.sandbox, c.master(), {"exec", from, "--", "/bin/busybox", "sh", "-c", fetch_all});
    INFO("from " << from << ": " << ran.out << ran.err);
    for (const auto& name : names) paths += ran.out.contains(name) ? 1 : 0;
    const auto service = kubectl(c.sandbox, c.master(),
                                 {"exec", from, "--", "/bin/busybox", "sh", "-c",
                                  std::format("/bin/busybox wget -q -T 10 -O - http://{}/ && "
                                              "/bin/busybox wget -q -T 10 -O - http://probe.default.svc.cluster.local/",
                                              service_address)});
    INFO("service from " << from << ": " << service.out << service.err);
    CHECK(service.code == 0);
  }
  CHECK(paths == 25);
}

TEST_CASE("a memory limit is in force in the container's cgroup", "[cluster]") {
  auto& c = cluster();
  for (const auto& pod : pod_names(kubectl_json(c.sandbox, c.master(), {"get", "pods", "-l", "app=probe"}))) {
    const auto limit = kubectl(c.sandbox, c.master(),
                               {"exec", pod, "--", "/bin/busybox", "sh", "-c",
                                "cat /sys/fs/cgroup/memory.max 2>/dev/null || cat /sys/fs/cgroup/memory/memory.limit_in_bytes"});
    INFO(limit.out << limit.err);
    CHECK(trim(limit.out) == "50331648");
  }
}

TEST_CASE("logs and exec work on every node and no system pod has restarted", "[cluster]") {
  auto& c = cluster();
  for (const auto& pod : pod_names(kubectl_json(c.sandbox, c.master(), {"get", "pods", "-l", "app=probe"}))) {
    CHECK(kubectl(c.sandbox, c.master(), {"logs", pod}).code == 0);
    const auto echoed = kubectl(c.sandbox, c.master(), {"exec", pod, "--", "/bin/busybox", "hostname"});
    CHECK(trim(echoed.out) == pod);
  }
  const auto system = kubectl_json(c.sandbox, c.master(), {"get", "pods", "-n", "kube-system"});
  CHECK(system.at("items").size() == 3 * 4 + 2 * 5 + 2);  // etcd and three more a master, kube-proxy and flannel everywhere, CoreDNS
  for (const auto& pod : system.at("items")) {
    INFO(pod.at("metadata").at("name"));
    CHECK(pod.at("status").at("phase") == "Running");
    for (const auto& status : pod.at("status").at("containerStatuses")) {
      CHECK(status.at("ready") == true);
      CHECK(status.at("restartCount") == 0);
    }
  }
}

TEST_CASE("the install asked nobody beyond the machines themselves", "[cluster]") {
  auto& c = cluster();
  CHECK(c.sandbox.escapes() == 0);
  // The counter sees a try when there is one.
  CHECK(c.sandbox.on(c.master(), {"timeout", "3", "bash", "-c", "echo > /dev/tcp/192.0.2.1/443"}).code != 0);
  CHECK(c.sandbox.escapes() > 0);
}

TEST_CASE("the same command again changes nothing and says so", "[cluster]") {
  auto& c = cluster();
  const auto again = c.sandbox.install(c.sandbox.addresses("master"), c.sandbox.addresses("node"));
  INFO(again.out << again.err);
  REQUIRE(again.code == 0);
  CHECK(applied(again) == 0);
}

TEST_CASE("status shows the pool as one computer, then a line a node", "[cluster]") {
  auto& c = cluster();
  std::vector<std::string> args = {"status", "--masters", c.sandbox.addresses("master"), "--json"};
  for (const auto& flag : c.sandbox.access()) args.push_back(flag);
  const auto status = cloudos::machines::cloudos(args);
  INFO(status.out << status.err);
  REQUIRE(status.code == 0);
  const auto json = Json::parse(status.out);
  CHECK(json.at("nodes").size() == 5);
  CHECK(json.at("pool").at("ready") == 5);
  std::uint64_t cpu = 0;
  for (const auto& node : json.at("nodes")) cpu += node.at("allocatable").at("cpu_m").get<std::uint64_t>();
  CHECK(json.at("pool").at("allocatable").at("cpu_m") == cpu);
}

TEST_CASE("what status says a node uses is what its kernel counts, within one percent", "[cluster][status]") {
  auto& c = cluster();
  REQUIRE(c.first.code == 0);
  const auto& worker = c.sandbox.named("node-1");
  Recorder on_worker(c.sandbox, worker), on_master(c.sandbox, c.master());
  const auto status = cloudos::machines::cloudos(status_args(c, {"--json", "--over", "5"}));
  on_worker.stop();
  on_master.stop();
  INFO(status.out << status.err);
  REQUIRE(status.code == 0);
  const auto said = Json::parse(status.out);
  for (const auto& [machine, recorder] : {std::pair{worker, &on_worker}, std::pair{c.master(), &on_master}}) {
    const auto& usage = node_at(said, machine.address).at("usage");
    INFO(machine.name << " " << usage.dump());
    const auto& cpu = usage.at("cpu");
    const auto at = cpu.at("at_us").get<std::int64_t>(), span = cpu.at("span_us").get<std::int64_t>();
    const auto counted = recorder->cpu_us(at - span, at);
    CHECK(std::abs(cpu.at("used_us").get<double>() - counted) <= 0.01 * counted);
    CHECK(std::abs(cpu.at("used_m").get<double>() - counted * 1000 / static_cast<double>(span)) <=
          0.01 * counted * 1000 / static_cast<double>(span) + 1);
    const auto range = recorder->memory(at);
    const auto memory = usage.at("memory").at("used").get<double>();
    INFO("memory between " << range.least << " and " << range.most);
    CHECK(memory >= 0.99 * range.least);
    CHECK(memory <= 1.01 * range.most);
    const auto df = std::stod(c.sandbox.sh(machine, "df -B1 --output=used /var/lib/kubelet | tail -1"));
    const auto& systems = usage.at("file_systems");
    const auto disk = std::ranges::find_if(systems, [](const Json& system) { return system.at("pods") == true; });
    REQUIRE(disk != systems.end());
    CHECK(std::abs(disk->at("used").get<double>() - df) <= 0.01 * df);
  }
  std::int64_t cores = 0, memory = 0;
  for (const auto& node : said.at("nodes")) {
    cores += node.at("usage").at("cpu").at("used_m").get<std::int64_t>();
    memory += node.at("usage").at("memory").at("used").get<std::int64_t>();
  }
  CHECK(said.at("pool").at("usage").at("nodes") == 5);
  CHECK(said.at("pool").at("usage").at("cpu_m") == cores);
  CHECK(said.at("pool").at("usage").at("memory") == memory);
}

TEST_CASE("status of one node tells what its machine is, and a name that is almost right is put right", "[cluster][status]") {
  auto& c = cluster();
  REQUIRE(c.first.code == 0);
  const auto& worker = c.sandbox.named("node-1");
  // Only a master is named: the cluster itself knows its other machines.
  const auto pool = cloudos::machines::cloudos(status_args(c, {"--json"}));
  const auto name = node_at(Json::parse(pool.out), worker.address).at("name").get<std::string>();
  const auto told = cloudos::machines::cloudos(status_args(c, {"--json", name}));
  INFO(told.out << told.err);
  REQUIRE(told.code == 0);
  const auto json = Json::parse(told.out);
  CHECK(json.at("node").at("name") == name);
  CHECK(json.at("facts").at("kernel").at("release") == trim(c.sandbox.sh(worker, "uname -r")));
  CHECK(json.at("facts").at("sync_latency").at("/var/lib/cloudos").at("writes") > 0);
  CHECK(json.at("usage").at("node") == name);
  CHECK_FALSE(json.at("conditions").empty());
  const auto text = cloudos::machines::cloudos(status_args(c, {worker.address}));
  INFO(text.out << text.err);
  CHECK(text.code == 0);
  for (const auto* word : {"versions", "CPU", "memory", "file systems", "fsync", "network", "clock", "CONDITION"})
    CHECK(text.out.contains(word));
  CHECK_FALSE(text.out.contains('\x1b'));
  const auto wrong = cloudos::machines::cloudos(status_args(c, {name + "x"}));
  CHECK(wrong.code == 2);
  CHECK(wrong.err.contains("did you mean '" + name + "'?"));
}

TEST_CASE("a kubeconfig names a real master and opens the cluster from elsewhere", "[cluster]") {
  auto& c = cluster();
  std::vector<std::string> args = {"kubeconfig", "--masters", c.sandbox.addresses("master"), "-o", scratch() + "/kubeconfig"};
  for (const auto& flag : c.sandbox.access()) args.push_back(flag);
  const auto got = cloudos::machines::cloudos(args);
  INFO(got.out << got.err);
  REQUIRE(got.code == 0);
  std::ifstream file(scratch() + "/kubeconfig");
  std::stringstream text;
  text << file.rdbuf();
  const auto& masters = c.sandbox.of("master");
  CHECK(std::ranges::any_of(masters, [&](const Machine& m) { return text.str().contains(std::format("https://{}:6443", m.address)); }));
  const auto nodes = c.sandbox.on(
      c.sandbox.named("node-1"),
      {"sh", "-c", "umask 077; cat > /tmp/kc && kubectl --kubeconfig /tmp/kc get nodes; e=$?; rm /tmp/kc; exit $e"}, text.str());
  INFO(nodes.out << nodes.err);
  CHECK(nodes.code == 0);
}

TEST_CASE("a master's power cut is not noticed by the API's users for more than ten seconds", "[cluster][fault]") {
  auto& c = cluster();
  const auto& victim = c.sandbox.named("master-1");
  const auto& other = c.sandbox.named("master-2");
  c.sandbox.fault("power-cut", victim);
  for (const auto& machine : c.sandbox.machines()) {
    if (machine.name == victim.name) continue;
    INFO(machine.name);
    // Through this node's own balancer, with the credential of its kubelet.
    CHECK(eventually(10, [&] {
      return c.sandbox
                 .on(machine, {"kubectl", "--kubeconfig=/etc/kubernetes/kubelet.conf", "--server=https://127.0.0.1:7443",
                               "--request-timeout=3s", "get", "--raw", "/readyz"})
                 .code == 0;
    }));
  }
  c.sandbox.fault("start", victim);
  CHECK(eventually(240, [&] { return all_ready(c.sandbox, other, 5); }));
}

TEST_CASE("a run with one machine more touches only what it must", "[cluster]") {
  auto& c = cluster();
  c.sandbox.grow(3, 3);
  const auto more = c.sandbox.install(c.sandbox.addresses("master"), c.sandbox.addresses("node"));
  INFO(more.out.substr(more.out.size() > 6000 ? more.out.size() - 6000 : 0) << more.err);
  REQUIRE(more.code == 0);
  const auto fresh = c.sandbox.named("node-3").address;
  for (const auto& event : lines(more.out)) {
    if (event.value("event", "") != "step-done" || event.value("machine", "") == fresh) continue;
    const auto step = event.at("step").get<std::string>();
    INFO(event.dump());
    // The offer to join, its withdrawal, the new node's settings and the wanted state are said on a master; there, too, it is
    // waited ("workloads", which changes nothing) until the system pods of the new node are available.
    CHECK((step == "workloads" || step.starts_with("offer-join") || step.starts_with("withdraw-join") ||
           step.starts_with("node-settings") || step.starts_with("manifest:")));
  }
  CHECK(all_ready(c.sandbox, c.sandbox.named("master-2"), 6));
}
