#include "installer/cli/pool.hpp"

#include <algorithm>
#include <format>
#include <nlohmann/json.hpp>

#include "core/base/text.hpp"

namespace cloudos::cli {

using Json = nlohmann::json;

namespace {

PoolSum sum_of(const Json& value) {
  return {.cpu_m = value.at("cpu_m").get<std::int64_t>(),
          .gpu = value.at("gpu").get<std::int64_t>(),
          .pods = value.at("pods").get<std::int64_t>(),
          .memory = {value.at("memory").get<std::uint64_t>()},
          .disk = {value.at("disk").get<std::uint64_t>()}};
}

PoolGpu gpu_of(const Json& value) {
  return {.resource = value.at("resource").get<std::string>(),
          .model = value.value("model", ""),
          .cards = value.value("cards", std::int64_t{0}),
          .capacity = value.value("capacity", std::int64_t{0}),
          .allocatable = value.value("allocatable", std::int64_t{0}),
          .requested = value.value("requested", std::int64_t{0})};
}

// Agents before 0.2 told the types alone.
std::vector<PoolProblem> problems_of(const Json& node) {
  std::vector<PoolProblem> out;
  if (const auto problems = node.find("problems"); problems != node.end())
    for (const auto& each : *problems)
      out.push_back({.type = each.at("type").get<std::string>(),
                     .reason = each.value("reason", ""),
                     .message = each.value("message", ""),
                     .since = each.value("since", "")});
  else
    for (const auto& type : node.value("conditions", std::vector<std::string>{}))
      out.push_back({.type = type, .reason = {}, .message = {}, .since = {}});
  return out;
}

PoolNode node_of(const Json& value) {
  const auto text = [&](const char* key) { return value.value(key, std::string{}); };
  PoolNode node{.name = text("name"),
                .role = text("role"),
                .address = text("address"),
                .version = text("version"),
                .reason = text("reason"),
                .created = text("created"),
                .os = text("os"),
                .kernel = text("kernel"),
                .ready = value.at("ready").get<bool>(),
                .schedulable = value.value("schedulable", true),
                .problems = problems_of(value),
                .gpus = {},
                .allocatable = sum_of(value.at("allocatable")),
                .requested = sum_of(value.at("requested")),
                .usage = {},
                .no_usage = {}};
  if (const auto gpus = value.find("gpus"); gpus != value.end())
    for (const auto& gpu : *gpus) node.gpus.push_back(gpu_of(gpu));
  return node;
}

auto not_understood(std::string_view json) {
  return fail(ErrorKind::failed, std::format("cannot read what the master says about its pool: {}", sanitise(json.substr(0, 200))));
}

Json to_json(const PoolGpu& gpu) {
  return {{"resource", gpu.resource},       {"model", gpu.model},        {"cards", gpu.cards}, {"capacity", gpu.capacity},
          {"allocatable", gpu.allocatable}, {"requested", gpu.requested}};
}

}  // namespace

Result<Pool> decode_pool(std::string_view json) try {
  const auto value = Json::parse(json);
  const auto& whole = value.at("pool");
  Pool pool{.nodes = whole.at("nodes").get<std::int64_t>(),
            .ready = whole.at("ready").get<std::int64_t>(),
            .pods_waiting = whole.value("pods_waiting", std::int64_t{0}),
            .allocatable = sum_of(whole.at("allocatable")),
            .requested = sum_of(whole.at("requested")),
            .list = {}};
  for (const auto& node : value.at("nodes")) pool.list.push_back(node_of(node));
  std::ranges::stable_sort(pool.list, {}, [](const PoolNode& node) { return std::pair{node.role != "master", node.name}; });
  return pool;
} catch (const Json::exception&) { return not_understood(json); }

Result<PoolNode> decode_pool_node(std::string_view json) try { return node_of(Json::parse(json)); } catch (const Json::exception&) {
  return not_understood(json);
}

const model::MachineConfig* machine_of(const PoolNode& node, const std::vector<model::MachineConfig>& machines) {
  // What the operator gave as the node's name or address says it; the address that is connected to may be another one.
  const auto by = [&](auto&& fits) {
    const auto found = std::ranges::find_if(machines, fits);
    return found == machines.end() ? nullptr : &*found;
  };
  if (const auto* machine = by([&](const auto& m) { return m.hostname == node.name; })) return machine;
  if (const auto* machine = by([&](const auto& m) { return !node.address.empty() && m.address == node.address; })) return machine;
  return by([&](const auto& m) { return m.host == node.name || (!node.address.empty() && m.host == node.address); });
}

void add_usage(Pool& pool, const std::vector<model::MachineConfig>& machines, const std::map<MachineId, Result<model::Usage>>& said) {
  for (auto& node : pool.list) {
    const auto named = std::ranges::find_if(said, [&](const auto& one) { return one.second && one.second->node == node.name; });
    if (named != said.end()) {
      node.usage = *named->second;
      continue;
    }
    const auto* machine = machine_of(node, machines);
    const auto found = machine == nullptr ? said.end() : said.find(machine->id);
    if (found == said.end()) node.no_usage = "this computer does not know its machine";
    else if (!found->second) node.no_usage = found->second.error().message;
    else node.usage = *found->second;
  }
}

const model::Usage::FileSystem* pods_disk(const model::Usage& usage) {
  const auto found = std::ranges::find_if(usage.file_systems, &model::Usage::FileSystem::pods);
  return found == usage.file_systems.end() ? nullptr : &*found;
}

PoolUsage usage_of(const Pool& pool) {
  PoolUsage sum;
  for (const auto& node : pool.list) {
    if (!node.usage) continue;
    ++sum.nodes;
    sum.cpu_m += node.usage->cpu.used_m();
    sum.memory += node.usage->memory.used;
    sum.memory_total += node.usage->memory.total;
    if (const auto* disk = pods_disk(*node.usage)) {
      sum.disk += disk->used;
      sum.disk_total += disk->total;
    }
  }
  return sum;
}

PoolGpus gpus_of(const Pool& pool) {
  PoolGpus all;
  for (const auto& node : pool.list) {
    for (const auto& gpu : node.gpus) {
      const auto same =
          std::ranges::find_if(all.offered, [&](const auto& o) { return o.resource == gpu.resource && o.model == gpu.model; });
      auto& sum = same != all.offered.end() ? *same : all.offered.emplace_back(PoolGpu{.resource = gpu.resource, .model = gpu.model});
      sum.cards += gpu.cards;
      sum.capacity += gpu.capacity;
      sum.allocatable += gpu.allocatable;
      sum.requested += gpu.requested;
    }
    if (node.usage)
      for (const auto& gpu : node.usage->gpus)
        if (gpu.driver.empty()) ++all.without_driver[gpu.device];
  }
  std::ranges::sort(all.offered, {}, [](const PoolGpu& gpu) { return std::pair{gpu.model, gpu.resource}; });
  return all;
}

std::string with_usage(std::string_view json, const Pool& pool) {
  auto value = Json::parse(json, nullptr, false);
  if (!value.is_object()) return std::string(json);
  for (auto& node : value["nodes"]) {
    const auto found = std::ranges::find(pool.list, node.value("name", ""), &PoolNode::name);
    if (found == pool.list.end()) continue;
    if (found->usage) node["usage"] = Json::parse(model::encode_usage(*found->usage), nullptr, false);
    else node["no_usage"] = found->no_usage;
    if (found->usage) node["usage"]["cpu"]["used_m"] = found->usage->cpu.used_m();
  }
  const auto sum = usage_of(pool);
  value["pool"]["usage"] = {{"nodes", sum.nodes},         {"cpu_m", sum.cpu_m},
                            {"memory", sum.memory.count}, {"memory_total", sum.memory_total.count},
                            {"disk", sum.disk.count},     {"disk_total", sum.disk_total.count}};
  const auto gpus = gpus_of(pool);
  auto& offered = value["pool"]["gpus"] = Json::array();
  for (const auto& gpu : gpus.offered) offered.push_back(to_json(gpu));
  value["pool"]["gpus_without_driver"] = gpus.without_driver;
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace cloudos::cli
