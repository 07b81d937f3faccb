// What a master knows of the pool.

#include <array>
#include <charconv>
#include <cmath>

#include "agent/steps/cluster.hpp"
#include "agent/steps/steps.hpp"
#include "core/base/text.hpp"
#include "core/os/file/file.hpp"

namespace cloudos::steps {
namespace {

using nlohmann::json;

// A Kubernetes quantity (apimachinery, resource.Quantity) as a number: "100m", "1", "2Gi", "128974848", "1e3".
double quantity(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{}) return 0;
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  struct Suffix {
    std::string_view text;
    double factor;
  };
  constexpr double k = 1000.0, ki = 1024.0;
  constexpr auto suffixes = std::to_array<Suffix>({{"m", 1 / k},
                                                   {"k", k},
                                                   {"M", k * k},
                                                   {"G", k * k * k},
                                                   {"T", k * k * k * k},
                                                   {"P", k * k * k * k * k},
                                                   {"Ki", ki},
                                                   {"Mi", ki * ki},
                                                   {"Gi", ki * ki * ki},
                                                   {"Ti", ki * ki * ki * ki},
                                                   {"Pi", ki * ki * ki * ki * ki}});
  for (const auto& suffix : suffixes)
    if (unit == suffix.text) return value * suffix.factor;
  return value;
}

double quantity_at(const json& object, const std::string& key) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  return found != object.end() && found->is_string() ? quantity(found->get<std::string>()) : 0;
}

// GPUs and other devices are extended resources: a vendor's domain before the slash (KEP-3063).
bool is_gpu(std::string_view resource) { return resource.contains('/') && resource.contains("gpu"); }

struct Sum {
  double cpu = 0, memory = 0, disk = 0;
  std::int64_t gpu = 0, pods = 0;

  Sum& operator+=(const Sum& o) {
    cpu += o.cpu;
    memory += o.memory;
    disk += o.disk;
    gpu += o.gpu;
    pods += o.pods;
    return *this;
  }
  static Sum of(const json& resources) {
    Sum sum{.cpu = quantity_at(resources, "cpu"),
            .memory = quantity_at(resources, "memory"),
            .disk = quantity_at(resources, "ephemeral-storage")};
    sum.pods = std::llround(quantity_at(resources, "pods"));
    if (resources.is_object())
      for (const auto& [name, value] : resources.items())
        if (is_gpu(name) && value.is_string()) sum.gpu += std::llround(quantity(value.get<std::string>()));
    return sum;
  }
  void at_least(const Sum& o) {
    cpu = std::max(cpu, o.cpu);
    memory = std::max(memory, o.memory);
    disk = std::max(disk, o.disk);
    gpu = std::max(gpu, o.gpu);
  }
  // CPU in thousandths of a core, memory and disk in bytes.
  [[nodiscard]] json to_json() const {
    return {
        {"cpu_m", std::llround(cpu * 1000)}, {"memory", std::llround(memory)}, {"disk", std::llround(disk)}, {"gpu", gpu}, {"pods", pods}};
  }
};

Sum requests_of(const json& containers) {
  Sum sum;
  for (const auto& container : containers)
    if (const auto* requests = find_at(container, {"resources", "requests"})) sum += Sum::of(*requests);
  return sum;
}

// What the scheduler counts for a pod: all containers together, or the largest init container, and the overhead.
Sum requests_of_pod(const json& pod) {
  Sum sum;
  if (const auto* containers = find_at(pod, {"spec", "containers"}); containers != nullptr && containers->is_array())
    sum = requests_of(*containers);
  if (const auto* init = find_at(pod, {"spec", "initContainers"}); init != nullptr && init->is_array())
    for (const auto& container : *init) sum.at_least(requests_of(json::array({container})));
  if (const auto* overhead = find_at(pod, {"spec", "overhead"})) sum += Sum::of(*overhead);
  sum.pods = 1;
  return sum;
}

bool counts(const json& pod) {
  const auto phase = text_at(pod, {"status", "phase"});
  return phase != "Succeeded" && phase != "Failed";
}

std::string address_of(const json& node) {
  const auto* addresses = find_at(node, {"status", "addresses"});
  if (addresses != nullptr && addresses->is_array())
    for (const auto& address : *addresses)
      if (text_at(address, {"type"}) == "InternalIP") return text_at(address, {"address"});
  return "";
}

json conditions_of(const json& node) {
  auto out = json::array();
  const auto* conditions = find_at(node, {"status", "conditions"});
  if (conditions == nullptr || !conditions->is_array()) return out;
  for (const auto& each : *conditions)
    if (const auto type = text_at(each, {"type"}); type != "Ready" && text_at(each, {"status"}) == "True") out.push_back(type);
  return out;
}

json row_of(const json& node, const Sum& requested) {
  const auto reason = not_ready(node);
  const auto* allocatable = find_at(node, {"status", "allocatable"});
  const auto* capacity = find_at(node, {"status", "capacity"});
  const auto* cordoned = find_at(node, {"spec", "unschedulable"});
  const bool master = find_at(node, {"metadata", "labels", "node-role.kubernetes.io/control-plane"}) != nullptr;
  return {{"name", text_at(node, {"metadata", "name"})},
          {"role", master ? "master" : "node"},
          {"address", address_of(node)},
          {"ready", !reason.has_value()},
          {"reason", reason.value_or("")},
          {"schedulable", cordoned == nullptr || *cordoned != true},
          {"conditions", conditions_of(node)},
          {"created", text_at(node, {"metadata", "creationTimestamp"})},
          {"version", text_at(node, {"status", "nodeInfo", "kubeletVersion"})},
          {"os", text_at(node, {"status", "nodeInfo", "osImage"})},
          {"kernel", text_at(node, {"status", "nodeInfo", "kernelVersion"})},
          {"capacity", Sum::of(capacity != nullptr ? *capacity : json::object()).to_json()},
          {"allocatable", Sum::of(allocatable != nullptr ? *allocatable : json::object()).to_json()},
          {"requested", requested.to_json()}};
}

Result<std::string> ask(Environment& env, std::initializer_list<std::string> words) {
  const model::ApplyRequest nothing{};
  CLOUDOS_ASSIGN(auto journal, Journal::read(env.at(paths::journal)));
  // Who looks wants to know soon that there is no answer.
  Environment impatient = env;
  impatient.api_patience = Milliseconds{0};
  Session session(impatient, nothing, journal);
  return session.kube(session.kubectl(words), Milliseconds{40'000});
}

}  // namespace

Result<std::string> pool_of(std::string_view text) {
  CLOUDOS_ASSIGN(auto objects, objects_of(text));
  std::map<std::string, Sum> requested;
  std::vector<const json*> nodes;
  for (const auto& object : objects) {
    const auto kind = text_at(object, {"kind"});
    if (kind == "Node") nodes.push_back(&object);
    if (kind == "Pod" && counts(object)) requested[text_at(object, {"spec", "nodeName"})] += requests_of_pod(object);
  }
  auto rows = json::array();
  Sum capacity, allocatable, used;
  std::int64_t ready = 0;
  for (const auto* node : nodes) {
    const auto& mine = requested[text_at(*node, {"metadata", "name"})];
    rows.push_back(row_of(*node, mine));
    if (rows.back()["ready"] == true) ++ready;
    if (const auto* c = find_at(*node, {"status", "capacity"})) capacity += Sum::of(*c);
    if (const auto* a = find_at(*node, {"status", "allocatable"})) allocatable += Sum::of(*a);
    used += mine;
  }
  return json{{"nodes", std::move(rows)},
              {"pool",
               {{"nodes", nodes.size()},
                {"ready", ready},
                {"capacity", capacity.to_json()},
                {"allocatable", allocatable.to_json()},
                {"requested", used.to_json()},
                {"pods_waiting", requested[""].pods}}}}
      .dump();
}

Result<std::string> query(std::string_view subject, Environment& env) {
  if (!fs::exists(env.at(paths::admin_conf)))
    return fail(ErrorKind::refused, "this machine is not a master of a cluster", "ask one of the cluster's masters");
  if (subject == "kubeconfig") return os::read(env.at(paths::admin_conf));
  if (subject == "wanted")
    return ask(env,
               {"--request-timeout=20s", "-n", "cloudos-system", "get", "configmap", "cluster", "-o", R"(jsonpath={.data.config\.json})"});
  if (subject == "nodes" || subject == "pool") {
    CLOUDOS_ASSIGN(auto answer, ask(env, {"--request-timeout=20s", "get", subject == "pool" ? "nodes,pods" : "nodes", "-A", "-o", "json"}));
    return pool_of(answer);
  }
  return fail(ErrorKind::usage, "there is nothing to ask about \"" + std::string(subject) + "\"",
              "ask for pool, nodes, wanted or kubeconfig");
}

}  // namespace cloudos::steps
