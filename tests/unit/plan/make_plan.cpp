#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <set>

#include <nlohmann/json.hpp>

#include "core/model/paths.hpp"
#include "sample.hpp"

using namespace cloudos;
using model::Role;

namespace {

const model::Stage* stage(const model::Plan& plan, std::string_view id) {
  const auto found = std::ranges::find(plan.stages, StageId{std::string(id)}, &model::Stage::id);
  return found == plan.stages.end() ? nullptr : &*found;
}

template <class Action>
std::vector<const Action*> all(const model::Plan& plan) {
  std::vector<const Action*> found;
  for (const auto& s : plan.stages)
    for (const auto& step : s.steps)
      if (const auto* action = std::get_if<Action>(&step.action)) found.push_back(action);
  return found;
}

template <class Action>
const Action* in_stage(const model::Plan& plan, std::string_view id) {
  const auto* s = stage(plan, id);
  if (!s) return nullptr;
  for (const auto& step : s->steps)
    if (const auto* action = std::get_if<Action>(&step.action)) return action;
  return nullptr;
}

std::string file_content(const model::Plan& plan, std::string_view stage_id, std::string_view path) {
  for (const auto& step : stage(plan, stage_id)->steps)
    if (const auto* file = std::get_if<model::WriteFile>(&step.action); file && file->path == path) return file->content;
  return {};
}

// kubeadm's documents by kind.
std::map<std::string, nlohmann::json> documents(std::string_view text) {
  std::map<std::string, nlohmann::json> all_of;
  while (!text.empty()) {
    const auto end = text.find("---\n");
    const auto document = nlohmann::json::parse(text.substr(0, end));
    all_of[document.at("kind")] = document;
    text = end == std::string_view::npos ? "" : text.substr(end + 4);
  }
  return all_of;
}

plan::Input joined_input(unsigned masters, unsigned nodes) {
  auto in = sample::input(masters, nodes);
  for (const auto& machine : in.config.machines) {
    auto& facts = in.machines[machine.id].facts;
    facts = sample::joined(facts, machine.role, machine.host);
    in.missing[machine.id] = {};
  }
  return in;
}

}  // namespace

TEST_CASE("every stage comes after those that it waits for, and every id is there once") {
  for (const auto& in : {sample::input(3, 2), sample::input(1, 0), joined_input(3, 2)}) {
    const auto plan = plan::make_plan(in);
    std::set<StageId> before;
    for (const auto& s : plan.stages) {
      for (const auto& id : s.after) CHECK(before.contains(id));
      CHECK(before.insert(s.id).second);
      std::set<StepId> steps;
      for (const auto& step : s.steps) CHECK(steps.insert(step.id).second);
    }
  }
}

TEST_CASE("machines prepare side by side, all join side by side, and masters get their control planes in turn") {
  const auto plan = plan::make_plan(sample::input(3, 2));
  for (const auto* id : {"prepare@10.0.0.1", "prepare@10.0.0.3", "prepare@10.0.0.5"}) CHECK(stage(plan, id)->after.empty());
  CHECK(stage(plan, "init@10.0.0.1")->after == std::vector{StageId{"images@10.0.0.1"}});
  CHECK(stage(plan, "join@10.0.0.2")->after == std::vector{StageId{"images@10.0.0.2"}, StageId{"init@10.0.0.1"}});
  CHECK(stage(plan, "join@10.0.0.3")->after == std::vector{StageId{"images@10.0.0.3"}, StageId{"init@10.0.0.1"}});
  CHECK(stage(plan, "control-plane@10.0.0.2")->after == std::vector{StageId{"join@10.0.0.2"}});
  CHECK(stage(plan, "control-plane@10.0.0.3")->after == std::vector{StageId{"join@10.0.0.3"}, StageId{"control-plane@10.0.0.2"}});
  CHECK_FALSE(stage(plan, "control-plane@10.0.0.4"));
  // Neither the run's end nor the offer's comes before the last master is one.
  for (const auto* id : {"workloads@10.0.0.1", "withdraw@10.0.0.1"})
    CHECK(std::ranges::contains(stage(plan, id)->after, StageId{"control-plane@10.0.0.3"}));
  CHECK(stage(plan, "join@10.0.0.5")->after == std::vector{StageId{"images@10.0.0.5"}, StageId{"init@10.0.0.1"}});
  CHECK(all<model::KubeadmInit>(plan).size() == 1);
  CHECK(all<model::KubeadmJoin>(plan).size() == 4);
  CHECK(plan.secrets == std::vector<std::string>{"certificate-key", "join-token"});
}

TEST_CASE("a cluster that is whole gets no init, no join and no secret, and keeps every other step") {
  const auto plan = plan::make_plan(joined_input(3, 2));
  CHECK(all<model::KubeadmInit>(plan).empty());
  CHECK(all<model::KubeadmJoin>(plan).empty());
  CHECK(all<model::OfferJoin>(plan).empty());
  CHECK(all<model::WithdrawJoin>(plan).empty());
  CHECK(plan.secrets.empty());
  const auto fresh = plan::make_plan(sample::input(3, 2));
  CHECK(all<model::InstallFile>(plan).size() == all<model::InstallFile>(fresh).size());
  CHECK(all<model::LoadImages>(plan).size() == all<model::LoadImages>(fresh).size());
  CHECK(all<model::NodeReady>(plan).size() == 5);
}

TEST_CASE("the steps of a machine do not change by its joining, so that a second run finds nothing to do") {
  const auto fresh = plan::make_plan(sample::input(3, 2));
  const auto again = plan::make_plan(joined_input(3, 2));
  const auto contents = [](const model::Plan& plan) {
    std::map<std::string, model::Action> by_id;
    for (const auto& s : plan.stages)
      for (const auto& step : s.steps) {
        auto action = step.action;
        // Before it has joined, kubeadm is who starts it.
        if (auto* unit = std::get_if<model::Unit>(&action); unit && unit->name == "kubelet.service") unit->start = true;
        by_id.emplace(s.machine.value + " " + step.id.value, std::move(action));
      }
    return by_id;
  };
  const auto first = contents(fresh);
  for (const auto& [id, action] : contents(again)) {
    if (std::holds_alternative<model::NodeSettings>(action)) continue;
    INFO(id);
    REQUIRE(first.contains(id));
    CHECK(first.at(id) == action);
  }
}

TEST_CASE("a cluster of one keeps no join token, and its keys are not uploaded for masters that never come") {
  const auto plan = plan::make_plan(sample::input(1, 0));
  CHECK(stage(plan, "withdraw@10.0.0.1")->after == std::vector{StageId{"init@10.0.0.1"}});
  CHECK(plan.secrets == std::vector<std::string>{"join-token"});
  CHECK_FALSE(in_stage<model::KubeadmInit>(plan, "init@10.0.0.1")->config.contains("certificate-key"));
  CHECK(in_stage<model::KubeadmInit>(plan::make_plan(sample::input(3, 0)), "init@10.0.0.1")->config.contains("${secret:certificate-key}"));
}

TEST_CASE("a plan names every secret that its steps refer to, and no other") {
  for (const auto& in : {sample::input(3, 2), sample::input(1, 2), sample::input(1, 0), joined_input(3, 2)}) {
    const auto plan = plan::make_plan(in);
    const auto text = model::encode_plan(plan);
    for (const std::string name : {"certificate-key", "join-token"})
      CHECK(text.contains("${secret:" + name + "}") == std::ranges::contains(plan.secrets, name));
  }
}

TEST_CASE("one more node: a live master offers, only the new machine joins, the offer is taken back") {
  auto in = joined_input(3, 2);
  in.config.machines.push_back(sample::machine(6, Role::node));
  in.machines[MachineId{"10.0.0.6"}] = {.facts = sample::server(6)};
  // The first master is down at the moment.
  in.machines[MachineId{"10.0.0.1"}].facts.kubernetes.api_healthy = false;
  const auto plan = plan::make_plan(in);
  CHECK(all<model::KubeadmInit>(plan).empty());
  REQUIRE(all<model::KubeadmJoin>(plan).size() == 1);
  CHECK(stage(plan, "join@10.0.0.6")->after == std::vector{StageId{"images@10.0.0.6"}, StageId{"offer@10.0.0.2"}});
  REQUIRE(in_stage<model::OfferJoin>(plan, "offer@10.0.0.2"));
  CHECK_FALSE(in_stage<model::OfferJoin>(plan, "offer@10.0.0.2")->certificates);
  CHECK(stage(plan, "withdraw@10.0.0.2")->after == std::vector{StageId{"join@10.0.0.6"}});
}

TEST_CASE("one more master: its certificates are offered too, and every balancer learns of it") {
  auto in = joined_input(1, 1);
  in.config.machines.insert(in.config.machines.begin() + 1, sample::machine(6, Role::master));
  in.machines[MachineId{"10.0.0.6"}] = {.facts = sample::server(6)};
  const auto plan = plan::make_plan(in);
  CHECK(in_stage<model::OfferJoin>(plan, "offer@10.0.0.1")->certificates);
  for (const auto* id : {"prepare@10.0.0.1", "prepare@10.0.0.2", "prepare@10.0.0.6"})
    CHECK(file_content(plan, id, paths::balancer_config) == "{\"masters\":[\"10.0.0.1:6443\",\"10.0.0.6:6443\"],\"schema\":1}\n");
}

TEST_CASE("a machine whose join was cut off gets its join again") {
  auto in = joined_input(1, 2);
  in.machines[MachineId{"10.0.0.3"}].facts.kubernetes.state = "partial";
  const auto plan = plan::make_plan(in);
  CHECK(stage(plan, "join@10.0.0.3"));
  CHECK_FALSE(stage(plan, "join@10.0.0.2"));
}

TEST_CASE("a master that founded the cluster but could not say so keeps leading") {
  auto in = sample::input(3, 0);
  auto& facts = in.machines[MachineId{"10.0.0.2"}].facts;
  facts = sample::joined(facts, Role::master, "10.0.0.2");
  facts.kubernetes.cluster_id.clear();
  CHECK(stage(plan::make_plan(in), "init@10.0.0.2"));
}

TEST_CASE("a machine that does not answer is left out, and the others do not wait for it") {
  auto in = sample::input(3, 2);
  in.machines.erase(MachineId{"10.0.0.5"});
  in.unreachable.emplace(MachineId{"10.0.0.5"}, Error{.kind = ErrorKind::network, .message = "no route"});
  const auto plan = plan::make_plan(in);
  for (const auto& s : plan.stages) CHECK(s.machine.value != "10.0.0.5");
  CHECK(all<model::WorkloadsReady>(plan).front()->names == std::vector<std::string>{"deployment/coredns"});
}

TEST_CASE("a master that does not answer stays on the balancers' list") {
  auto in = joined_input(3, 0);
  in.machines.erase(MachineId{"10.0.0.3"});
  const auto plan = plan::make_plan(in);
  CHECK(file_content(plan, "prepare@10.0.0.1", paths::balancer_config).contains("10.0.0.3:6443"));
}

TEST_CASE("the API is reached through each node's own balancer, and certificates hold for every way to it") {
  auto in = sample::input(3, 0);
  in.config.endpoint = "api.example.com:6443";
  const auto plan = plan::make_plan(in);
  const auto docs = documents(in_stage<model::KubeadmInit>(plan, "init@10.0.0.1")->config);
  CHECK(docs.at("ClusterConfiguration").at("controlPlaneEndpoint") == "127.0.0.1:7443");
  const std::vector<std::string> sans = docs.at("ClusterConfiguration").at("apiServer").at("certSANs");
  for (const auto* name : {"127.0.0.1", "10.0.0.1", "10.0.0.3", "m2", "api.example.com"}) CHECK(std::ranges::contains(sans, name));
  const auto discovery = nlohmann::json::parse(in_stage<model::KubeadmJoin>(plan, "join@10.0.0.2")->discovery);
  CHECK(discovery.at("clusters").at(0).at("cluster").at("server") == "https://127.0.0.1:7443");
  const auto join = documents(in_stage<model::KubeadmControlPlane>(plan, "control-plane@10.0.0.2")->config).at("JoinConfiguration");
  CHECK(join.at("controlPlane").at("localAPIEndpoint").at("advertiseAddress") == "10.0.0.2");
}

TEST_CASE("a machine that is to be a master takes no other pods while it is only a node, unless there are only masters") {
  const auto registration = [](const model::Plan& plan, const char* stage) {
    return documents(in_stage<model::KubeadmJoin>(plan, stage)->config).at("JoinConfiguration").at("nodeRegistration");
  };
  const auto plan = plan::make_plan(sample::input(3, 2));
  CHECK(registration(plan, "join@10.0.0.2").at("taints") ==
        nlohmann::json::parse(R"([{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}])"));
  CHECK_FALSE(registration(plan, "join@10.0.0.4").contains("taints"));
  CHECK(registration(plan::make_plan(sample::input(3, 0)), "join@10.0.0.2").at("taints").empty());
}

TEST_CASE("no secret is in a plan, only its name") {
  const auto plan = plan::make_plan(sample::input(3, 1));
  const auto join = documents(in_stage<model::KubeadmJoin>(plan, "join@10.0.0.4")->config).at("JoinConfiguration");
  CHECK(join.at("discovery").at("tlsBootstrapToken") == "${secret:join-token}");
  const auto& discovery = in_stage<model::KubeadmJoin>(plan, "join@10.0.0.4")->discovery;
  CHECK(discovery.contains("${value:ca}"));
  CHECK_FALSE(discovery.contains("token"));
  CHECK_FALSE(join.contains("controlPlane"));
}

TEST_CASE("on cgroup v2 with systemd nothing is waived; on cgroup v1 kubelet, containerd and kubeadm are told") {
  auto in = sample::input(1, 0);
  auto docs = documents(in_stage<model::KubeadmInit>(plan::make_plan(in), "init@10.0.0.1")->config);
  CHECK(docs.at("KubeletConfiguration").at("cgroupDriver") == "systemd");
  CHECK_FALSE(docs.at("KubeletConfiguration").contains("failCgroupV1"));
  CHECK(docs.at("InitConfiguration").at("nodeRegistration").at("ignorePreflightErrors").empty());
  CHECK_FALSE(docs.at("KubeProxyConfiguration").contains("conntrack"));
  auto toml = file_content(plan::make_plan(in), "prepare@10.0.0.1", paths::containerd_config);
  CHECK(toml.contains("SystemdCgroup = true"));
  CHECK(toml.contains("restrict_oom_score_adj = false"));

  in.machines[MachineId{"10.0.0.1"}].facts = sample::contained(1);
  docs = documents(in_stage<model::KubeadmInit>(plan::make_plan(in), "init@10.0.0.1")->config);
  CHECK(docs.at("KubeletConfiguration").at("cgroupDriver") == "cgroupfs");
  CHECK(docs.at("KubeletConfiguration").at("failCgroupV1") == false);
  CHECK(docs.at("InitConfiguration").at("nodeRegistration").at("ignorePreflightErrors") == nlohmann::json::array({"SystemVerification"}));
  CHECK(docs.at("KubeProxyConfiguration").at("conntrack").at("maxPerCore") == 0);
  toml = file_content(plan::make_plan(in), "prepare@10.0.0.1", paths::containerd_config);
  CHECK(toml.contains("SystemdCgroup = false"));
  CHECK(toml.contains("restrict_oom_score_adj = true"));
}

TEST_CASE("kube-proxy and flannel use nftables where every machine has it, else iptables") {
  auto in = sample::input(1, 1);
  auto plan = plan::make_plan(in);
  CHECK(documents(in_stage<model::KubeadmInit>(plan, "init@10.0.0.1")->config).at("KubeProxyConfiguration").at("mode") == "nftables");
  CHECK(in_stage<model::ApplyManifest>(plan, "cluster@10.0.0.1")->content ==
        "net: 10.244.0.0/16 nft: true image: cloudos.local/flannel:v0.28.10 api: 127.0.0.1 7443\n");
  in.machines[MachineId{"10.0.0.2"}].facts.features["nft"] = {false, "too old"};
  plan = plan::make_plan(in);
  CHECK(documents(in_stage<model::KubeadmInit>(plan, "init@10.0.0.1")->config).at("KubeProxyConfiguration").at("mode") == "iptables");
  CHECK(in_stage<model::ApplyManifest>(plan, "cluster@10.0.0.1")->content.contains("nft: false"));
}

TEST_CASE("a cluster of masters only runs pods on them, one with nodes does not") {
  const auto registration = [](unsigned nodes) {
    return documents(in_stage<model::KubeadmInit>(plan::make_plan(sample::input(1, nodes)), "init@10.0.0.1")->config)
        .at("InitConfiguration")
        .at("nodeRegistration");
  };
  CHECK(registration(0).at("taints") == nlohmann::json::array());
  CHECK_FALSE(registration(1).contains("taints"));
}

TEST_CASE("a node's address is the wanted one, else that from which it reaches the others, else the one it was named by") {
  auto in = sample::input(1, 2);
  auto& facts = in.machines[MachineId{"10.0.0.2"}].facts;
  facts.interfaces.push_back({"eth1", "", "up", 9000, 10000, {"192.168.7.2/24"}});
  CHECK(plan::make_plan(in).machines[1].address == "10.0.0.2");
  for (const auto* to : {"10.0.0.1", "10.0.0.3"})
    in.reach.push_back(
        {.from = MachineId{"10.0.0.2"}, .to = MachineId{to}, .tcp = true, .mtu = 9000, .source = "192.168.7.2", .reason = {}});
  CHECK(plan::make_plan(in).machines[1].address == "192.168.7.2");
  in.config.machines[1].address = "10.0.0.2";
  CHECK(plan::make_plan(in).machines[1].address == "10.0.0.2");
}

TEST_CASE("a machine in a container keeps what is its host's: swap, modules, kernel-wide settings") {
  auto in = sample::input(1, 0);
  auto& facts = in.machines[MachineId{"10.0.0.1"}].facts;
  facts.memory.swap_total = 1_GiB;
  auto plan = plan::make_plan(in);
  CHECK(all<model::SwapOff>(plan).size() == 1);
  CHECK(all<model::KernelModule>(plan).size() == 1);
  facts = sample::contained(1);
  facts.memory.swap_total = 1_GiB;
  plan = plan::make_plan(in);
  CHECK(all<model::SwapOff>(plan).empty());
  CHECK(all<model::KernelModule>(plan).empty());
  CHECK(std::ranges::none_of(all<model::Sysctl>(plan), [](const auto* s) { return s->key.starts_with("fs.inotify"); }));
  const auto docs = documents(in_stage<model::KubeadmInit>(plan, "init@10.0.0.1")->config);
  CHECK(docs.at("KubeletConfiguration").at("failSwapOn") == false);
}

TEST_CASE("no unit or configuration goes out with a name that was not filled in") {
  const auto plan = plan::make_plan(sample::input(1, 1));
  for (const auto* unit : all<model::Unit>(plan)) CHECK_FALSE(unit->content.contains("{{"));
  for (const auto* file : all<model::WriteFile>(plan)) CHECK_FALSE(file->content.contains("{{"));
}

TEST_CASE("the control plane's images go to masters only, and before the others") {
  const auto plan = plan::make_plan(sample::input(1, 1));
  CHECK(in_stage<model::LoadImages>(plan, "images@10.0.0.1")->images.front().ref == "registry.k8s.io/pause:3.10.2");
  for (const auto& image : in_stage<model::LoadImages>(plan, "images@10.0.0.2")->images) CHECK_FALSE(image.ref.contains("apiserver"));
}

TEST_CASE("the wanted state in the cluster reads back as the configuration, without the operator's key files") {
  auto in = sample::input(1, 1);
  in.config.machines[0].key = "/home/ops/.ssh/id";
  std::string found;
  const auto plan = plan::make_plan(in);
  for (const auto* manifest : all<model::ApplyManifest>(plan))
    if (manifest->name == "cluster") found = nlohmann::json::parse(manifest->content).at("items").at(1).at("data").at("config.json");
  const auto config = model::decode_config(found);
  REQUIRE(config);
  in.config.machines[0].key.clear();
  CHECK(*config == in.config);
}

TEST_CASE("labels and taints of a new node are set once it has joined, of the others each time") {
  auto in = joined_input(1, 1);
  in.config.machines.push_back(sample::machine(6, Role::node));
  in.config.machines.back().labels = {{"disk", "ssd"}};
  in.machines[MachineId{"10.0.0.6"}] = {.facts = sample::server(6)};
  const auto plan = plan::make_plan(in);
  REQUIRE(in_stage<model::NodeSettings>(plan, "settings-of-10.0.0.6@10.0.0.1"));
  CHECK(in_stage<model::NodeSettings>(plan, "settings-of-10.0.0.6@10.0.0.1")->labels.at("disk") == "ssd");
  CHECK(all<model::NodeSettings>(plan).size() == 3);
}

TEST_CASE("equal inputs give equal plans, byte for byte") {
  CHECK(model::encode_plan(plan::make_plan(sample::input(3, 2))) == model::encode_plan(plan::make_plan(sample::input(3, 2))));
}

TEST_CASE("every node gets the signed index and the signer's key, and nothing of what an earlier bundle left") {
  const auto plan = plan::make_plan(sample::input(1, 1));
  const auto bundle = "/var/lib/cloudos/bundles/" + sample::digest(0xb).hex();
  for (const auto* id : {"prepare@10.0.0.1", "prepare@10.0.0.2"}) {
    CHECK(file_content(plan, id, "/etc/cloudos/trust/1A2B3C4D5E6F7081.pub") == "a key\n");
    CHECK(file_content(plan, id, bundle + "/bundle.json") == "{}");
    CHECK(file_content(plan, id, bundle + "/bundle.json.minisig") == "signed\n");
  }
  const auto kept = all<model::KeepOnly>(plan);
  REQUIRE(kept.size() == 4);
  CHECK(*kept[0] == model::KeepOnly{"/etc/cloudos/trust", {"1A2B3C4D5E6F7081.pub"}});
  CHECK(*kept[1] == model::KeepOnly{"/var/lib/cloudos/bundles", {sample::digest(0xb).hex()}});
}

TEST_CASE("of a bundle that nobody vouches for nothing is laid down to be passed on") {
  auto in = sample::input(1, 1);
  in.vouched = {};
  const auto plan = plan::make_plan(in);
  CHECK(file_content(plan, "prepare@10.0.0.1", "/var/lib/cloudos/bundles/" + sample::digest(0xb).hex() + "/bundle.json").empty());
  CHECK(all<model::KeepOnly>(plan).empty());
}

TEST_CASE("a join token may ask and read, it is not approved unseen, and only masters decide") {
  const auto plan = plan::make_plan(sample::input(2, 1));
  const auto manifests = all<model::ApplyManifest>(plan);
  const auto join = std::ranges::find(manifests, "join", &model::ApplyManifest::name);
  REQUIRE(join != manifests.end());
  const auto& text = (*join)->content;
  CHECK(text.contains("system:bootstrappers:cloudos:join"));
  CHECK(text.contains("system:node-bootstrapper"));
  CHECK_FALSE(text.contains("system:bootstrappers:kubeadm:default-node-token"));
  CHECK_FALSE(text.contains("nodeclient"));  // what approves a request for a node's first certificate without looking
  CHECK(text.contains("system:node:m1"));
  CHECK(text.contains("system:node:m2"));
  CHECK_FALSE(text.contains("system:node:m3"));
  CHECK_FALSE(text.contains("{{"));
  // A later run must leave the tokens that are there alone.
  CHECK_FALSE(text.contains("kind: ConfigMap"));
}
