// How one node looks: a paragraph of what it is and does, then its conditions, labels and last events.
#include <algorithm>
#include <format>

#include "core/base/text.hpp"
#include "installer/cli/node.hpp"

namespace cloudos::cli {

namespace {

using Now = std::chrono::system_clock::time_point;
using model::HostFacts;

// "name  text" lines; a name that repeats is told once.
class Sheet {
 public:
  void add(const std::string& name, std::string text, Tone tone = Tone::plain) {
    if (text.empty()) return;
    rows_.push_back({.name = !rows_.empty() && name == last_ ? "" : name, .text = std::move(text), .tone = tone});
    last_ = name;
  }
  [[nodiscard]] std::string text(const Look& look) const {
    constexpr std::size_t width = 14;
    std::string out;
    for (const auto& row : rows_)
      out += std::format("  {}{}{}\n", toned(row.name, Tone::faint, look), std::string(width - std::min(width, row.name.size()), ' '),
                         toned(one_line(row.text), row.tone, look));
    return out;
  }

 private:
  struct Row {
    std::string name, text;
    Tone tone;
  };
  std::vector<Row> rows_;
  std::string last_;
};

// The parts that are not empty, with commas between.
std::string listed(std::initializer_list<std::string> parts) {
  std::vector<std::string> all;
  std::ranges::copy_if(parts, std::back_inserter(all), [](const std::string& part) { return !part.empty(); });
  return join(all, ", ");
}

std::string state_of(const Node& node, Now now) {
  std::string state = node.line.ready ? "Ready" : "NotReady";
  for (const auto& condition : node.conditions)
    if (const auto age = age_of(condition.since, now); condition.type == "Ready" && !age.empty()) state += " for " + age;
  return listed({node.line.role, state, node.line.schedulable ? "" : "cordoned",
                 node.line.problems.empty()
                     ? ""
                     : std::format("{} condition{} bad", node.line.problems.size(), node.line.problems.size() == 1 ? "" : "s")});
}

std::string percent(Bytes part, Bytes whole) {
  return whole.count == 0 ? "" : std::format(" ({:.0f} %)", 100.0 * static_cast<double>(part.count) / static_cast<double>(whole.count));
}

void add_versions(const Node& node, Sheet& sheet) {
  const auto& line = node.line;
  sheet.add("address", line.address);
  auto runtime = node.runtime;  // "containerd://2.4.2"
  if (const auto at = runtime.find("://"); at != std::string::npos) runtime.replace(at, 3, " ");
  sheet.add("versions", listed({std::format("kubelet {}", line.version), runtime, line.os, std::format("kernel {}", line.kernel)}));
  if (!node.facts) return sheet.add("machine", std::format("does not say what it is: {}", node.no_facts), Tone::bad);
  const auto& facts = *node.facts;
  const auto agent = facts.agent_digest.empty() ? "" : std::format("agent {}", facts.agent_digest);
  const auto init = facts.init.systemd_version > 0 ? std::format("systemd {}", facts.init.systemd_version) : facts.init.name;
  sheet.add("versions", listed({init, facts.cgroup.version > 0 ? std::format("cgroup v{}", facts.cgroup.version) : "", agent}));
  const auto made = std::string(trim(std::format("{} {}", facts.hardware.vendor, facts.hardware.product)));
  const auto virtualised = facts.virtualisation == "none" ? std::string{"no virtualisation"} : facts.virtualisation;
  sheet.add("machine", listed({made, virtualised, facts.arch}));
}

void add_cpu(const Node& node, Sheet& sheet) {
  const auto& usage = node.line.usage;
  const auto asked = std::format("{} requested", cores(node.line.requested.cpu_m));
  const auto have = cores(node.line.allocatable.cpu_m);
  sheet.add("CPU", usage ? std::format("{} of {} cores in use, {}", cores(usage->cpu.used_m()), have, asked)
                         : std::format("{} of {} cores", asked, have));
  if (usage && usage->load_m.size() == 3) {
    const auto load = [&](std::size_t i) { return std::format("{:.2f}", static_cast<double>(usage->load_m[i]) / 1000); };
    sheet.add("CPU", std::format("load {} {} {}", load(0), load(1), load(2)));
  }
  if (!node.facts) return;
  const auto& cpu = node.facts->cpu;
  if (cpu.threads > 0)
    sheet.add("CPU", std::format("{} × {}: {} cores, {} threads", std::max(1, cpu.sockets), cpu.model.empty() ? "CPU" : cpu.model,
                                 cpu.cores, cpu.threads));
  for (const auto& numa : node.facts->numa) sheet.add("NUMA", std::format("node {}: CPUs {}, {}", numa.id, numa.cpus, human(numa.memory)));
}

void add_memory(const Node& node, Sheet& sheet) {
  const auto& usage = node.line.usage;
  const auto asked = std::format("{} requested", human(node.line.requested.memory));
  sheet.add("memory", usage ? std::format("{} of {} in use{}, {}", human(usage->memory.used), human(usage->memory.total),
                                          percent(usage->memory.used, usage->memory.total), asked)
                            : std::format("{} of {}", asked, human(node.line.allocatable.memory)));
  if (!node.facts) return;
  const auto& facts = *node.facts;
  if (facts.memory.limit.count > 0)
    sheet.add("memory", std::format("limited to {} of the {} of its host", human(facts.memory.limit), human(facts.memory.physical)));
  for (const auto& pages : facts.hugepages)
    if (pages.total > 0) sheet.add("memory", std::format("huge pages of {}: {} of {} free", human(pages.size), pages.free, pages.total));
  for (const auto& swap : facts.swaps)
    sheet.add("swap", std::format("{} ({}): {} of {} in use", swap.device, swap.type, human(swap.used), human(swap.size)));
}

void add_disks(const Node& node, Sheet& sheet) {
  if (node.line.usage)
    for (const auto& system : node.line.usage->file_systems)
      sheet.add("file systems", std::format("{}: {} of {} in use{} on {}{}", system.path, human(system.used), human(system.total),
                                            percent(system.used, system.total), system.device, system.pods ? ", pods' data" : ""));
  if (!node.facts) return;
  for (const auto& disk : node.facts->disks)
    sheet.add("disks",
              listed({std::format("{}: {}", disk.name, human(disk.size)), disk.model, disk.rotational ? "rotating" : "not rotating"}));
  const auto ms = [](std::int64_t us) { return std::format("{:.1f} ms", static_cast<double>(us) / 1000); };
  for (const auto& [folder, latency] : node.facts->sync_latency)
    sheet.add("fsync", std::format("{} in the middle, {} at the 99th percentile of {} small writes below {}", ms(latency.median_us),
                                   ms(latency.p99_us), latency.writes, folder));
}

// Links of pods come and go with them.
bool is_of_machine(const HostFacts::Interface& link) {
  return link.name != "lo" && (!link.pci.empty() || !link.driver.empty() || !link.addresses.empty());
}

void add_network(const HostFacts& facts, Sheet& sheet) {
  for (const auto& link : facts.interfaces) {
    if (!is_of_machine(link)) continue;
    const auto speed = link.speed_mbit > 0 ? std::format("{} Mb/s", link.speed_mbit) : "";
    const auto functions = link.sriov_capable > 0 ? std::format("SR-IOV {} of {}", link.sriov_active, link.sriov_capable) : "";
    sheet.add("network", std::format("{}: {}", link.name,
                                     listed({link.carrier ? "up" : "no carrier", speed, link.duplex == "half" ? "half duplex" : "",
                                             std::format("MTU {}", link.mtu), join(link.addresses, " "), link.driver, functions})));
  }
}

void add_system(const HostFacts& facts, Sheet& sheet) {
  const auto off = std::format("{:.3f} ms to correct", static_cast<double>(facts.clock_offset_us) / 1000);
  sheet.add("clock", listed({facts.clock_synchronised ? "synchronised" : "not synchronised", off, facts.clock_source}),
            facts.clock_synchronised ? Tone::plain : Tone::warning);
  sheet.add("firewall", facts.firewalls.empty() ? "none" : join(facts.firewalls, ", "));
  std::vector<std::string> runtimes;
  for (const auto& runtime : facts.runtimes)
    runtimes.push_back(std::format("{} {}{}", runtime.name, runtime.version, runtime.running ? "" : " (not running)"));
  sheet.add("runtimes", runtimes.empty() ? "none beside ours" : "beside ours: " + join(runtimes, ", "));
}

// One line a kind of GPU: with its driver, or with what is missing.
void add_gpu_kinds(const Node& node, Sheet& sheet) {
  for (const auto& gpu : node.line.gpus) sheet.add("GPU", offered_text(gpu));
  if (!node.facts) return;
  for (const auto& kind : node.facts->gpus) {
    const bool missing = std::ranges::none_of(
        node.facts->gpu_devices, [&](const HostFacts::GpuDevice& gpu) { return gpu.device == kind.device && !gpu.driver.empty(); });
    const auto driver = node.facts->gpu_drivers.find(kind.vendor);
    if (missing) sheet.add("GPU", listed({missing_text(kind.device, kind.count), kind.model}), Tone::warning);
    else if (driver != node.facts->gpu_drivers.end())
      sheet.add("GPU", listed({std::format("{} × {}", kind.count, kind.model.empty() ? kind.device : kind.model),
                               std::format("driver {}", driver->second.version),
                               driver->second.cuda_version.empty() ? "" : std::format("CUDA {}", driver->second.cuda_version)}));
    else sheet.add("GPU", listed({std::format("{} × {}", kind.count, kind.model.empty() ? kind.device : kind.model), kind.driver}));
  }
}

void add_gpus(const Node& node, Sheet& sheet) {
  add_gpu_kinds(node, sheet);
  if (!node.line.usage) return;
  for (const auto& gpu : node.line.usage->gpus) {
    if (gpu.driver.empty()) continue;
    const auto memory = gpu.memory.count > 0 ? std::format("{} of {}", human(gpu.memory_used), human(gpu.memory)) : "";
    const auto told = listed({gpu.busy_percent >= 0 ? std::format("{} % busy", gpu.busy_percent) : "", memory,
                              gpu.temperature >= 0 ? std::format("{} °C", gpu.temperature) : "",
                              gpu.power_mw >= 0 ? std::format("{} W", (gpu.power_mw + 500) / 1000) : "", gpu.trouble});
    if (!told.empty()) sheet.add("GPU", std::format("{}: {}", gpu.address, told), gpu.trouble.empty() ? Tone::plain : Tone::bad);
  }
}

void add_pods(const Node& node, Sheet& sheet) {
  std::vector<std::string> phases;
  for (const auto& [phase, count] : node.phases) phases.push_back(std::format("{} {}", count, phase));
  sheet.add("pods", std::format("{} of {}{}", node.line.requested.pods, node.line.allocatable.pods,
                                phases.empty() ? "" : ": " + join(phases, ", ")));
  for (const auto& taint : node.taints) sheet.add("taints", taint);
}

void add_unknown(const Node& node, Sheet& sheet) {
  if (!node.line.no_usage.empty() && node.line.no_usage != node.no_facts)
    sheet.add("not known", std::format("what is in use: {}", node.line.no_usage), Tone::warning);
  if (node.line.usage)
    for (const auto& [what, why] : node.line.usage->unknown) sheet.add("not known", std::format("{}: {}", what, why), Tone::warning);
  if (node.facts)
    for (const auto& [what, why] : node.facts->unknown) sheet.add("not known", std::format("{}: {}", what, why), Tone::warning);
}

// Of conditions other than Ready "True" is the bad news.
Tone tone_of(const NodeCondition& condition) {
  const bool good = condition.status == (condition.type == "Ready" ? "True" : "False");
  return good ? Tone::good : Tone::bad;
}

std::string conditions_text(const Node& node, Now now, const Look& look) {
  std::vector<std::vector<Cell>> rows;
  for (const auto& each : node.conditions) {
    const auto why = each.message.empty() ? each.reason : std::format("{}: {}", each.reason, each.message);
    rows.push_back({{.text = each.type}, {.text = each.status, .tone = tone_of(each)}, {.text = age_of(each.since, now)}, {.text = why}});
  }
  return rows.empty() ? "" : "\n" + table({{"CONDITION"}, {"STATUS"}, {"FOR"}, {"WHY"}}, rows, {.width = 0, .colour = look.colour});
}

// A line a label; a CPU's flags, of which there are dozens, share one.
std::string labels_text(const Node& node, const Look& look) {
  constexpr std::string_view flags = "feature.node.kubernetes.io/cpu-cpuid.";
  std::vector<std::string> lines, features;
  for (const auto& [name, value] : node.labels) {
    if (name.starts_with(flags) && value == "true") features.push_back(name.substr(flags.size()));
    else lines.push_back(std::format("{}={}", name, value));
  }
  if (!features.empty()) lines.push_back(std::format("{}…: {}", flags, join(features, " ")));
  std::string out;
  for (const auto& line : lines) out += "  " + one_line(line) + '\n';
  return out.empty() ? "" : "\n" + toned("LABELS", Tone::faint, look) + '\n' + out;
}

std::string events_text(const Node& node, Now now, const Look& look) {
  std::vector<std::vector<Cell>> rows;
  for (const auto& each : node.events) {
    const auto often = each.count > 1 ? std::format(" ({} times)", each.count) : "";
    rows.push_back({{.text = age_of(each.at, now)},
                    {.text = each.type, .tone = each.type == "Warning" ? Tone::warning : Tone::plain},
                    {.text = each.reason},
                    {.text = each.message + often}});
  }
  return rows.empty() ? "" : "\n" + table({{"AGO"}, {"EVENT"}, {"REASON"}, {"MESSAGE"}}, rows, {.width = 0, .colour = look.colour});
}

}  // namespace

std::string print(const Node& node, Now now, const Look& look) {
  Sheet sheet;
  add_versions(node, sheet);
  add_cpu(node, sheet);
  add_memory(node, sheet);
  add_disks(node, sheet);
  if (node.facts) add_network(*node.facts, sheet);
  if (node.facts) add_system(*node.facts, sheet);
  add_gpus(node, sheet);
  add_pods(node, sheet);
  add_unknown(node, sheet);
  const auto tone = !node.line.ready ? Tone::bad : (node.line.problems.empty() ? Tone::good : Tone::warning);
  return std::format("{}: {}\n", toned(one_line(node.line.name), Tone::strong, look), toned(state_of(node, now), tone, look)) +
         sheet.text(look) + conditions_text(node, now, look) + labels_text(node, look) + events_text(node, now, look);
}

}  // namespace cloudos::cli
