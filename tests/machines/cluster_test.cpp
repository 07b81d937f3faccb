// Three masters and two nodes, installed once as root with a key; what an operator may then rely on. The cases share the
// cluster and run in the order they stand in: each leaves it whole.
#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <format>
#include <fstream>
#include <sstream>

#include "core/base/text.hpp"
#include "tests/machines/machines.hpp"

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
