#include "core/model/facts.hpp"

#include "core/model/codec.hpp"

namespace cloudos::model {

using codec::is;

void fields(auto& a, is<HostFacts::Os> auto& v) {
  a("id", v.id);
  a("version_id", v.version_id);
  a("pretty_name", v.pretty_name);
}
void fields(auto& a, is<HostFacts::Kernel> auto& v) { a("release", v.release); }
void fields(auto& a, is<HostFacts::Init> auto& v) {
  a("name", v.name);
  a("systemd_version", v.systemd_version);
  a("state", v.state);
}
void fields(auto& a, is<HostFacts::Cpu> auto& v) {
  a("sockets", v.sockets);
  a("cores", v.cores);
  a("threads", v.threads);
  a("model", v.model);
  a("vendor", v.vendor);
  a("family", v.family);
  a("id", v.id);
  a("flags", v.flags);
  a("multithreading", v.multithreading);
}
void fields(auto& a, is<HostFacts::Memory> auto& v) {
  a("total", v.total);
  a("available", v.available);
  a("swap_total", v.swap_total);
  a("physical", v.physical);
  a("limit", v.limit);
}
void fields(auto& a, is<HostFacts::Hardware> auto& v) {
  a("vendor", v.vendor);
  a("product", v.product);
}
void fields(auto& a, is<HostFacts::HugePages> auto& v) {
  a("size", v.size);
  a("total", v.total);
  a("free", v.free);
}
void fields(auto& a, is<HostFacts::NumaNode> auto& v) {
  a("id", v.id);
  a("cpus", v.cpus);
  a("memory", v.memory);
  a("distances", v.distances);
  a("hugepages", v.hugepages);
}
void fields(auto& a, is<HostFacts::Swap> auto& v) {
  a("device", v.device);
  a("type", v.type);
  a("size", v.size);
  a("used", v.used);
}
void fields(auto& a, is<HostFacts::Mount> auto& v) {
  a("path", v.path);
  a("device", v.device);
  a("type", v.type);
  a("total", v.total);
  a("free", v.free);
  a("inodes_total", v.inodes_total);
  a("inodes_free", v.inodes_free);
  a("read_only", v.read_only);
}
void fields(auto& a, is<HostFacts::Disk> auto& v) {
  a("name", v.name);
  a("model", v.model);
  a("size", v.size);
  a("rotational", v.rotational);
  a("numa_node", v.numa_node);
}
void fields(auto& a, is<HostFacts::SyncLatency> auto& v) {
  a("median_us", v.median_us);
  a("p99_us", v.p99_us);
  a("writes", v.writes);
}
void fields(auto& a, is<HostFacts::Interface> auto& v) {
  a("name", v.name);
  a("mac", v.mac);
  a("state", v.state);
  a("mtu", v.mtu);
  a("speed_mbit", v.speed_mbit);
  a("addresses", v.addresses);
  a("carrier", v.carrier);
  a("duplex", v.duplex);
  a("driver", v.driver);
  a("pci", v.pci);
  a("numa_node", v.numa_node);
  a("sriov_capable", v.sriov_capable);
  a("sriov_active", v.sriov_active);
}
void fields(auto& a, is<HostFacts::Route> auto& v) {
  a("destination", v.destination);
  a("gateway", v.gateway);
  a("device", v.device);
  a("source", v.source);
  a("metric", v.metric);
}
void fields(auto& a, is<HostFacts::Listener> auto& v) {
  a("protocol", v.protocol);
  a("address", v.address);
  a("port", v.port);
  a("process", v.process);
  a("unit", v.unit);
}
void fields(auto& a, is<HostFacts::Feature> auto& v) {
  a("works", v.works);
  a("reason", v.reason);
}
void fields(auto& a, is<HostFacts::Cgroup> auto& v) {
  a("version", v.version);
  a("controllers", v.controllers);
  a("driver", v.driver);
}
void fields(auto& a, is<HostFacts::Runtime> auto& v) {
  a("name", v.name);
  a("socket", v.socket);
  a("version", v.version);
  a("running", v.running);
}
void fields(auto& a, is<HostFacts::Gpu> auto& v) {
  a("vendor", v.vendor);
  a("device", v.device);
  a("model", v.model);
  a("driver", v.driver);
  a("count", v.count);
}
void fields(auto& a, is<HostFacts::PciFunction> auto& v) {
  a("address", v.address);
  a("pci_class", v.pci_class);
  a("vendor", v.vendor);
  a("device", v.device);
  a("subsystem_vendor", v.subsystem_vendor);
  a("subsystem_device", v.subsystem_device);
  a("driver", v.driver);
  a("numa_node", v.numa_node);
  a("sriov_capable", v.sriov_capable);
}
void fields(auto& a, is<HostFacts::MigDevice> auto& v) {
  a("uuid", v.uuid);
  a("profile", v.profile);
  a("memory", v.memory);
  a("multiprocessors", v.multiprocessors);
  a("gpu_slices", v.gpu_slices);
  a("compute_slices", v.compute_slices);
  a("copy_engines", v.copy_engines);
  a("decoders", v.decoders);
  a("encoders", v.encoders);
  a("jpeg_engines", v.jpeg_engines);
  a("ofa_engines", v.ofa_engines);
}
void fields(auto& a, is<HostFacts::GpuDevice> auto& v) {
  a("address", v.address);
  a("vendor", v.vendor);
  a("pci_class", v.pci_class);
  a("device", v.device);
  a("model", v.model);
  a("driver", v.driver);
  a("numa_node", v.numa_node);
  a("uuid", v.uuid);
  a("memory", v.memory);
  a("architecture", v.architecture);
  a("compute_major", v.compute_major);
  a("compute_minor", v.compute_minor);
  a("compute_units", v.compute_units);
  a("simds", v.simds);
  a("mig_capable", v.mig_capable);
  a("mig_enabled", v.mig_enabled);
  a("mig", v.mig);
  a("partition", v.partition);
  a("links", v.links);
  a("device_nodes", v.device_nodes);
}
void fields(auto& a, is<HostFacts::GpuDriver> auto& v) {
  a("version", v.version);
  a("cuda_version", v.cuda_version);
}
void fields(auto& a, is<HostFacts::Kubernetes> auto& v) {
  a("state", v.state);
  a("role", v.role);
  a("node_name", v.node_name);
  a("version", v.version);
  a("ca_spki", v.ca_spki);
  a("cluster_id", v.cluster_id);
  a("bundle", v.bundle);
  a("foreign", v.foreign);
  a("api_healthy", v.api_healthy);
  a("kubelet_active", v.kubelet_active);
  a("server_address", v.server_address);
}
void fields(auto& a, is<HostFacts> auto& v) {
  a("hostname", v.hostname);
  a("machine_id", v.machine_id);
  a("boot_id", v.boot_id);
  a("arch", v.arch);
  a("agent_digest", v.agent_digest);
  a("clock_ms", v.clock_ms);
  a("clock_synchronised", v.clock_synchronised);
  a("clock_offset_us", v.clock_offset_us);
  a("clock_max_error_us", v.clock_max_error_us);
  a("clock_source", v.clock_source);
  a("root", v.root);
  a("os", v.os);
  a("kernel", v.kernel);
  a("init", v.init);
  a("virtualisation", v.virtualisation);
  a("hardware", v.hardware);
  a("cpu", v.cpu);
  a("memory", v.memory);
  a("hugepages", v.hugepages);
  a("numa", v.numa);
  a("swaps", v.swaps);
  a("mounts", v.mounts);
  a("disks", v.disks);
  a("sync_latency", v.sync_latency);
  a("interfaces", v.interfaces);
  a("routes", v.routes);
  a("listeners", v.listeners);
  a("features", v.features);
  a("cgroup", v.cgroup);
  a("sysctls", v.sysctls);
  a("limits", v.limits);
  a("runtimes", v.runtimes);
  a("firewalls", v.firewalls);
  a("gpus", v.gpus);
  a("pci", v.pci);
  a("gpu_devices", v.gpu_devices);
  a("gpu_drivers", v.gpu_drivers);
  a("kubernetes", v.kubernetes);
  a("running_apply", v.running_apply);
  a("ssh_client_address", v.ssh_client_address);
  a("unknown", v.unknown);
}
void fields(auto& a, is<Reach> auto& v) {
  a("from", v.from);
  a("to", v.to);
  a("tcp", v.tcp);
  a("mtu", v.mtu);
  a("source", v.source);
  a("reason", v.reason);
}

namespace {
struct ReachList {
  std::vector<Reach> reach;
};
void fields(auto& a, is<ReachList> auto& v) { a("reach", v.reach); }
}  // namespace

std::string encode_facts(const HostFacts& facts) { return codec::encode(facts, HostFacts::schema); }
Result<HostFacts> decode_facts(std::string_view json) { return codec::decode<HostFacts>(json, "machine facts", HostFacts::schema); }
std::string encode_reach(const std::vector<Reach>& reach) { return codec::encode(ReachList{reach}); }
Result<std::vector<Reach>> decode_reach(std::string_view json) {
  CLOUDOS_ASSIGN(auto list, codec::decode<ReachList>(json, "reachability"));
  return std::move(list.reach);
}

}  // namespace cloudos::model
