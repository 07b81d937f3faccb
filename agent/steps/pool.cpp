// The pool and one node of it, out of what kubectl tells. Pure.

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>

#include "agent/steps/cluster.hpp"
#include "agent/steps/steps.hpp"
#include "core/base/text.hpp"

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

// GPUs are extended resources: a vendor's domain before the slash (KEP-3063). Intel's plugin offers a node's monitoring too.
bool is_gpu(std::string_view resource) {
  const bool mig = resource.starts_with("nvidia.com/mig-");
  return mig || (resource.contains('/') && resource.contains("gpu") && !resource.ends_with("_monitoring"));
}

struct Sum {
  double cpu = 0, memory = 0, disk = 0;
  std::int64_t gpu = 0, pods = 0;
  std::map<std::string, std::int64_t> gpus;  // by resource

  Sum& operator+=(const Sum& o) {
    cpu += o.cpu;
    memory += o.memory;
    disk += o.disk;
    gpu += o.gpu;
    pods += o.pods;
    for (const auto& [resource, count] : o.gpus) gpus[resource] += count;
    return *this;
  }
  static Sum of(const json& resources) {
    Sum sum{.cpu = quantity_at(resources, "cpu"),
            .memory = quantity_at(resources, "memory"),
            .disk = quantity_at(resources, "ephemeral-storage")};
    sum.pods = std::llround(quantity_at(resources, "pods"));
    if (resources.is_object())
      for (const auto& [name, value] : resources.items())
        if (is_gpu(name) && value.is_string()) sum.gpu += sum.gpus[name] = std::llround(quantity(value.get<std::string>()));
    return sum;
  }
  void at_least(const Sum& o) {
    cpu = std::max(cpu, o.cpu);
    memory = std::max(memory, o.memory);
    disk = std::max(disk, o.disk);
    gpu = std::max(gpu, o.gpu);
    for (const auto& [resource, count] : o.gpus) gpus[resource] = std::max(gpus[resource], count);
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

// Conditions other than Ready are bad news when they are true (node conditions, Kubernetes documentation "Node status").
json problems_of(const json& node) {
  auto out = json::array();
  const auto* conditions = find_at(node, {"status", "conditions"});
  if (conditions == nullptr || !conditions->is_array()) return out;
  for (const auto& each : *conditions)
    if (const auto type = text_at(each, {"type"}); type != "Ready" && text_at(each, {"status"}) == "True")
      out.push_back({{"type", type},
                     {"reason", text_at(each, {"reason"})},
                     {"message", text_at(each, {"message"})},
                     {"since", text_at(each, {"lastTransitionTime"})}});
  return out;
}

std::string label_at(const json& node, const std::string& name) { return text_at(node, {"metadata", "labels", name.c_str()}); }

// What the labels call the GPUs behind a resource. A label holds no blanks, so vendors write '-' or '_' for them.
std::string model_of(const json& node, std::string_view resource) {
  std::string text;
  if (resource.starts_with("nvidia.com/")) text = label_at(node, std::string(resource) + ".product");
  else if (resource.starts_with("amd.com/")) text = label_at(node, "amd.com/gpu.product-name");
  else if (const auto product = label_at(node, "gpu.intel.com/product"); resource.starts_with("gpu.intel.com/") && !product.empty())
    text = "Intel Data Center GPU " + product;
  constexpr std::string_view shared = "-SHARED";
  if (text.ends_with(shared)) text.resize(text.size() - shared.size());
  std::ranges::replace_if(text, [](char c) { return c == '-' || c == '_'; }, ' ');
  return text;
}

// How many devices a resource stands for: fewer than it offers when they are shared.
std::int64_t cards_of(const json& node, const std::string& resource, std::int64_t capacity) {
  const auto count = parse_number(label_at(node, resource + ".count"), 0, 1U << 20U);
  return count && *count > 0 ? static_cast<std::int64_t>(*count) : capacity;
}

// Each kind of GPU that a node has or had: one whose devices are all ill has a capacity, or at least a label, still.
json gpus_of(const json& node, const Sum& capacity, const Sum& allocatable, const Sum& requested) {
  auto out = json::array();
  const auto count = [](const Sum& sum, const std::string& resource) {
    const auto found = sum.gpus.find(resource);
    return found == sum.gpus.end() ? std::int64_t{0} : found->second;
  };
  std::map<std::string, std::int64_t> resources = capacity.gpus;
  resources.insert(allocatable.gpus.begin(), allocatable.gpus.end());
  for (const auto& [resource, number] : resources) {
    const auto asked = count(requested, resource);
    if (number == 0 && asked == 0) continue;  // kubelet remembers resources whose plugin went
    out.push_back({{"resource", resource},
                   {"model", model_of(node, resource)},
                   {"cards", cards_of(node, resource, number)},
                   {"capacity", count(capacity, resource)},
                   {"allocatable", count(allocatable, resource)},
                   {"requested", asked}});
  }
  return out;
}

json types_of(const json& problems) {
  auto out = json::array();
  for (const auto& each : problems) out.push_back(each.at("type"));
  return out;
}

json row_of(const json& node, const Sum& requested) {
  const auto reason = not_ready(node);
  const auto* offered = find_at(node, {"status", "allocatable"});
  const auto* had = find_at(node, {"status", "capacity"});
  const auto allocatable = offered != nullptr ? Sum::of(*offered) : Sum{};
  const auto capacity = had != nullptr ? Sum::of(*had) : Sum{};
  auto problems = problems_of(node);
  const auto* cordoned = find_at(node, {"spec", "unschedulable"});
  const bool master = find_at(node, {"metadata", "labels", "node-role.kubernetes.io/control-plane"}) != nullptr;
  return {{"name", text_at(node, {"metadata", "name"})},
          {"role", master ? "master" : "node"},
          {"address", address_of(node)},
          {"ready", !reason.has_value()},
          {"reason", reason.value_or("")},
          {"schedulable", cordoned == nullptr || *cordoned != true},
          {"conditions", types_of(problems)},
          {"problems", std::move(problems)},
          {"gpus", gpus_of(node, capacity, allocatable, requested)},
          {"created", text_at(node, {"metadata", "creationTimestamp"})},
          {"version", text_at(node, {"status", "nodeInfo", "kubeletVersion"})},
          {"os", text_at(node, {"status", "nodeInfo", "osImage"})},
          {"kernel", text_at(node, {"status", "nodeInfo", "kernelVersion"})},
          {"capacity", capacity.to_json()},
          {"allocatable", allocatable.to_json()},
          {"requested", requested.to_json()}};
}

// What workloads are placed by and what we or a vendor's tools put there; Kubernetes' own name, architecture and role are left out.
bool is_told(std::string_view label) {
  return !label.starts_with("kubernetes.io/") && !label.starts_with("beta.kubernetes.io/") &&
         !label.starts_with("node-role.kubernetes.io/");
}

json labels_of(const json& node) {
  auto out = json::object();
  const auto* labels = find_at(node, {"metadata", "labels"});
  if (labels == nullptr || !labels->is_object()) return out;
  for (const auto& [name, value] : labels->items())
    if (is_told(name)) out[name] = value;
  return out;
}

json conditions_of(const json& node) {
  auto out = json::array();
  const auto* conditions = find_at(node, {"status", "conditions"});
  if (conditions == nullptr || !conditions->is_array()) return out;
  for (const auto& each : *conditions)
    out.push_back({{"type", text_at(each, {"type"})},
                   {"status", text_at(each, {"status"})},
                   {"reason", text_at(each, {"reason"})},
                   {"message", text_at(each, {"message"})},
                   {"since", text_at(each, {"lastTransitionTime"})}});
  return out;
}

json taints_of(const json& node) {
  auto out = json::array();
  const auto* taints = find_at(node, {"spec", "taints"});
  if (taints == nullptr || !taints->is_array()) return out;
  for (const auto& each : *taints) {
    const auto value = text_at(each, {"value"});
    out.push_back(text_at(each, {"key"}) + (value.empty() ? "" : "=" + value) + ":" + text_at(each, {"effect"}));
  }
  return out;
}

// The last that were told, oldest first. An event that repeats carries its last time in its series (events.k8s.io/v1).
json last_events(const std::vector<json>& objects, std::size_t most) {
  std::vector<json> events;
  for (const auto& object : objects) {
    auto at = text_at(object, {"series", "lastObservedTime"});
    for (const auto* key : {"lastTimestamp", "eventTime", "firstTimestamp"})
      if (at.empty()) at = text_at(object, {key});
    events.push_back({{"at", at.substr(0, std::min(at.find('.'), at.size()))},
                      {"type", text_at(object, {"type"})},
                      {"reason", text_at(object, {"reason"})},
                      {"message", text_at(object, {"message"})},
                      {"count", std::max<std::int64_t>({1, number_at(object, {"count"}), number_at(object, {"series", "count"})})}});
    auto& shown = events.back()["at"];
    if (auto text = shown.get<std::string>(); !text.empty() && !text.ends_with('Z')) shown = text + "Z";
  }
  std::ranges::stable_sort(events, {}, [](const json& event) { return event.at("at").get<std::string>(); });
  if (events.size() > most) events.erase(events.begin(), events.end() - static_cast<std::ptrdiff_t>(most));
  return events;
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

Result<std::string> name_of_node(std::string_view nodes_text, std::string_view word) {
  CLOUDOS_ASSIGN(const auto nodes, objects_of(nodes_text));
  const auto found = std::ranges::find_if(
      nodes, [&](const json& node) { return text_at(node, {"metadata", "name"}) == word || address_of(node) == word; });
  return found == nodes.end() ? std::string() : text_at(*found, {"metadata", "name"});
}

Result<std::string> node_of(std::string_view nodes_text, std::string_view name, std::string_view pods_text, std::string_view events_text) {
  CLOUDOS_ASSIGN(const auto nodes, objects_of(nodes_text));
  CLOUDOS_ASSIGN(const auto pods, objects_of(pods_text));
  CLOUDOS_ASSIGN(const auto events, objects_of(events_text));
  auto names = json::array();
  const json* node = nullptr;
  for (const auto& each : nodes) {
    names.push_back(text_at(each, {"metadata", "name"}));
    if (names.back() == name) node = &each;
  }
  json out{{"nodes", std::move(names)}};
  if (node == nullptr) return out.dump();
  Sum requested;
  std::map<std::string, std::int64_t> phases;
  for (const auto& pod : pods) {
    ++phases[text_at(pod, {"status", "phase"})];
    if (counts(pod)) requested += requests_of_pod(pod);
  }
  out["node"] = row_of(*node, requested);
  out["conditions"] = conditions_of(*node);
  out["labels"] = labels_of(*node);
  out["taints"] = taints_of(*node);
  out["phases"] = phases;
  out["runtime"] = text_at(*node, {"status", "nodeInfo", "containerRuntimeVersion"});
  out["architecture"] = text_at(*node, {"status", "nodeInfo", "architecture"});
  constexpr std::size_t most_events = 10;
  out["events"] = last_events(events, most_events);
  return out.dump();
}

}  // namespace cloudos::steps
