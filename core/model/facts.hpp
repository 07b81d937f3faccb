#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/base/units.hpp"

namespace cloudos::model {

// What a machine is, as its agent saw it. Values that could not be read stay at their defaults and are named in
// `unknown` with the reason: an absent fact is never passed off as zero.
struct HostFacts {
  static constexpr int schema = 1;

  std::string hostname;    // as uname(2) says
  std::string machine_id;  // machine-id(5)
  std::string boot_id;
  std::string arch;                     // Go's names: amd64, arm64
  std::string agent_digest;             // of the agent folder that answered, 12 hex digits
  std::int64_t clock_ms = 0;            // CLOCK_REALTIME when the facts were taken
  bool clock_synchronised = false;      // adjtimex(2) without STA_UNSYNC
  std::int64_t clock_offset_us = 0;     // what the kernel still has to correct, adjtimex(2)
  std::int64_t clock_max_error_us = 0;  // how far off the clock may be at most, adjtimex(2)
  std::string clock_source;             // "tsc", "kvm-clock"
  bool root = false;                    // the agent runs as root

  struct Os {
    std::string id, version_id, pretty_name;
  } os;  // os-release(5)
  struct Kernel {
    std::string release;
  } kernel;
  struct Init {
    std::string name;
    int systemd_version = 0;
    std::string state;
  } init;
  std::string virtualisation;  // systemd-detect-virt: "none", "kvm", "systemd-nspawn"
  struct Hardware {
    std::string vendor, product;
  } hardware;  // SMBIOS, or the device tree's model

  struct Cpu {
    int sockets = 0, cores = 0, threads = 0;
    std::string model;
    std::string vendor;              // "GenuineIntel", "AuthenticAMD"; ARM: the implementer's code, "0x41"
    int family = 0, id = 0;          // family and model number; ARM: variant and architecture, and part and revision, of MIDR_EL1
    std::vector<std::string> flags;  // as /proc/cpuinfo has them
    bool multithreading = false;     // a core runs more than one thread
  } cpu;
  // What this machine may use: `total` and `available` never exceed the limit of the machine's own control group.
  struct Memory {
    Bytes total, available, swap_total;
    Bytes physical;  // MemTotal, whatever the limit
    Bytes limit;     // of the machine's own control group, 0: none
  } memory;
  struct HugePages {
    Bytes size;
    std::uint64_t total = 0, free = 0;
  };
  std::vector<HugePages> hugepages;
  struct NumaNode {
    int id = 0;
    std::string cpus;  // "0-15,32-47"
    Bytes memory;
    std::vector<int> distances;  // to each node, in their order
    std::vector<HugePages> hugepages;
  };
  std::vector<NumaNode> numa;
  struct Swap {
    std::string device, type;
    Bytes size, used;
  };
  std::vector<Swap> swaps;

  struct Mount {
    std::string path, device, type;
    Bytes total, free;
    std::uint64_t inodes_total = 0, inodes_free = 0;
    bool read_only = false;
  };
  std::vector<Mount> mounts;  // real file systems, and the one below each of our folders

  struct Disk {
    std::string name, model;
    Bytes size;
    bool rotational = false;
    int numa_node = -1;
  };
  std::vector<Disk> disks;
  // How long the disk below a folder takes to make a small write durable; only measured when asked for.
  struct SyncLatency {
    std::int64_t median_us = 0, p99_us = 0;
    int writes = 0;
  };
  std::map<std::string, SyncLatency> sync_latency;

  struct Interface {
    std::string name, mac, state;
    int mtu = 0;
    int speed_mbit = 0;
    std::vector<std::string> addresses;  // "10.0.0.4/24"
    bool carrier = false;
    std::string duplex;  // "full", "half", "" when the link has none or is down
    std::string driver;  // "" for virtual links
    std::string pci;     // PCI address of the device, "" for virtual links
    int numa_node = -1;
    int sriov_capable = 0, sriov_active = 0;  // virtual functions that the device can have, and has
  };
  std::vector<Interface> interfaces;
  struct Route {
    std::string destination, gateway, device, source;
    int metric = 0;
  };  // destination "0.0.0.0/0" for default
  std::vector<Route> routes;
  struct Listener {
    std::string protocol, address;
    std::uint16_t port = 0;
    std::string process;
    std::string unit;
  };
  std::vector<Listener> listeners;

  // Whether a thing works was tried, not guessed from module names. `reason` says why not.
  struct Feature {
    bool works = false;
    std::string reason;
  };
  // overlayfs, nft, iptables, vxlan, bridge, veth, netns, conntrack, sysctl-write, oom-score-lower, seccomp,
  // cgroup-cpu, cgroup-memory, cgroup-pids, cgroup-cpuset, cgroup-devices, cgroup-freezer, inotify-instances
  std::map<std::string, Feature> features;
  struct Cgroup {
    int version = 0;
    std::vector<std::string> controllers;
    std::string driver;
  } cgroup;                                    // driver: "systemd" | "cgroupfs"
  std::map<std::string, std::string> sysctls;  // those that Kubernetes needs, as they are: "net.ipv4.ip_forward"
  std::map<std::string, std::string> limits;   // "fs.inotify.max_user_instances"

  struct Runtime {
    std::string name, socket, version;
    bool running = false;
  };
  std::vector<Runtime> runtimes;       // containerd, docker, crio, k3s, … that are not ours
  std::vector<std::string> firewalls;  // active ones: ufw, firewalld, "nftables: 12 rules"
  struct Gpu {
    std::string vendor, device, model, driver;
    int count = 0;
  };
  std::vector<Gpu> gpus;
  // PCI functions of the classes that workloads are placed by: network (02), display (03), co-processor (0b40),
  // accelerator (12). All but the address and the driver are hexadecimal without "0x".
  struct PciFunction {
    std::string address;    // "0000:18:00.0"
    std::string pci_class;  // "030200"
    std::string vendor, device, subsystem_vendor, subsystem_device;
    std::string driver;  // "" when none is bound
    int numa_node = -1;
    int sriov_capable = 0;  // virtual functions that it can have
  };
  std::vector<PciFunction> pci;
  struct MigDevice {
    std::string uuid, profile;  // "1g.10gb", "" when unknown
    Bytes memory;
    int multiprocessors = 0, gpu_slices = 0, compute_slices = 0;
    int copy_engines = 0, decoders = 0, encoders = 0, jpeg_engines = 0, ofa_engines = 0;
  };
  // One GPU. What neither sysfs nor the driver told stays empty.
  struct GpuDevice {
    std::string address, vendor, pci_class, device;  // device: "10de:2330"
    std::string model;
    std::string driver;  // "" when none is bound
    int numa_node = -1;
    std::string uuid;
    Bytes memory;
    std::string architecture;                  // "hopper", "gfx942", "xe-hpc"
    int compute_major = 0, compute_minor = 0;  // CUDA compute capability
    int compute_units = 0, simds = 0;          // AMD
    bool mig_capable = false, mig_enabled = false;
    std::vector<MigDevice> mig;
    std::string partition;                  // AMD compute partition: "SPX", "CPX"
    std::vector<std::string> links;         // addresses of GPUs that it reaches without the PCI bus: NVLink, xGMI
    std::vector<std::string> device_nodes;  // "/dev/nvidia0", "/dev/dri/renderD128"
  };
  std::vector<GpuDevice> gpu_devices;
  struct GpuDriver {
    std::string version;       // "570.124.06"
    std::string cuda_version;  // the newest CUDA that the driver can run, "12.8"
  };
  std::map<std::string, GpuDriver> gpu_drivers;  // vendor -> its driver, when that is loaded

  // How far cloudos and Kubernetes are on this machine.
  struct Kubernetes {
    std::string state = "none";  // none | partial (begun, not finished) | joined
    std::string role;            // "master" | "node" | ""
    std::string node_name;       // the name it joined with
    std::string version;         // of versions/current
    std::string ca_spki;         // "sha256:…" of /etc/kubernetes/pki/ca.crt
    std::string cluster_id;      // from /etc/cloudos/cluster.json, what this machine belongs to
    std::string bundle;          // digest of the bundle.json that was installed
    bool foreign = false;        // Kubernetes is here, and cloudos did not put it here
    bool api_healthy = false;    // masters: the local apiserver answers /readyz
    bool kubelet_active = false;
    std::string server_address;  // masters: the address that the apiserver advertises
  } kubernetes;
  std::string running_apply;       // run id of an apply that is at work now
  std::string ssh_client_address;  // our side as this machine sees it (SSH_CONNECTION), "" when local

  std::map<std::string, std::string> unknown;  // fact -> why it could not be read
};

[[nodiscard]] std::string encode_facts(const HostFacts& facts);
[[nodiscard]] Result<HostFacts> decode_facts(std::string_view json);

// One way that was tried from a machine to another.
struct Reach {
  MachineId from, to;
  bool tcp = false;
  int mtu = 0;         // largest packet that arrived unfragmented, 0: not measured
  std::string source;  // the local address the kernel chose
  std::string reason;  // why not
};
[[nodiscard]] std::string encode_reach(const std::vector<Reach>& reach);
[[nodiscard]] Result<std::vector<Reach>> decode_reach(std::string_view json);

}  // namespace cloudos::model
