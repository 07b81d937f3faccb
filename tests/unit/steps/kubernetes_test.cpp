#include <catch2/catch_test_macros.hpp>
#include <nlohmann/json.hpp>

#include "agent/steps/causes.hpp"
#include "agent/steps/images.hpp"
#include "agent/steps/journal.hpp"
#include "core/os/crypto/crypto.hpp"
#include "tests/unit/steps/fakes.hpp"

using namespace cloudos;
using namespace cloudos::test;
using Kind = model::Event::Kind;
using nlohmann::json;

namespace {

constexpr auto token = "abcdef.0123456789abcdef";

// A real self-signed certificate, so that its public key can be hashed.
constexpr auto certificate = R"(-----BEGIN CERTIFICATE-----
MIIBdTCCARugAwIBAgIUe5CLyYVtPu8C0LN6y1p0rJ2vM9gwCgYIKoZIzj0EAwIw
-----END CERTIFICATE-----
)";

// What a finished kubeadm leaves on a master.
void leave_markers(const Machine& m, std::string_view ca) {
  for (const auto* path : {"/etc/kubernetes/kubelet.conf", "/etc/kubernetes/admin.conf", "/var/lib/kubelet/config.yaml",
                           "/etc/kubernetes/manifests/etcd.yaml", "/etc/kubernetes/manifests/kube-apiserver.yaml",
                           "/etc/kubernetes/manifests/kube-controller-manager.yaml", "/etc/kubernetes/manifests/kube-scheduler.yaml"})
    m.put(path, "x");
  m.put("/etc/kubernetes/pki/ca.crt", ca);
}

model::ApplyRequest init_request() {
  auto r = request({step("kubeadm-init", model::KubeadmInit{R"({"token":"${secret:join-token}"})", "m1", {"SystemVerification"}})});
  r.secrets.emplace("join-token", Secret(token));
  return r;
}

json node(const std::string& name, bool ready) {
  return {{"apiVersion", "v1"},
          {"kind", "Node"},
          {"metadata", {{"name", name}, {"labels", {{"a", "1"}}}}},
          {"spec", {{"podCIDR", "10.244.3.0/24"}}},
          {"status",
           {{"conditions",
             json::array(
                 {{{"type", "Ready"}, {"status", ready ? "True" : "False"}, {"reason", "KubeletNotReady"}, {"message", "no network"}}})}}}};
}

}  // namespace

TEST_CASE("kubeadm gets its secrets on standard input only, and none reaches an event, the journal or its argv") {
  Machine m;
  m.commands.answers = {{.part = "kubeadm init", .code = 1, .err = std::string("bad token ") + token + "\n"}};
  REQUIRE_FALSE(m.apply(init_request()));
  REQUIRE(m.commands.count("kubeadm init") == 1);
  for (const auto& call : m.commands.calls) {
    CHECK_FALSE(call.line.contains("0123456789abcdef"));
    for (const auto& [name, value] : call.environment) CHECK_FALSE(value.contains("0123456789abcdef"));
  }
  CHECK(m.commands.calls.front().input == std::string(R"({"token":")") + token + R"("})");
  CHECK(m.commands.calls.front().line.contains("--config /dev/stdin --ignore-preflight-errors=SystemVerification"));
  for (const auto& e : m.events) CHECK_FALSE(model::encode_event(e).contains(token));
  CHECK_FALSE(m.get(paths::journal).contains(token));
  const auto& failure = m.first(Kind::step_failed)->failure;
  CHECK(failure.exit == "exit 1");
  REQUIRE_FALSE(failure.logs.empty());
  CHECK(failure.logs.front().contains("${secret:join-token}"));
}

TEST_CASE("a Kubernetes that somebody else put there is a conflict and is not touched") {
  Machine m;
  leave_markers(m, "x");
  REQUIRE_FALSE(m.apply(init_request()));
  CHECK(m.commands.count("kubeadm") == 0);
  CHECK(m.first(Kind::step_failed)->failure.message.contains("cloudos did not put it here"));
  REQUIRE(m.undo());
  CHECK(m.has("/etc/kubernetes/admin.conf"));
  CHECK(m.commands.count("kubeadm") == 0);
}

TEST_CASE("a kubeadm that was cut off half way is cleaned up before it is run again") {
  Machine m;
  m.commands.answers = {{.part = "kubeadm init", .code = 1, .err = "power cut\n", .effect = [&] {
                           m.put("/etc/kubernetes/manifests/kube-apiserver.yaml", "x");
                         }}};
  REQUIRE_FALSE(m.apply(init_request()));
  CHECK(m.commands.count("kubeadm reset") == 0);
  m.commands.calls.clear();
  REQUIRE_FALSE(m.apply(init_request()));
  REQUIRE(m.commands.calls.size() >= 2);
  CHECK(m.commands.calls[0].line.contains("kubeadm reset --force"));
  CHECK(m.commands.calls[0].line.contains("unix:///run/cloudos/containerd/containerd.sock"));
  CHECK(m.commands.calls[1].line.contains("kubeadm init"));
}

namespace {
model::ApplyRequest master_request() {
  auto r = request({step("kubeadm-join", model::KubeadmJoin{"{}", R"({"ca":"${value:ca}"})", "m2", true, {}}),
                    step("kubeadm-control-plane", model::KubeadmControlPlane{"{}", R"({"ca":"${value:ca}"})", "m2", {"Mem"}})});
  r.values.emplace("ca", "Y2E=");
  return r;
}
// What kubeadm leaves on a node, and what it then adds on a master.
void leave_node(Machine& m) {
  m.services.units["kubelet.service"].active = "active";
  for (const auto* path : {"/etc/kubernetes/kubelet.conf", "/var/lib/kubelet/config.yaml", "/etc/kubernetes/pki/ca.crt"}) m.put(path, "x");
}
}  // namespace

TEST_CASE("a master joins as a node and then gets its control plane; the way to the cluster is there only meanwhile") {
  Machine m;
  std::string seen;
  m.commands.answers = {{.part = "kubeadm join --skip-phases", .effect = [&] { leave_markers(m, "x"); }},
                        {.part = "kubeadm join", .effect = [&] {
                           seen = m.get(paths::discovery);
                           CHECK(m.has("/etc/kubernetes/manifests"));
                           leave_node(m);
                         }}};
  REQUIRE(m.apply(master_request()));
  CHECK(seen == R"({"ca":"Y2E="})");
  CHECK_FALSE(m.has(paths::discovery));
  REQUIRE(m.commands.count("kubeadm join") == 2);
  CHECK(m.commands.calls[1].line.contains("wait --for=create node/m2"));
  CHECK(m.commands.calls.back().line.contains("--ignore-preflight-errors=Mem,FileAvailable--etc-kubernetes-kubelet.conf,Port-10250"));
  m.commands.calls.clear();
  REQUIRE(m.apply(master_request()));
  CHECK(m.commands.count("kubeadm") == 0);
}

TEST_CASE("a node whose control plane was cut off half way is cleaned up, and both halves are done again") {
  Machine m;
  m.commands.answers = {{.part = "kubeadm join --skip-phases", .code = 1, .err = "power cut\n"},
                        {.part = "kubeadm join", .effect = [&] { leave_node(m); }}};
  REQUIRE_FALSE(m.apply(master_request()));
  CHECK(m.commands.count("kubeadm reset") == 0);
  m.commands.calls.clear();
  m.commands.answers[0] = {.part = "kubeadm join --skip-phases", .effect = [&] { leave_markers(m, "x"); }};
  REQUIRE(m.apply(master_request()));
  CHECK(m.commands.calls.front().line.contains("kubeadm reset --force"));
  CHECK(m.commands.count("kubeadm join") == 2);
}

TEST_CASE("images that are there are not loaded again, and only missing layers move") {
  Machine m;
  const std::string config = R"({"architecture":"amd64"})", here = "layer that is there", missing = "layer that is missing";
  const std::string manifest = R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json"})";
  for (const auto& blob : {config, here, missing, manifest}) m.put(std::string(paths::store) + "/" + os::sha256(blob).hex(), blob);
  const model::LoadImages action{.images = {{.ref = "registry.k8s.io/etcd:3",
                                             .manifest = os::sha256(manifest),
                                             .config = os::sha256(config),
                                             .layers = {os::sha256(here), os::sha256(missing)}}}};
  const auto row = "registry.k8s.io/etcd:3 application/x " + os::sha256(manifest).oci() + " complete (3/3) 1.0 KiB/1.0 KiB false\n";
  m.commands.answers = {{.part = "content ls", .out = os::sha256(here).oci() + "\n"},
                        {.part = "content ingest", .effect = [&] { m.commands.answers.back().out = row; }},
                        {.part = "images import"},
                        {.part = "images check", .out = "REF TYPE DIGEST STATUS SIZE UNPACKED\n"}};
  REQUIRE(m.apply(request({step("images", action)})));
  REQUIRE(m.commands.count("content ingest") == 1);
  for (const auto& call : m.commands.calls)
    if (call.line.contains("content ingest")) {
      CHECK(call.line.contains(os::sha256(missing).oci()));
      CHECK(call.input == missing);
    }
  CHECK(m.commands.count("images import") == 1);
  CHECK(m.commands.count("--no-unpack") == 1);
  m.commands.calls.clear();
  REQUIRE(m.apply(request({step("images", action)})));
  CHECK(m.commands.calls.size() == 1);
}

TEST_CASE("an incomplete image of containerd's table counts as missing") {
  const auto list = steps::parse_image_table(
      "REF                  TYPE                                       DIGEST      STATUS           SIZE            UNPACKED \n"
      "registry.k8s.io/x:v1 application/vnd.oci.image.manifest.v1+json sha256:1e7c incomplete (1/2) 163.0 B/2.9 MiB false\n"
      "registry.k8s.io/y:v1 application/vnd.oci.image.manifest.v1+json sha256:2e7c complete (2/2) 2.9 MiB/2.9 MiB true\n");
  REQUIRE(list.by_ref.size() == 2);
  CHECK_FALSE(list.by_ref.at("registry.k8s.io/x:v1").complete);
  CHECK(list.by_ref.at("registry.k8s.io/y:v1").complete);
  CHECK(list.by_ref.at("registry.k8s.io/y:v1").unpacked);
}

TEST_CASE("the pod network is written for the node's own range, with room for VXLAN's headers") {
  Machine m;
  m.put("/sys/class/net/lo/mtu", "65536\n");
  m.put("/etc/kubernetes/kubelet.conf", "x");
  m.commands.answers = {{.part = "get node w1", .out = node("w1", false).dump()}};
  REQUIRE(m.apply(request({step("net", model::PodNetwork{"w1", "127.0.0.1", "10.244.0.0/16"})})));
  const auto list = json::parse(m.get("/etc/cloudos/cni/10-cloudos.conflist"));
  CHECK(list["plugins"][0]["type"] == "bridge");
  CHECK(list["plugins"][0]["mtu"] == 65486);
  CHECK(list["plugins"][0]["ipam"]["ranges"][0][0]["subnet"] == "10.244.3.0/24");
  CHECK(list["plugins"][0]["ipam"]["routes"][0]["dst"] == "10.244.0.0/16");
  CHECK(list["plugins"][1]["type"] == "portmap");
}

TEST_CASE("a node that does not become Ready is told with what its kubelet says") {
  Machine m;
  m.put("/etc/kubernetes/kubelet.conf", "x");
  m.commands.answers = {{.part = "get node w1", .out = node("w1", false).dump()},
                        {.part = " wait ", .code = 1, .err = "error: timed out waiting for the condition on nodes/w1\n"}};
  REQUIRE_FALSE(m.apply(request({step("ready", model::NodeReady{"w1", 1})})));
  CHECK(m.first(Kind::step_failed)->failure.message.contains("KubeletNotReady: no network"));
}

TEST_CASE("a node is patched with what differs only, and keeps what cloudos did not set") {
  Machine m;
  m.put("/etc/kubernetes/admin.conf", "x");
  auto before = node("w1", true);
  before["metadata"]["labels"]["old"] = "ours";
  before["metadata"]["labels"]["theirs"] = "stays";
  before["metadata"]["annotations"]["cloudos.io/settings"] = R"({"labels":["old"],"taints":["gone:NoSchedule"]})";
  before["spec"]["taints"] = json::array({{{"key", "gone"}, {"effect", "NoSchedule"}}, {{"key", "theirs"}, {"effect", "NoExecute"}}});
  m.commands.answers = {{.part = "get nodes,daemonsets", .out = json{{"items", {before}}}.dump()}};
  static_cast<void>(
      m.apply(request({step("settings", model::NodeSettings{"w1", {{"a", "1"}, {"b", "2"}}, {{"new", "v", "NoSchedule"}}})})));
  json patch;
  for (const auto& call : m.commands.calls)
    if (call.line.contains("patch node")) patch = json::parse(call.words.back());
  CHECK(patch["metadata"]["labels"] == json{{"b", "2"}, {"old", nullptr}});
  CHECK(patch["spec"]["taints"] ==
        json::array({{{"key", "theirs"}, {"effect", "NoExecute"}}, {{"key", "new"}, {"value", "v"}, {"effect", "NoSchedule"}}}));
}

TEST_CASE("a manifest is applied again when its object was changed or deleted in the cluster, and else not") {
  Machine m;
  m.put("/etc/kubernetes/admin.conf", "x");
  const json object{{"apiVersion", "apps/v1"},
                    {"kind", "DaemonSet"},
                    {"metadata", {{"name", "f"}, {"namespace", "kube-system"}, {"uid", "u"}, {"generation", 1}}}};
  auto changed = object;
  changed["metadata"]["generation"] = 2;
  const auto r = request({step("manifest", model::ApplyManifest{"flannel", "kind: DaemonSet\n"})});
  m.commands.answers = {{.part = "apply --server-side", .out = object.dump()}, {.part = "get -f", .out = object.dump()}};
  REQUIRE(m.apply(r));
  CHECK(m.commands.count("apply --server-side") == 1);
  m.commands.calls.clear();
  REQUIRE(m.apply(r));
  CHECK(m.commands.calls.size() == 1);
  m.commands.answers[1].out = changed.dump();
  REQUIRE(m.apply(r));
  CHECK(m.commands.count("apply --server-side") == 1);
  m.commands.answers[1].out = "";
  REQUIRE(m.apply(r));
  CHECK(m.commands.count("apply --server-side") == 2);
}

TEST_CASE("the likely cause is read from real log lines, root causes before their consequences") {
  using steps::likely_cause;
  CHECK(likely_cause("write /var/lib/etcd/wal: no space left on device\nconnection refused").cause.contains("disk"));
  CHECK(likely_cause("tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time")
            .cause.contains("clock"));
  CHECK(likely_cause("failed to run Kubelet: running with swap on is not supported").cause.contains("swap"));
  CHECK(likely_cause("[ERROR Port-6443]: Port 6443 is in use").cause.contains("port"));
  CHECK(likely_cause("Failed to pull image \"registry.k8s.io/pause:3.10.2\": ErrImagePull").cause.contains("image"));
  CHECK(likely_cause("dial tcp 127.0.0.1:7443: connect: connection refused").cause.contains("API server"));
  CHECK(likely_cause("kubelet is configured to not run on a host using cgroup v1").cause.contains("cgroup"));
  CHECK(likely_cause("all is well").cause.empty());
}

TEST_CASE("the pool adds up what nodes have and what pods ask for") {
  auto a = node("m1", true), b = node("w1", false);
  a["metadata"]["labels"]["node-role.kubernetes.io/control-plane"] = "";
  for (auto* n : {&a, &b}) {
    (*n)["status"]["allocatable"] = {{"cpu", "1900m"}, {"memory", "2Gi"}, {"pods", "110"}, {"nvidia.com/gpu", "4"}};
    (*n)["status"]["capacity"] = {{"cpu", "2"}, {"memory", "2097152Ki"}, {"pods", "110"}};
  }
  const auto pod = [](const std::string& on, const std::string& phase) {
    return json{
        {"kind", "Pod"},
        {"metadata", {{"name", "p"}}},
        {"spec", {{"nodeName", on}, {"containers", json::array({{{"resources", {{"requests", {{"cpu", "250m"}, {"memory", "64Mi"}}}}}}})}}},
        {"status", {{"phase", phase}}}};
  };
  const auto text =
      steps::pool_of(json{{"kind", "List"}, {"items", {a, b, pod("m1", "Running"), pod("m1", "Running"), pod("w1", "Succeeded")}}}.dump());
  REQUIRE(text);
  const auto pool = json::parse(*text);
  CHECK(pool["pool"]["nodes"] == 2);
  CHECK(pool["pool"]["ready"] == 1);
  CHECK(pool["pool"]["allocatable"]["cpu_m"] == 3800);
  CHECK(pool["pool"]["allocatable"]["memory"] == 4294967296);
  CHECK(pool["pool"]["allocatable"]["gpu"] == 8);
  CHECK(pool["pool"]["requested"]["cpu_m"] == 500);
  CHECK(pool["pool"]["requested"]["pods"] == 2);
  CHECK(pool["nodes"][0]["role"] == "master");
  CHECK(pool["nodes"][1]["ready"] == false);
  CHECK(pool["nodes"][1]["reason"] == "KubeletNotReady: no network");
  CHECK_FALSE(steps::pool_of("<html>"));
}

TEST_CASE("the pool names each node's GPUs by model, with what is offered, asked for and ill") {
  auto nvidia = node("g1", true), amd = node("g2", true), intel = node("g3", true), plain = node("p1", true);
  nvidia["metadata"]["labels"] = {{"nvidia.com/gpu.product", "NVIDIA-H100-80GB-HBM3-SHARED"}, {"nvidia.com/gpu.count", "8"}};
  nvidia["status"]["capacity"] = {{"nvidia.com/gpu", "32"}, {"nvidia.com/mig-1g.10gb", "0"}};
  nvidia["status"]["allocatable"] = {{"nvidia.com/gpu", "28"}, {"nvidia.com/mig-1g.10gb", "0"}};
  amd["metadata"]["labels"]["amd.com/gpu.product-name"] = "AMD_Instinct_MI300X";
  amd["status"]["capacity"] = amd["status"]["allocatable"] = {{"amd.com/gpu", "8"}};
  intel["metadata"]["labels"]["gpu.intel.com/product"] = "Max_1550";
  intel["status"]["capacity"] = intel["status"]["allocatable"] = {{"gpu.intel.com/i915", "4"}, {"gpu.intel.com/i915_monitoring", "1"}};
  const auto asking = [](const std::string& on, const std::string& resource, const std::string& count) {
    return json{{"kind", "Pod"},
                {"spec", {{"nodeName", on}, {"containers", json::array({{{"resources", {{"requests", {{resource, count}}}}}}})}}},
                {"status", {{"phase", "Running"}}}};
  };
  const auto text = steps::pool_of(json{{"items",
                                         {nvidia, amd, intel, plain, asking("g1", "nvidia.com/gpu", "3"),
                                          asking("g1", "nvidia.com/gpu", "1"), asking("g2", "amd.com/gpu", "8")}}}
                                       .dump());
  REQUIRE(text);
  const auto nodes = json::parse(*text).at("nodes");
  REQUIRE(nodes[0]["gpus"].size() == 1);
  CHECK(nodes[0]["gpus"][0] == json{{"resource", "nvidia.com/gpu"},
                                    {"model", "NVIDIA H100 80GB HBM3"},
                                    {"cards", 8},
                                    {"capacity", 32},
                                    {"allocatable", 28},
                                    {"requested", 4}});
  CHECK(nodes[1]["gpus"][0]["model"] == "AMD Instinct MI300X");
  CHECK(nodes[1]["gpus"][0]["requested"] == 8);
  REQUIRE(nodes[2]["gpus"].size() == 1);
  CHECK(nodes[2]["gpus"][0]["model"] == "Intel Data Center GPU Max 1550");
  CHECK(nodes[2]["gpus"][0]["cards"] == 4);
  CHECK(nodes[3]["gpus"].empty());
}

TEST_CASE("the pool tells what is wrong with a node, and since when") {
  auto n = node("w1", true);
  n["status"]["conditions"].push_back({{"type", "GPUUnhealthy"},
                                       {"status", "True"},
                                       {"reason", "Xid79"},
                                       {"message", "GPU 0000:18:00.0 has fallen off the bus"},
                                       {"lastTransitionTime", "2026-11-24T08:00:00Z"}});
  n["status"]["conditions"].push_back({{"type", "DiskFilling"}, {"status", "False"}, {"reason", "Enough"}});
  const auto text = steps::pool_of(json{{"items", {n}}}.dump());
  REQUIRE(text);
  const auto row = json::parse(*text)["nodes"][0];
  CHECK(row["conditions"] == json::array({"GPUUnhealthy"}));
  REQUIRE(row["problems"].size() == 1);
  CHECK(row["problems"][0]["reason"] == "Xid79");
  CHECK(row["problems"][0]["since"] == "2026-11-24T08:00:00Z");
}

TEST_CASE("of one node a master tells its conditions, labels, pods and last events, by name or by address") {
  Machine m;
  m.put("/etc/kubernetes/admin.conf", "x");
  auto n = node("w1", true);
  n["metadata"]["labels"] = {{"kubernetes.io/hostname", "w1"}, {"nvidia.com/gpu.present", "true"}};
  n["status"]["addresses"] = json::array({{{"type", "InternalIP"}, {"address", "10.0.0.4"}}});
  n["spec"]["taints"] = json::array({{{"key", "gpu"}, {"value", "only"}, {"effect", "NoSchedule"}}});
  auto events = json::array();
  for (int i = 20; i > 0; --i)
    events.push_back(
        {{"reason", "E" + std::to_string(i)},
         {"type", "Warning"},
         {"lastTimestamp", i < 10 ? "2026-11-24T08:00:0" + std::to_string(i) + "Z" : "2026-11-24T08:00:" + std::to_string(i) + "Z"}});
  events[0] = {{"reason", "New"}, {"type", "Normal"}, {"eventTime", "2026-11-24T08:01:00.123456Z"}, {"series", {{"count", 7}}}};
  const auto pod = [](const std::string& phase) { return json{{"kind", "Pod"}, {"spec", json::object()}, {"status", {{"phase", phase}}}}; };
  m.commands.answers = {{.part = "get nodes", .out = json{{"items", {node("m1", true), n}}}.dump()},
                        {.part = "spec.nodeName=w1", .out = json{{"items", {pod("Running"), pod("Running"), pod("Failed")}}}.dump()},
                        {.part = "involvedObject.name=w1", .out = json{{"items", events}}.dump()}};
  for (const auto* word : {"w1", "10.0.0.4"}) {
    const auto text = steps::query_node(word, m.environment);
    REQUIRE(text);
    const auto told = json::parse(*text);
    CHECK(told["node"]["name"] == "w1");
    CHECK(told["node"]["requested"]["pods"] == 2);
    CHECK(told["labels"] == json{{"nvidia.com/gpu.present", "true"}});
    CHECK(told["taints"] == json::array({"gpu=only:NoSchedule"}));
    CHECK(told["phases"] == json{{"Running", 2}, {"Failed", 1}});
    CHECK(told["conditions"][0]["type"] == "Ready");
    REQUIRE(told["events"].size() == 10);
    CHECK(told["events"][0]["reason"] == "E11");
    CHECK(told["events"][9]["reason"] == "New");
    CHECK(told["events"][9]["at"] == "2026-11-24T08:01:00Z");
    CHECK(told["events"][9]["count"] == 7);
  }
  const auto unknown = steps::query_node("w2", m.environment);
  REQUIRE(unknown);
  CHECK(json::parse(*unknown) == json{{"nodes", {"m1", "w1"}}});
}

TEST_CASE("what a command could not reach weighs less than what the logs around it tell") {
  Machine m;
  m.put("/etc/kubernetes/admin.conf", "x");
  m.commands.answers = {
      {.part = "get nodes,daemonsets", .out = R"({"items":[]})"},
      {.part = "rollout status", .code = 1, .err = "error: timed out waiting for the condition\n"},
      {.part = "get events", .out = "2999-01-01T00:00:00Z flannel-x: Failed: exec: \"flanneld\": executable file not found in $PATH\n"}};
  REQUIRE_FALSE(m.apply(request({step("workloads", model::WorkloadsReady{{"daemonset/flannel"}, 1})})));
  const auto& failure = m.first(Kind::step_failed)->failure;
  CHECK(failure.cause.contains("not in its image"));
  CHECK(failure.message.contains("daemonset/flannel"));
}

TEST_CASE("workloads are ready when all their pods are available, and an old event explains nothing") {
  Machine m;
  m.put("/etc/kubernetes/admin.conf", "x");
  json proxy{{"kind", "DaemonSet"},
             {"metadata", {{"name", "kube-proxy"}, {"namespace", "kube-system"}, {"generation", 2}}},
             {"status", {{"observedGeneration", 2}, {"desiredNumberScheduled", 2}, {"updatedNumberScheduled", 2}, {"numberAvailable", 2}}}};
  const json dns{{"kind", "Deployment"},
                 {"metadata", {{"name", "coredns"}, {"namespace", "kube-system"}, {"generation", 1}}},
                 {"spec", {{"replicas", 2}}},
                 {"status", {{"observedGeneration", 1}, {"updatedReplicas", 2}, {"availableReplicas", 2}}}};
  const auto r = request({step("workloads", model::WorkloadsReady{{"daemonset/kube-proxy", "deployment/coredns"}, 1})});
  m.commands.answers = {{.part = "get nodes,daemonsets", .out = json{{"items", {proxy, dns}}}.dump()},
                        {.part = "rollout status", .code = 1, .err = "error\n"},
                        {.part = "get events", .out = "2001-01-01T00:00:00Z x: Failed: executable file not found in $PATH\n"}};
  REQUIRE(m.apply(r));
  CHECK(m.commands.calls.size() == 1);
  proxy["status"]["numberAvailable"] = 1;
  m.commands.answers[0].out = json{{"items", {proxy, dns}}}.dump();
  REQUIRE_FALSE(m.apply(r));
  CHECK(m.first(Kind::step_started)->text == "daemonset/kube-proxy: 1 of 2 pods are available");
  CHECK(m.first(Kind::step_failed)->failure.cause.empty());
}

TEST_CASE("an API server that cannot answer for a moment is asked again, one that refuses is not") {
  Machine m;
  m.put("/etc/kubernetes/kubelet.conf", "x");
  m.commands.answers = {
      {.part = "get node w1", .code = 1, .err = "Error from server: etcdserver: rpc not supported for learner\n", .effect = [&] {
         if (m.commands.calls.size() < 2) return;
         m.commands.answers[0] = {.part = "get node w1", .out = node("w1", true).dump()};
       }}};
  REQUIRE(m.apply(request({step("ready", model::NodeReady{"w1", 1})})));
  CHECK(m.count(Kind::note) == 1);

  m.commands.calls.clear();
  m.commands.answers = {{.part = "get node w1", .code = 1, .err = "Error from server (Forbidden): nodes is forbidden\n"}};
  REQUIRE_FALSE(m.apply(request({step("ready", model::NodeReady{"w1", 1})})));
  CHECK(m.commands.count("get node w1") == 1);
}
