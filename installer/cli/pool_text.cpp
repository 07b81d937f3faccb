// How the pool looks.
#include <algorithm>
#include <format>
#include <sstream>

#include "core/base/text.hpp"
#include "installer/cli/pool.hpp"

namespace cloudos::cli {

namespace {

using Now = std::chrono::system_clock::time_point;

// GPUs that no driver offers, by device.
std::map<std::string, std::int64_t> without_driver(const PoolNode& node) {
  std::map<std::string, std::int64_t> out;
  if (node.usage)
    for (const auto& gpu : node.usage->gpus)
      if (gpu.driver.empty()) ++out[gpu.device];
  return out;
}

Cell state_of(const PoolNode& node) {
  std::string state = node.ready ? "Ready" : "NotReady";
  if (!node.schedulable) state += ",cordoned";
  for (const auto& problem : node.problems) state += "," + problem.type;
  const bool fine = node.ready && node.schedulable && node.problems.empty();
  return {.text = std::move(state), .tone = fine ? Tone::good : (node.ready ? Tone::warning : Tone::bad)};
}

Cell share(const std::string& used, const std::string& whole) { return {.text = std::format("{}/{}", used, whole)}; }

std::vector<Cell> row_of(const PoolNode& node, Now now, bool any_gpu) {
  const auto& usage = node.usage;
  const auto* disk = usage ? pods_disk(*usage) : nullptr;
  std::vector<Cell> row{{.text = node.name, .tone = Tone::strong},
                        {.text = node.role},
                        state_of(node),
                        share(usage ? cores(usage->cpu.used_m()) : "-", cores(node.allocatable.cpu_m)),
                        usage ? share(human(usage->memory.used), human(usage->memory.total)) : Cell{.text = "-"},
                        disk != nullptr ? share(human(disk->used), human(disk->total)) : Cell{.text = "-"},
                        share(std::to_string(node.requested.pods), std::to_string(node.allocatable.pods))};
  if (any_gpu) {
    std::string counts, models;
    for (const auto& gpu : node.gpus) {
      counts += std::format("{}{}/{}", counts.empty() ? "" : " ", gpu.requested, gpu.allocatable);
      models += std::format("{}{} × {}", models.empty() ? "" : ", ", gpu.cards, gpu.model.empty() ? gpu.resource : gpu.model);
    }
    for (const auto& [device, count] : without_driver(node))
      models += std::format("{}{} × {}, no driver", models.empty() ? "" : ", ", count, device);
    row.push_back({.text = counts.empty() ? "-" : counts});
    row.push_back({.text = models});
  }
  for (auto& text : {node.version, age_of(node.created, now), node.address}) row.push_back({.text = text});
  return row;
}

std::string nodes_table(const Pool& pool, Now now, const Look& look) {
  const bool any_gpu =
      std::ranges::any_of(pool.list, [](const PoolNode& node) { return !node.gpus.empty() || !without_driver(node).empty(); });
  std::vector<Column> columns{{"NAME"}, {"ROLE", 5}, {"STATE"}, {"CPU"}, {"MEMORY"}, {"DISK", 4}, {"PODS", 3}};
  if (any_gpu) columns.insert(columns.end(), {Column{"GPU"}, Column{"GPU MODEL", 6}});
  columns.insert(columns.end(), {Column{"VERSION", 7}, Column{"AGE", 8}, Column{"ADDRESS", 9}});
  std::vector<std::vector<Cell>> rows;
  for (const auto& node : pool.list) rows.push_back(row_of(node, now, any_gpu));
  return table(columns, rows, look);
}

std::vector<std::string> gpu_lines(const Pool& pool) {
  std::vector<std::string> lines;
  const auto gpus = gpus_of(pool);
  for (const auto& gpu : gpus.offered) lines.push_back(offered_text(gpu));
  for (const auto& [device, count] : gpus.without_driver) lines.push_back(missing_text(device, count));
  if (lines.empty()) lines.emplace_back("none");
  return lines;
}

std::string whole_table(const Pool& pool, const Look& look) {
  const auto& have = pool.allocatable;
  const auto& asked = pool.requested;
  const auto used = usage_of(pool);
  const bool known = used.nodes > 0;
  const auto in_use = [&](const std::string& use, const std::string& total, const std::string& requested) {
    return known ? std::format("{} of {} in use, {} requested", use, total, requested)
                 : std::format("{} of {} requested", requested, total);
  };
  const auto memory = known ? used.memory_total : have.memory;
  const auto disk = known && used.disk_total.count > 0 ? used.disk_total : have.disk;
  std::vector<std::vector<Cell>> rows{
      {{"  CPU"}, {in_use(cores(used.cpu_m), cores(have.cpu_m) + " cores", cores(asked.cpu_m))}},
      {{"  memory"}, {in_use(human(used.memory), human(memory), human(asked.memory))}},
      {{"  disk"}, {in_use(human(used.disk), human(disk), human(asked.disk))}},
  };
  for (const auto& line : gpu_lines(pool)) rows.push_back({{rows.size() == 3 ? "  GPU" : ""}, {line}});
  const auto waiting = pool.pods_waiting > 0 ? std::format(", {} of them wait for a place", pool.pods_waiting) : "";
  rows.push_back({{"  pods"}, {std::format("{} of {}{}", asked.pods, have.pods, waiting)}});
  auto out = table({{""}, {""}}, rows, {.width = 0, .colour = look.colour});
  if (used.nodes < pool.nodes) out += std::format("  in use on {} of {} nodes; the others do not say\n", used.nodes, pool.nodes);
  return out;
}

}  // namespace

std::string cores(std::int64_t thousandths) {
  if (thousandths > 0 && thousandths < 95) return std::format("{:.2f}", static_cast<double>(thousandths) / 1000);
  const auto tenths = (thousandths + 50) / 100;
  return tenths % 10 == 0 ? std::format("{}", tenths / 10) : std::format("{}.{}", tenths / 10, tenths % 10);
}

std::string age_of(const std::string& at, Now now) {
  std::istringstream in(at);
  std::chrono::sys_seconds when;
  if (!(in >> std::chrono::parse("%FT%TZ", when))) return "";
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now - when).count();
  if (seconds < 0) return "0s";
  if (seconds < 120) return std::format("{}s", seconds);
  if (seconds < 7200) return std::format("{}m", seconds / 60);
  if (seconds < 172'800) return std::format("{}h", seconds / 3600);
  return std::format("{}d", seconds / 86'400);
}

std::string offered_text(const PoolGpu& gpu) {
  auto text = std::format("{} × {}", gpu.cards, gpu.model.empty() ? gpu.resource : gpu.model);
  if (gpu.capacity > gpu.cards) text += std::format(", shared as {}", gpu.capacity);
  text += std::format(": {} of {} in use", gpu.requested, gpu.allocatable);
  if (gpu.capacity > gpu.allocatable) text += std::format(", {} unhealthy", gpu.capacity - gpu.allocatable);
  return text;
}

std::string missing_text(const std::string& device, std::int64_t count) {
  return std::format("{} × {} present, driver missing", count, device);
}

std::vector<std::string> complaints(const PoolNode& node, Now now) {
  std::vector<std::string> out;
  const auto say = [&](const std::string& what) { out.push_back(one_line(std::format("{}: {}", node.name, what))); };
  if (!node.ready) say(std::format("not Ready: {}", node.reason));
  for (const auto& problem : node.problems) {
    auto text = problem.type;
    if (!problem.reason.empty()) text += std::format(" ({})", problem.reason);
    if (const auto age = age_of(problem.since, now); !age.empty()) text += std::format(" for {}", age);
    say(problem.message.empty() ? text : std::format("{}: {}", text, problem.message));
  }
  if (!node.no_usage.empty()) say(std::format("does not say what it uses: {}", node.no_usage));
  if (!node.usage) return out;
  for (const auto& gpu : node.usage->gpus)
    if (!gpu.trouble.empty()) say(std::format("GPU {}: {}", gpu.address, gpu.trouble));
  for (const auto& [device, count] : without_driver(node)) say(missing_text(device, count));
  for (const auto& [what, why] : node.usage->unknown) say(std::format("{} cannot be told: {}", what, why));
  return out;
}

std::string print(const Pool& pool, std::string_view cluster, Now now, const Look& look) {
  auto out = std::format("{}: one computer of {} nodes, {} ready\n", toned(one_line(cluster), Tone::strong, look), pool.nodes, pool.ready);
  out += whole_table(pool, look) + '\n' + nodes_table(pool, now, look);
  std::string wrong;
  for (const auto& node : pool.list)
    for (const auto& line : complaints(node, now)) wrong += toned(line, node.ready ? Tone::warning : Tone::bad, look) + '\n';
  return wrong.empty() ? out : out + '\n' + wrong;
}

}  // namespace cloudos::cli
