#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>

#include "agent/metrics/collectors.hpp"

namespace cloudos::metrics {
namespace {

// "0000:18:00.0" as NVML, and so DCGM's exporter, has it: "00000000:18:00.0", upper case.
std::string dcgm_address(std::string_view sysfs) {
  std::string out(sysfs.find(':') < 8 ? 8 - sysfs.find(':') : 0, '0');
  for (const char c : sysfs) out += c >= 'a' && c <= 'f' ? static_cast<char>(c - 'a' + 'A') : c;
  return out;
}

std::string host_name() {
  struct utsname name{};
  return ::uname(&name) == 0 ? name.nodename : "";
}

struct Gpu {
  const model::Usage::Gpu* usage = nullptr;
  const halves::Figures::GpuErrors* errors = nullptr;
};

void tell_gpu(Page& page, const Gpu& gpu, std::size_t index, std::string_view host) {
  const auto number = std::to_string(index);
  const auto device = "nvidia" + number, address = dcgm_address(gpu.usage->address);
  const Labels labels = {{"gpu", number},
                         {"UUID", gpu.errors != nullptr ? std::string_view(gpu.errors->uuid) : std::string_view()},
                         {"pci_bus_id", address},
                         {"device", device},
                         {"modelName", gpu.usage->model},
                         {"Hostname", host}};
  const auto& usage = *gpu.usage;
  if (usage.busy_percent >= 0) page.gauge("DCGM_FI_DEV_GPU_UTIL", "GPU utilisation in percent.").add(usage.busy_percent, labels);
  if (usage.temperature >= 0) page.gauge("DCGM_FI_DEV_GPU_TEMP", "Temperature in degrees Celsius.").add(usage.temperature, labels);
  if (usage.power_mw >= 0)
    page.gauge("DCGM_FI_DEV_POWER_USAGE", "Power draw in watts.").add(static_cast<double>(usage.power_mw) / 1000.0, labels);
  if (usage.memory.count > 0) {
    const auto mib = [](std::uint64_t bytes) { return bytes >> 20U; };
    page.gauge("DCGM_FI_DEV_FB_TOTAL", "Memory in MiB.").add(mib(usage.memory.count), labels);
    page.gauge("DCGM_FI_DEV_FB_USED", "Memory in use, in MiB.").add(mib(usage.memory_used.count), labels);
    page.gauge("DCGM_FI_DEV_FB_FREE", "Memory free, in MiB.")
        .add(mib(usage.memory.count - std::min(usage.memory.count, usage.memory_used.count)), labels);
  }
  if (gpu.errors == nullptr) return;
  page.gauge("DCGM_FI_DEV_XID_ERRORS", "The last Xid error, 0 when there was none.").add(gpu.errors->last_xid, labels);
  // Counters whose names do not end in "_total": of no type, as promtool would have it.
  page.family("DCGM_FI_DEV_ECC_SBE_VOL_TOTAL", Kind::untyped, "Memory errors that were corrected, since the driver was loaded.")
      .add(gpu.errors->ecc_corrected, labels);
  page.family("DCGM_FI_DEV_ECC_DBE_VOL_TOTAL", Kind::untyped, "Memory errors that could not be corrected, since the driver was loaded.")
      .add(gpu.errors->ecc_uncorrected, labels);
}

void tell_report(Page& page, const halves::Report& report) {
  auto& problems = page.gauge("cloudos_health_problem", "Something that is wrong with the node now, always 1.");
  for (const auto& problem : report.problems)
    problems.add(1, {{"type", problem.type}, {"subject", problem.subject}, {"reason", problem.reason}});
  auto& conditions = page.gauge("cloudos_condition", "The node's conditions: 1 for the status that each has.");
  for (const auto& condition : report.conditions)
    for (const bool status : {true, false})
      conditions.add(condition.status == status ? 1 : 0, {{"type", condition.type}, {"status", status ? "true" : "false"}});
  page.counter("cloudos_events_lost_total", "Events that were dropped since the API server did not take them in time.").add(report.lost);
}

void tell_figures(Page& page, const halves::Figures& figures) {
  auto& restarts = page.counter("cloudos_agent_restarts_total", "Times that the agent restarted a service that hung.");
  for (const auto& [service, count] : figures.restarts) restarts.add(count, {{"service", service}});
  auto& certificates = page.gauge("cloudos_certificate_expiry_timestamp_seconds", "When the certificate expires, in seconds since 1970.");
  for (const auto& [path, when] : figures.certificates) certificates.add(when, {{"path", path}});
  auto& sync =
      page.gauge("cloudos_storage_sync_p99_seconds", "How long small writes took to become durable, 99th percentile of the last try.");
  for (const auto& [folder, seconds] : figures.sync_p99_seconds) sync.add(seconds, {{"folder", folder}});
  auto& devices = page.gauge("cloudos_device", "Devices that are offered to kubelet, by their state.");
  for (const auto& [resource, states] : figures.devices)
    for (const auto& [state, count] : states) devices.add(count, {{"resource", resource}, {"state", state}});
}

}  // namespace

void tell_gpus(Page& page, const Inputs& inputs) {
  if (inputs.figures == nullptr) return;
  std::vector<Gpu> gpus;
  for (const auto& usage : inputs.figures->gpus) {
    if (usage.vendor != "nvidia") continue;
    const auto errors = std::ranges::find(inputs.figures->gpu_errors, usage.address, &halves::Figures::GpuErrors::address);
    gpus.push_back({&usage, errors != inputs.figures->gpu_errors.end() ? &*errors : nullptr});
  }
  // NVML counts GPUs in the order of their PCI addresses (nvml.h, nvmlDeviceGetHandleByIndex).
  std::ranges::sort(gpus, {}, [](const Gpu& gpu) { return gpu.usage->address; });
  const auto host = inputs.node.empty() ? host_name() : inputs.node;
  for (std::size_t i = 0; i < gpus.size(); ++i) tell_gpu(page, gpus[i], i, host);
}

void tell_own(Page& page, const Inputs& inputs) {
  page.gauge("cloudos_agent_build_info", "The agent's version, always 1.").add(1, {{"version", CLOUDOS_VERSION}});
  page.gauge("cloudos_agent_root_up", "Whether the agent's root half answers; without it some of these figures are missing.")
      .add(inputs.report != nullptr && inputs.figures != nullptr ? 1 : 0);
  page.counter("cloudos_api_writes_total", "Requests of the agent that changed something at the API server.").add(inputs.own.api_writes);
  page.counter("cloudos_api_errors_total", "Requests of the agent to the API server that failed.").add(inputs.own.api_errors);
  if (inputs.report != nullptr) tell_report(page, *inputs.report);
  if (inputs.figures != nullptr) tell_figures(page, *inputs.figures);
}

// proc_pid_stat(5), by the numbers of its fields. The names are those of Prometheus' client libraries.
void tell_process(Look& look) {
  const auto stat = look.proc.text("self/stat", look.room);
  if (!stat || !stat->contains(')')) return;
  auto rest = stat->substr(stat->rfind(')') + 1);
  std::array<double, 25> fields{};
  for (std::size_t number = 3; number < fields.size(); ++number) fields[number] = real_of(take_word(rest)).value_or(0);
  const auto hertz = static_cast<double>(std::max(1L, ::sysconf(_SC_CLK_TCK)));
  auto& page = look.page;
  page.counter("process_cpu_seconds_total", "CPU time of this process.").add((fields[14] + fields[15]) / hertz);
  page.gauge("process_virtual_memory_bytes", "Virtual memory of this process.").add(fields[23]);
  page.gauge("process_resident_memory_bytes", "Resident memory of this process.")
      .add(fields[24] * static_cast<double>(::sysconf(_SC_PAGESIZE)));
  page.gauge("process_threads", "Threads of this process.").add(fields[20]);
  const auto started = fields[22] / hertz;
  page.gauge("process_open_fds", "Files that this process has open.").add(look.proc.sub("self/fd").names(false).size());
  const auto all = look.proc.text("stat", look.room).value_or("");
  const auto boot = all.find("btime ");
  if (boot == std::string_view::npos) return;
  auto line = all.substr(boot + 6, all.find('\n', boot) - boot - 6);
  if (const auto seconds = count_of(take_word(line)))
    page.gauge("process_start_time_seconds", "When this process was started, in seconds since 1970.")
        .add(static_cast<double>(*seconds) + started);
}

}  // namespace cloudos::metrics
