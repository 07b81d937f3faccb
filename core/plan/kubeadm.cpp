#include "core/plan/kubeadm.hpp"

#include <algorithm>
#include <format>
#include <set>

#include <nlohmann/json.hpp>

#include "core/base/ip.hpp"
#include "core/model/paths.hpp"

namespace cloudos::plan {
namespace {

using nlohmann::json;

constexpr auto kubeadm_api = "kubeadm.k8s.io/v1beta4";
constexpr int api_port = 6443;
// Long enough for the joins of one run, one master after the other; WithdrawJoin ends it earlier.
constexpr auto token_lifetime = "1h0m0s";

json argument(std::string name, std::string value) { return {{"name", std::move(name)}, {"value", std::move(value)}}; }

// Slow machines (emulated, or with slow disks) need more than kubeadm's four minutes; quick ones never wait so long.
json timeouts() {
  return {{"controlPlaneComponentHealthCheck", "10m0s"},
          {"kubeletHealthCheck", "10m0s"},
          {"kubernetesAPICall", "10m0s"},
          {"etcdAPICall", "10m0s"},
          {"tlsBootstrap", "10m0s"},
          {"discovery", "10m0s"}};
}

json bootstrap_token() {
  return {{"token", join_token},
          {"ttl", token_lifetime},
          {"usages", {"signing", "authentication"}},
          {"groups", {"system:bootstrappers:kubeadm:default-node-token"}}};
}

// As the kubelet's --node-labels has them.
std::string label_list(const std::map<std::string, std::string>& labels) {
  std::string list;
  for (const auto& [key, value] : labels) list += std::format("{}{}={}", list.empty() ? "" : ",", key, value);
  return list;
}

json node_registration(const Cluster& cluster, const Member& member) {
  json node = {{"name", member.node},
               {"criSocket", std::string("unix://") + paths::containerd_socket},
               // Every image is in the node's containerd before kubeadm runs: a missing one is a fault, not a reason to go out.
               {"imagePullPolicy", "Never"},
               {"ignorePreflightErrors", waivers(member)},
               {"kubeletExtraArgs", json::array({argument("node-ip", member.address)})}};
  if (cluster.by_itself && !member.config->labels.empty())
    node["kubeletExtraArgs"].push_back(argument("node-labels", label_list(member.config->labels)));
  // A cluster of masters only: pods have nowhere else to go.
  const bool masters_only = std::ranges::all_of(cluster.members, &Member::master);
  if (member.master() && masters_only) node["taints"] = json::array();
  return node;
}

std::string version_of(const Input& input) { return "v" + input.bundle.version; }

std::vector<std::string> certificate_names(const Input& input, const Cluster& cluster) {
  std::set<std::string> names = {"127.0.0.1", "localhost"};
  for (const auto& machine : input.config.machines)
    if (machine.role == model::Role::master) names.insert(machine.host);
  for (const auto& member : cluster.members)
    if (member.master()) names.insert({member.address, member.node});
  if (const auto& endpoint = input.config.endpoint; !endpoint.empty()) {
    const auto host = endpoint.starts_with('[') ? endpoint.substr(1, endpoint.find(']') - 1) : endpoint.substr(0, endpoint.rfind(':'));
    names.insert(Ip::parse(endpoint) ? endpoint : host);
  }
  names.erase("");
  return {names.begin(), names.end()};
}

json cluster_configuration(const Input& input, const Cluster& cluster) {
  const auto quiet = json::array({argument("profiling", "false")});
  auto controllers = quiet;
  // Each of its controllers asks for an account and a token of its own when it starts: with the default of 20 requests a second
  // a new cluster waits five seconds for all of them, and no node joins before. The API server guards itself (priority and fairness).
  controllers.push_back(argument("kube-api-burst", "200"));
  controllers.push_back(argument("kube-api-qps", "100"));
  return {{"apiVersion", kubeadm_api},
          {"kind", "ClusterConfiguration"},
          {"clusterName", input.config.name},
          {"kubernetesVersion", version_of(input)},
          // As strong as RSA-3072, and a key takes a millisecond instead of a quarter of a second; a master has more than a dozen.
          {"encryptionAlgorithm", "ECDSA-P256"},
          // Each node's own balancer: no master is special, and losing one is not noticed.
          {"controlPlaneEndpoint", paths::balancer_address},
          {"apiServer", {{"certSANs", certificate_names(input, cluster)}, {"extraArgs", quiet}}},
          {"controllerManager", {{"extraArgs", controllers}}},
          {"scheduler", {{"extraArgs", quiet}}},
          {"networking",
           {{"podSubnet", input.config.pod_cidr}, {"serviceSubnet", input.config.service_cidr}, {"dnsDomain", input.config.dns_domain}}}};
}

// The CA comes over SSH from the master that leads, so a joining machine has it to begin with. Discovery by token would fetch
// it and wait, in steps of five seconds, until the controller manager has signed it with that token.
json join_configuration(const Cluster& cluster, const Member& member) {
  return {{"apiVersion", kubeadm_api},
          {"kind", "JoinConfiguration"},
          {"discovery", {{"file", {{"kubeConfigPath", paths::discovery}}}, {"tlsBootstrapToken", join_token}}},
          {"nodeRegistration", node_registration(cluster, member)},
          {"timeouts", timeouts()}};
}

bool any(const Cluster& cluster, auto&& holds) {
  return std::ranges::any_of(cluster.members, [&](const Member& m) { return holds(*m.facts); });
}

json kubelet_configuration(const Cluster& cluster, const Member& founder) {
  json kubelet = {{"apiVersion", "kubelet.config.k8s.io/v1beta1"},
                  {"kind", "KubeletConfiguration"},
                  {"cgroupDriver", founder.facts->cgroup.driver.empty() ? "systemd" : founder.facts->cgroup.driver},
                  {"containerRuntimeEndpoint", std::string("unix://") + paths::containerd_socket},
                  {"rotateCertificates", true},
                  // How often the node looks at itself; it tells the API only what changed. The default of 10 s is how long a
                  // new node would wait for being Ready. The report interval's default would follow it.
                  {"nodeStatusUpdateFrequency", "4s"},
                  {"nodeStatusReportFrequency", "5m0s"},
                  // Images come from the node's own store, so pulling side by side costs nothing.
                  {"serializeImagePulls", false}};
  // The kubelet of 1.35 and later refuses cgroup v1 unless told (KEP-5573).
  if (any(cluster, [](const auto& facts) { return facts.cgroup.version == 1; })) kubelet["failCgroupV1"] = false;
  if (any(cluster, keeps_swap)) kubelet["failSwapOn"] = false;
  return kubelet;
}

json proxy_configuration(const Cluster& cluster) {
  json proxy = {{"apiVersion", "kubeproxy.config.k8s.io/v1alpha1"},
                {"kind", "KubeProxyConfiguration"},
                {"mode", nftables_everywhere(cluster) ? "nftables" : "iptables"}};
  // nf_conntrack_max is read-only outside the first network namespace (Documentation/networking/nf_conntrack-sysctl).
  if (any(cluster, [](const auto& facts) { return lacks(facts, "conntrack-write"); })) proxy["conntrack"] = {{"maxPerCore", 0}, {"min", 0}};
  return proxy;
}

}  // namespace

std::vector<std::string> waivers(const Member& member) {
  std::vector<std::string> names;
  const auto& facts = *member.facts;
  // On cgroup v1 it is an error of kubeadm's since 1.35; the kubelet is told separately.
  if (facts.cgroup.version == 1) names.emplace_back("SystemVerification");
  if (keeps_swap(facts)) names.emplace_back("Swap");
  if (member.master() && facts.cpu.threads > 0 && facts.cpu.threads < 2) names.emplace_back("NumCPU");
  if (member.master() && facts.memory.total.count > 0 && facts.memory.total < Bytes{1700ULL << 20}) names.emplace_back("Mem");
  return names;
}

std::string init_config(const Input& input, const Cluster& cluster, const Member& founder) {
  json init = {{"apiVersion", kubeadm_api},
               {"kind", "InitConfiguration"},
               {"bootstrapTokens", json::array({bootstrap_token()})},
               {"localAPIEndpoint", {{"advertiseAddress", founder.address}, {"bindPort", api_port}}},
               {"nodeRegistration", node_registration(cluster, founder)},
               {"timeouts", timeouts()}};
  // Only masters that join need the control plane's keys; without a key none are uploaded.
  if (std::ranges::count_if(cluster.members, &Member::master) > 1) init["certificateKey"] = certificate_key;
  std::string all;
  for (const auto& document :
       {init, cluster_configuration(input, cluster), kubelet_configuration(cluster, founder), proxy_configuration(cluster)})
    all += (all.empty() ? "" : "---\n") + document.dump() + "\n";
  return all;
}

std::string join_config(const Cluster& cluster, const Member& member) {
  auto join = join_configuration(cluster, member);
  // From the first moment, not only once its control plane is up: no pod is to land there in between.
  if (member.master() && !join["nodeRegistration"].contains("taints"))
    join["nodeRegistration"]["taints"] = json::array({{{"key", "node-role.kubernetes.io/control-plane"}, {"effect", "NoSchedule"}}});
  return join.dump() + "\n";
}

std::string control_plane_config(const Cluster& cluster, const Member& member) {
  auto join = join_configuration(cluster, member);
  join["controlPlane"] = {{"certificateKey", certificate_key},
                          {"localAPIEndpoint", {{"advertiseAddress", member.address}, {"bindPort", api_port}}}};
  return join.dump() + "\n";
}

std::string discovery_config() {
  const json cluster = {{"server", std::string("https://") + paths::balancer_address}, {"certificate-authority-data", ca_certificate}};
  // As in the cluster's own cluster-info: without a context and a user it is the cluster of no name that counts.
  const json named = {{"name", ""}, {"cluster", cluster}};
  return json{{"apiVersion", "v1"}, {"kind", "Config"}, {"clusters", json::array({named})}}.dump() + "\n";
}

std::string offer_config(const Input& input, const Member& lead, bool certificates) {
  json init = {{"apiVersion", kubeadm_api},
               {"kind", "InitConfiguration"},
               {"bootstrapTokens", json::array({bootstrap_token()})},
               {"localAPIEndpoint", {{"advertiseAddress", lead.address}, {"bindPort", api_port}}},
               {"nodeRegistration", {{"name", lead.node}, {"criSocket", std::string("unix://") + paths::containerd_socket}}}};
  if (certificates) init["certificateKey"] = certificate_key;
  const json cluster = {{"apiVersion", kubeadm_api}, {"kind", "ClusterConfiguration"}, {"kubernetesVersion", version_of(input)}};
  return init.dump() + "\n---\n" + cluster.dump() + "\n";
}

}  // namespace cloudos::plan
