#include "installer/cli/pool.hpp"

#include <algorithm>
#include <array>
#include <format>
#include <nlohmann/json.hpp>
#include <sstream>

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

PoolNode node_of(const Json& value) {
  const auto text = [&](const char* key) { return value.value(key, std::string{}); };
  return {.name = text("name"),
          .role = text("role"),
          .address = text("address"),
          .version = text("version"),
          .reason = text("reason"),
          .created = text("created"),
          .ready = value.at("ready").get<bool>(),
          .schedulable = value.value("schedulable", true),
          .conditions = value.value("conditions", std::vector<std::string>{}),
          .allocatable = sum_of(value.at("allocatable")),
          .requested = sum_of(value.at("requested"))};
}

// "2.5", "12": cores.
std::string cores(std::int64_t thousandths) {
  const auto value = static_cast<double>(thousandths) / 1000;
  return thousandths % 1000 == 0 ? std::format("{:.0f}", value) : std::format("{:.1f}", value);
}

std::string age_of(const std::string& created, std::chrono::system_clock::time_point now) {
  std::istringstream in(created);
  std::chrono::sys_seconds at;
  if (!(in >> std::chrono::parse("%FT%TZ", at))) return "";
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now - at).count();
  if (seconds < 0) return "0s";
  if (seconds < 120) return std::format("{}s", seconds);
  if (seconds < 7200) return std::format("{}m", seconds / 60);
  if (seconds < 172'800) return std::format("{}h", seconds / 3600);
  return std::format("{}d", seconds / 86'400);
}

std::string state_of(const PoolNode& node) {
  std::string state = node.ready ? "Ready" : "NotReady";
  if (!node.schedulable) state += ",cordoned";
  for (const auto& condition : node.conditions) state += "," + condition;
  return state;
}

// Columns as wide as their widest cell, two spaces between.
std::string table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) line += std::format("{:<{}}", row[i], widths[i] + 2);
    out += line.substr(0, line.find_last_not_of(' ') + 1) + '\n';
  }
  return out;
}

}  // namespace

Result<Pool> decode_pool(std::string_view json) try {
  const auto value = Json::parse(json);
  const auto& whole = value.at("pool");
  Pool pool{.nodes = whole.at("nodes").get<std::int64_t>(),
            .ready = whole.at("ready").get<std::int64_t>(),
            .pods_waiting = whole.value("pods_waiting", std::int64_t{0}),
            .allocatable = sum_of(whole.at("allocatable")),
            .requested = sum_of(whole.at("requested"))};
  for (const auto& node : value.at("nodes")) pool.list.push_back(node_of(node));
  std::ranges::stable_sort(pool.list, {}, [](const PoolNode& node) { return std::pair{node.role != "master", node.name}; });
  return pool;
} catch (const Json::exception&) {
  return fail(ErrorKind::failed, std::format("cannot read what the master says about its pool: {}", sanitise(json.substr(0, 200))));
}

std::string print(const Pool& pool, std::string_view cluster, std::chrono::system_clock::time_point now) {
  const auto& have = pool.allocatable;
  const auto& used = pool.requested;
  auto out = std::format("{}: one computer of {} nodes, {} ready\n", cluster, pool.nodes, pool.ready);
  std::vector<std::vector<std::string>> whole{
      {"  CPU", std::format("{} of {} cores requested", cores(used.cpu_m), cores(have.cpu_m))},
      {"  memory", std::format("{} of {} requested", human(used.memory), human(have.memory))},
      {"  disk", std::format("{} of {} requested", human(used.disk), human(have.disk))},
      {"  GPU", have.gpu == 0 ? std::string{"none"} : std::format("{} of {} requested", used.gpu, have.gpu)},
      {"  pods", std::format("{} of {}{}", used.pods, have.pods,
                             pool.pods_waiting > 0 ? std::format(", {} of them wait for a place", pool.pods_waiting) : "")}};
  out += table(whole) + '\n';
  std::vector<std::vector<std::string>> rows{{"NAME", "ROLE", "STATE", "CPU", "MEMORY", "GPU", "PODS", "VERSION", "AGE", "ADDRESS"}};
  for (const auto& node : pool.list)
    rows.push_back({node.name, node.role, state_of(node), std::format("{}/{}", cores(node.requested.cpu_m), cores(node.allocatable.cpu_m)),
                    std::format("{}/{}", human(node.requested.memory), human(node.allocatable.memory)),
                    std::format("{}/{}", node.requested.gpu, node.allocatable.gpu),
                    std::format("{}/{}", node.requested.pods, node.allocatable.pods), node.version, age_of(node.created, now),
                    node.address});
  out += table(rows);
  for (const auto& node : pool.list)
    if (!node.ready && !node.reason.empty()) out += std::format("{}: {}\n", node.name, node.reason);
  return sanitise(out);
}

}  // namespace cloudos::cli
