#!/usr/bin/env python3
"""Writes the trees of tests/golden/facts: /proc, /sys and /etc of machines as their kernels and drivers document them.

Sources of the layouts: proc(5), Documentation/ABI/{stable,testing}/sysfs-*, Documentation/admin-guide/cgroup-v[12],
Documentation/gpu/amdgpu, include/uapi/linux/kfd_sysfs.h, the NVIDIA driver's README (procfs) and MIG user guide, the PCI ID
repository. Only files that are read are written. Run it after a change here; the trees are committed.
"""
import json
import os
import shutil

HERE = os.path.dirname(os.path.abspath(__file__))


class Tree:
    def __init__(self, name):
        self.root = os.path.join(HERE, name)
        for part in ("proc", "sys", "etc", "dev", "usr", "run"):
            shutil.rmtree(os.path.join(self.root, part), ignore_errors=True)

    def write(self, path, text):
        full = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w") as f:
            f.write(text if text.endswith("\n") or not text else text + "\n")

    def link(self, path, target):
        full = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        os.symlink(target, full)

    # --- the machine ---
    def names(self, host, kernel, arch, os_id, version, pretty, systemd, number):
        self.write("proc/sys/kernel/hostname", host)
        self.write("proc/sys/kernel/osrelease", kernel)
        self.write("proc/sys/kernel/arch", arch)
        self.write("proc/sys/kernel/random/boot_id", f"6f1c2d3e-0000-4000-8000-{number:012x}")
        self.write("etc/machine-id", f"{number:032x}")
        self.write("etc/os-release", f'PRETTY_NAME="{pretty}"\nID={os_id}\nVERSION_ID="{version}"\n')
        self.write("proc/1/comm", "systemd")
        self.write(f"usr/lib/systemd/libsystemd-shared-{systemd}.so", "")

    def dmi(self, vendor, product):
        self.write("sys/class/dmi/id/sys_vendor", vendor)
        self.write("sys/class/dmi/id/product_name", product)

    def x86(self, vendor, family, model, name, sockets, cores, threads, flags):
        out, cpu = [], 0
        for thread in range(threads):
            for socket in range(sockets):
                for core in range(cores):
                    shown = flags if cpu == 0 else "fpu"
                    out.append(
                        f"processor\t: {cpu}\nvendor_id\t: {vendor}\ncpu family\t: {family}\nmodel\t\t: {model}\n"
                        f"model name\t: {name}\nphysical id\t: {socket}\nsiblings\t: {cores * threads}\ncore id\t\t: {core}\n"
                        f"cpu cores\t: {cores}\nflags\t\t: {shown}\n"
                    )
                    cpu += 1
        self.write("proc/cpuinfo", "\n".join(out))

    def memory(self, kib, swaps=(), nodes=(), hugepages=()):
        swap = sum(s[2] for s in swaps)
        self.write("proc/meminfo", f"MemTotal:       {kib} kB\nMemFree:        {kib // 2} kB\nMemAvailable:   {kib * 3 // 4} kB\nSwapTotal:      {swap} kB\n")
        self.write("proc/swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n" + "".join(f"{d}\t{t}\t{s}\t0\t-2\n" for d, t, s in swaps))
        for size, total in hugepages:
            self.write(f"sys/kernel/mm/hugepages/hugepages-{size}kB/nr_hugepages", str(total))
            self.write(f"sys/kernel/mm/hugepages/hugepages-{size}kB/free_hugepages", str(total))
        for number, (cpus, share) in enumerate(nodes):
            node = f"sys/devices/system/node/node{number}"
            self.write(f"{node}/cpulist", cpus)
            self.write(f"{node}/meminfo", f"Node {number} MemTotal:       {share} kB\nNode {number} MemFree:        {share // 2} kB\n")
            self.write(f"{node}/distance", " ".join("10" if other == number else "21" for other in range(len(nodes))))

    def cgroup2(self, controllers="cpuset cpu io memory hugetlb pids rdma misc"):
        self.write("sys/fs/cgroup/cgroup.controllers", controllers)
        self.write("proc/1/cgroup", "0::/init.scope")

    def mounts(self, root_device, kind="ext4", more=""):
        self.write(
            "proc/self/mountinfo",
            f"25 1 8:2 / / rw,relatime shared:1 - {kind} {root_device} rw\n"
            "26 25 0:25 / /run rw,nosuid shared:5 - tmpfs tmpfs rw\n"
            "31 25 0:27 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n" + more,
        )

    def clock(self, source):
        self.write("sys/devices/system/clocksource/clocksource0/current_clocksource", source)

    def disk(self, name, gib, model=None, rotational=0, numa=None):
        self.write(f"sys/block/{name}/size", str(gib << 21))
        self.write(f"sys/block/{name}/queue/rotational", str(rotational))
        if model:
            self.write(f"sys/block/{name}/device/model", model.ljust(40))
        if numa is not None:
            self.write(f"sys/block/{name}/device/numa_node", str(numa))

    def virtual_link(self, name, mac="00:00:00:00:00:00", mtu=65536, state="unknown"):
        at = f"sys/class/net/{name}"
        self.write(f"{at}/address", mac)
        self.write(f"{at}/mtu", str(mtu))
        self.write(f"{at}/operstate", state)
        self.write(f"{at}/carrier", "1")

    def link_up(self, name, mac, speed, mtu=1500, pci=None, driver=None, numa=-1, vfs=None, active=0, ids=("8086", "1572"), up=True):
        at = f"sys/class/net/{name}"
        self.write(f"{at}/address", mac)
        self.write(f"{at}/mtu", str(mtu))
        self.write(f"{at}/operstate", "up" if up else "down")
        self.write(f"{at}/carrier", "1" if up else "0")
        self.write(f"{at}/speed", str(speed if up else -1))
        self.write(f"{at}/duplex", "full" if up else "unknown")
        if pci:
            self.pci(pci, "020000", ids[0], ids[1], driver, numa, vfs)
            if vfs:
                self.write(f"sys/bus/pci/devices/{pci}/sriov_numvfs", str(active))
            self.link(f"{at}/device", f"../../../bus/pci/devices/{pci}")

    # --- devices ---
    def pci(self, address, pci_class, vendor, device, driver=None, numa=-1, vfs=None, subsystem=("10de", "0000")):
        at = f"sys/bus/pci/devices/{address}"
        for name, value in (("class", pci_class), ("vendor", vendor), ("device", device), ("subsystem_vendor", subsystem[0]), ("subsystem_device", subsystem[1])):
            self.write(f"{at}/{name}", "0x" + value)
        self.write(f"{at}/numa_node", str(numa))
        if vfs:
            self.write(f"{at}/sriov_totalvfs", str(vfs))
        if driver:
            self.link(f"{at}/driver", f"../../../../bus/pci/drivers/{driver}")
        return at

    def drm(self, address, number):
        # What counts is that the folders are there: git keeps no empty ones.
        self.write(f"sys/bus/pci/devices/{address}/drm/card{number}/dev", f"226:{number}")
        self.write(f"sys/bus/pci/devices/{address}/drm/renderD{128 + number}/dev", f"226:{128 + number}")

    def nvidia_driver(self, version, open_module=True):
        kind = "UNIX Open Kernel Module for x86_64" if open_module else "UNIX x86_64 Kernel Module"
        self.write("proc/driver/nvidia/version", f"NVRM version: NVIDIA {kind}  {version}  Release Build  (dvs-builder@build)\nGCC version:  gcc version 13.3.0\n")
        self.write("sys/module/nvidia/version", version)

    @staticmethod
    def uuid(minor):
        return f"GPU-5a1f0c2e-0000-4000-8000-{minor:012x}"

    def library(self, version, cuda, lines):
        """What NVML says, in the words of the stub library (tests/support/nvml)."""
        self.write("nvml.txt", "\n".join([f"driver {version}", f"cuda {cuda}", *lines]))

    def nvidia_gpu(self, address, minor, model):
        self.write(
            f"proc/driver/nvidia/gpus/{address}/information",
            f"Model: \t\t {model}\nIRQ:   \t\t {180 + minor}\nGPU UUID: \t {self.uuid(minor)}\nVideo BIOS: \t 96.00.a5.00.01\n"
            f"Bus Type: \t PCIe\nDMA Size: \t 52 bits\nDMA Mask: \t 0xfffffffffffff\nBus Location: \t {address}\nDevice Minor: \t {minor}\n"
            "GPU Firmware: \t 570.124.06\nGPU Excluded:\t No\n",
        )


# Flags as the kernels of these CPUs print them, shortened by what no label says.
SPR = (
    "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 ss ht tm syscall nx pdpe1gb rdtscp lm "
    "constant_tsc nopl xtopology nonstop_tsc cpuid pni pclmulqdq vmx ssse3 fma cx16 sse4_1 sse4_2 x2apic movbe popcnt aes xsave avx f16c rdrand "
    "lahf_lm abm bmi1 avx2 bmi2 erms rtm avx512f avx512dq rdseed adx avx512ifma avx512cd sha_ni avx512bw avx512vl xsaveopt xsavec xgetbv1 xsaves "
    "avx_vnni avx512_bf16 wbnoinvd avx512vbmi waitpkg avx512_vbmi2 gfni vaes vpclmulqdq avx512_vnni avx512_bitalg avx512_vpopcntdq tme la57 "
    "cldemote movdiri movdir64b enqcmd fsrm md_clear serialize tsxldtrk pconfig amx_bf16 avx512_fp16 amx_tile amx_int8 flush_l1d arch_capabilities"
)
GENOA = (
    "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 ht syscall nx mmxext fxsr_opt pdpe1gb "
    "rdtscp lm constant_tsc rep_good nopl pni pclmulqdq monitor ssse3 fma cx16 sse4_1 sse4_2 movbe popcnt aes xsave avx f16c rdrand lahf_lm "
    "cmp_legacy svm extapic cr8_legacy abm sse4a misalignsse ibs topoext cpb cat_l3 ibrs ibpb stibp fsgsbase bmi1 avx2 smep bmi2 erms avx512f "
    "avx512dq rdseed adx smap avx512ifma clflushopt clwb avx512cd sha_ni avx512bw avx512vl xsaveopt xsavec xgetbv1 xsaves avx512_bf16 clzero "
    "irperf rdpru wbnoinvd amd_ppin cppc npt nrip_save tsc_scale vmcb_clean avx512vbmi avx512_vbmi2 gfni vaes vpclmulqdq avx512_vnni "
    "avx512_bitalg avx512_vpopcntdq overflow_recov succor fsrm flush_l1d sev sev_es sev_snp"
)


def two_socket_server():
    t = Tree("two-socket-server")
    t.names("db-1", "5.14.0-503.11.1.el9_5.x86_64", "x86_64", "rhel", "9.5", "Red Hat Enterprise Linux 9.5 (Plow)", "252-46.el9_5.2", 1)
    t.dmi("Dell Inc.", "PowerEdge R760")
    t.x86("GenuineIntel", 6, 143, "Intel(R) Xeon(R) Gold 6430", 2, 8, 2, SPR)
    t.memory(527954216, swaps=(("/dev/dm-1", "partition", 4194300),), nodes=(("0-7,16-23", 263977108), ("8-15,24-31", 263977108)), hugepages=((2048, 0), (1048576, 64)))
    t.write("sys/devices/system/node/node0/hugepages/hugepages-1048576kB/nr_hugepages", "64")
    t.write("sys/devices/system/node/node0/hugepages/hugepages-1048576kB/free_hugepages", "60")
    t.cgroup2()
    t.mounts("/dev/mapper/rhel-root", "xfs", "40 25 253:2 / /var/lib rw shared:20 - xfs /dev/mapper/rhel-var rw\n")
    t.clock("tsc")
    t.disk("nvme0n1", 1788, "Dell Ent NVMe CM6 RI 1.92TB", 0, 0)
    t.disk("sda", 16764, "ST18000NM004J", 1)
    t.disk("dm-1", 4)
    t.virtual_link("lo")
    t.link_up("eno12399np0", "04:32:01:aa:00:01", 25000, 9000, "0000:31:00.0", "ice", 0, 128, 8, ("8086", "159b"))
    t.link_up("eno12409np1", "04:32:01:aa:00:02", 25000, 1500, "0000:31:00.1", "ice", 0, 128, 0, ("8086", "159b"), up=False)
    t.write("sys/class/net/bonding_masters", "bond0")
    t.pci("0000:03:00.0", "030000", "102b", "0536", "mgag200")  # the board's own VGA
    t.pci("0000:65:00.0", "010802", "1e0f", "0007", "nvme", 0)


def nvidia_server(name, number, driver, model="H100"):
    t = Tree(name)
    t.names(f"gpu-{number}", "6.8.0-57-generic", "x86_64", "ubuntu", "24.04", "Ubuntu 24.04.2 LTS", "255", number)
    t.dmi("NVIDIA", "DGXH100")
    t.x86("GenuineIntel", 6, 143, "Intel(R) Xeon(R) Platinum 8480C", 2, 4, 2, SPR)
    t.memory(2113532840, nodes=(("0-3,8-11", 1056766420), ("4-7,12-15", 1056766420)), hugepages=((2048, 0), (1048576, 0)))
    t.cgroup2()
    t.mounts("/dev/md0")
    t.clock("tsc")
    t.disk("nvme0n1", 1788, "SAMSUNG MZ1L21T9HCLS-00A07", 0, 0)
    t.disk("nvme2n1", 3576, "SAMSUNG MZWLJ3T8HBLS-00007", 0, 1)
    t.virtual_link("lo")
    t.link_up("ens6f0", "b8:3f:d2:00:00:10", 100000, 9000, "0000:29:00.0", "mlx5_core", 0, 8, 0, ("15b3", "101d"))
    t.pci("0000:18:00.0", "020700", "15b3", "1021", "mlx5_core", 0, 16)  # InfiniBand
    addresses = ["0000:1b:00.0", "0000:43:00.0", "0000:52:00.0", "0000:61:00.0", "0000:9d:00.0", "0000:c3:00.0", "0000:d1:00.0", "0000:df:00.0"]
    for minor, address in enumerate(addresses):
        t.pci(address, "030200", "10de", "2330", driver, minor // 4, 16, ("10de", "16c1"))
        if driver:
            t.nvidia_gpu(address, minor, "NVIDIA H100 80GB HBM3")
    for switch in ("0000:07:00.0", "0000:08:00.0", "0000:09:00.0", "0000:0a:00.0"):
        t.pci(switch, "068000", "10de", "22a3", "nvidia-nvswitch" if driver else None, 0)  # NVSwitch: a bridge, no GPU
    if driver:
        t.nvidia_driver("570.124.06")
        # Each GPU has 18 NVLinks, all to switches.
        fabric = "|".join(["fabric"] * 18)
        t.library("570.124.06", 12080, [
            f"gpu uuid={t.uuid(minor)} name=NVIDIA_H100_80GB_HBM3 bus=0000{address.upper()} minor={minor} memory=81559 cc=9.0 mig=0 link={fabric}"
            for minor, address in enumerate(addresses)])
    return t


def nvidia_mig():
    t = Tree("nvidia-a100-mig")
    t.names("mig-1", "5.15.0-1053-nvidia", "x86_64", "ubuntu", "22.04", "Ubuntu 22.04.4 LTS", "249", 5)
    t.dmi("Supermicro", "AS -4124GO-NART")
    t.x86("AuthenticAMD", 25, 1, "AMD EPYC 7763 64-Core Processor", 1, 8, 2, GENOA.replace("avx512", "no512"))
    t.memory(1056766420, nodes=(("0-15", 1056766420),), hugepages=((2048, 0),))
    t.cgroup2()
    t.mounts("/dev/nvme0n1p2")
    t.clock("tsc")
    t.disk("nvme0n1", 953, "Micron_7450_MTFDKBA960TFR", 0, 0)
    t.virtual_link("lo")
    t.link_up("enp65s0f0", "ac:1f:6b:00:00:20", 10000, 1500, "0000:41:00.0", "ixgbe", 0, 63, 0, ("8086", "1563"))
    for minor, address in enumerate(("0000:07:00.0", "0000:0f:00.0")):
        t.pci(address, "030200", "10de", "20b2", "nvidia", 0, None, ("10de", "1463"))
        t.nvidia_gpu(address, minor, "NVIDIA A100-SXM4-80GB")
        for instance in range(7, 14):
            t.write(f"proc/driver/nvidia/capabilities/gpu{minor}/mig/gi{instance}/access", f"DeviceFileMinor: {3 + instance * 9}\nDeviceFileMode: 256\nDeviceFileModify: 1\n")
            t.write(f"proc/driver/nvidia/capabilities/gpu{minor}/mig/gi{instance}/ci0/access", f"DeviceFileMinor: {4 + instance * 9}\nDeviceFileMode: 256\nDeviceFileModify: 1\n")
    t.nvidia_driver("535.161.08", open_module=False)
    gpus, slices = [], []
    for minor, (address, other) in enumerate((("0000:07:00.0", "0000:0F:00.0"), ("0000:0F:00.0", "0000:07:00.0"))):
        gpus.append(f"gpu uuid={t.uuid(minor)} name=NVIDIA_A100-SXM4-80GB bus=0000{address} minor={minor} memory=81920 cc=8.0 mig=1 link=0000{other}")
        slices += [f"mig gpu={minor} uuid=MIG-{minor}{n} gi={7 + n} ci=0 slices=1 compute=1 memory=9728 multiprocessors=14 copy=1" for n in range(7)]
    t.library("535.161.08", 12020, gpus + slices)
    t.write("sharing.json", json.dumps({"mig": "single"}))


def amd_mi300x():
    t = Tree("amd-mi300x")
    t.names("mi-1", "6.8.0-57-generic", "x86_64", "ubuntu", "24.04", "Ubuntu 24.04.2 LTS", "255", 6)
    t.dmi("Dell Inc.", "PowerEdge XE9680")
    t.x86("AuthenticAMD", 25, 17, "AMD EPYC 9554 64-Core Processor", 2, 4, 1, GENOA)
    t.memory(2377766420, nodes=(("0-3", 1188883210), ("4-7", 1188883210)), hugepages=((2048, 0),))
    t.cgroup2()
    t.mounts("/dev/nvme0n1p2")
    t.clock("tsc")
    t.disk("nvme0n1", 894, "Dell BOSS-N1", 0)
    t.virtual_link("lo")
    t.link_up("ens11f0", "b4:45:06:00:00:30", 200000, 9000, "0000:24:00.0", "bnxt_en", 0, None, 0, ("14e4", "1760"))
    addresses = ["0000:05:00.0", "0000:26:00.0", "0000:46:00.0", "0000:65:00.0", "0000:85:00.0", "0000:a6:00.0", "0000:c6:00.0", "0000:e5:00.0"]
    nodes = "sys/class/kfd/kfd/topology/nodes"
    for socket in range(2):
        t.write(f"{nodes}/{socket}/gpu_id", "0")
        t.write(f"{nodes}/{socket}/properties", "cpu_cores_count 4\nsimd_count 0\nmem_banks_count 1\nlocation_id 0\ndomain 0\n")
    for number, address in enumerate(addresses):
        at = t.pci(address, "120000", "1002", "74a1", "amdgpu", number // 4, None, ("1002", "74a1"))
        t.write(f"{at}/mem_info_vram_total", "206141652992")
        t.write(f"{at}/unique_id", f"{0x2d7a31ba08d0e5f0 + number:016x}")
        t.write(f"{at}/current_compute_partition", "SPX")
        t.drm(address, number + 1)
        bus = int(address.split(":")[1], 16)
        node = number + 2
        t.write(f"{nodes}/{node}/gpu_id", str(20000 + number))
        t.write(
            f"{nodes}/{node}/properties",
            f"cpu_cores_count 0\nsimd_count 1216\nmem_banks_count 1\nio_links_count 8\nsimd_per_cu 4\nnum_xcc 8\ngfx_target_version 90402\n"
            f"vendor_id 4098\ndevice_id 29857\nlocation_id {bus << 8}\ndomain 0\ndrm_render_minor {129 + number}\n",
        )
        t.write(f"{nodes}/{node}/io_links/0/properties", f"type 2\nnode_from {node}\nnode_to {number // 4}\nweight 20\n")
        for index, other in enumerate(o for o in range(8) if o != number):
            t.write(f"{nodes}/{node}/io_links/{index + 1}/properties", f"type 11\nnode_from {node}\nnode_to {other + 2}\nweight 15\n")
    t.write("sys/module/amdgpu/version", "6.12.12")


def intel_max():
    t = Tree("intel-max-and-arc")
    t.names("pvc-1", "6.12.48+deb13-amd64", "x86_64", "debian", "13", "Debian GNU/Linux 13 (trixie)", "257", 7)
    t.dmi("Intel Corporation", "M50FCP2SBSTD")
    t.x86("GenuineIntel", 6, 143, "Intel(R) Xeon(R) CPU Max 9462", 1, 8, 2, SPR)
    t.memory(131072000, nodes=(("0-15", 131072000),), hugepages=((2048, 512),))
    t.cgroup2()
    t.mounts("/dev/nvme0n1p2")
    t.clock("tsc")
    t.disk("nvme0n1", 1863, "INTEL SSDPF2KX019T1", 0, 0)
    t.virtual_link("lo")
    t.link_up("ens1", "a4:bf:01:00:00:40", 10000, 1500, "0000:17:00.0", "ixgbe", 0, 63, 0, ("8086", "1563"))
    for number, address in enumerate(("0000:29:00.0", "0000:9a:00.0")):
        at = t.pci(address, "038000", "8086", "0bda", "i915", 0, 63, ("8086", "0000"))
        t.drm(address, number)
        t.write(f"{at}/drm/card{number}/lmem_total_bytes", "51539607552")
    t.pci("0000:4d:00.0", "030000", "8086", "56a0", "xe", 0, None, ("8086", "1020"))
    t.drm("0000:4d:00.0", 2)


def arm_board():
    t = Tree("raspberry-pi-5")
    t.names("edge-1", "6.12.34+rpt-rpi-2712", "aarch64", "debian", "12", "Debian GNU/Linux 12 (bookworm)", "252", 8)
    t.write("sys/firmware/devicetree/base/model", "Raspberry Pi 5 Model B Rev 1.0\0")
    features = "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"
    out = []
    for cpu in range(4):
        out.append(f"processor\t: {cpu}\nBogoMIPS\t: 108.00\nFeatures\t: {features}\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x4\nCPU part\t: 0xd0b\nCPU revision\t: 1\n")
        at = f"sys/devices/system/cpu/cpu{cpu}/topology"
        t.write(f"{at}/physical_package_id", "0")
        t.write(f"{at}/thread_siblings_list", str(cpu))
    t.write("proc/cpuinfo", "\n".join(out) + "\nRevision\t: d04170\nSerial\t\t: 0000000000000000\nModel\t\t: Raspberry Pi 5 Model B Rev 1.0\n")
    t.memory(8257536, swaps=(("/var/swap", "file", 524272),), nodes=(("0-3", 8257536),))
    t.cgroup2("cpuset cpu io pids")  # the memory controller is off unless cmdline.txt turns it on
    t.mounts("/dev/mmcblk0p2")
    t.clock("arch_sys_counter")
    t.disk("mmcblk0", 59)
    t.virtual_link("lo")
    t.link_up("eth0", "d8:3a:dd:00:00:50", 1000)
    t.virtual_link("wlan0", "d8:3a:dd:00:00:51", 1500, "down")
    t.pci("0001:01:00.0", "020000", "1de4", "0001", "rp1")


def kvm_guest():
    t = Tree("kvm-guest")
    t.names("vm-1", "6.4.0-150600.23.47-default", "x86_64", "opensuse-leap", "15.6", "openSUSE Leap 15.6", "254", 9)
    t.dmi("QEMU", "Standard PC (Q35 + ICH9, 2009)")
    t.x86("GenuineIntel", 6, 85, "Intel Xeon Processor (Cascadelake)", 4, 1, 1, "fpu cx8 sep fxsr sse2 syscall lm vmx fma movbe aes xsave avx hypervisor lahf_lm avx2 avx512f avx512bw xsaveopt arch_capabilities")
    t.memory(8138752, nodes=(("0-3", 8138752),), hugepages=((2048, 0),))
    t.cgroup2()
    t.mounts("/dev/vda3", "btrfs")
    t.clock("kvm-clock")
    t.disk("vda", 40, rotational=1)
    t.disk("sr0", 1, "QEMU DVD-ROM", 1)
    t.virtual_link("lo")
    t.link_up("eth0", "52:54:00:00:00:60", -1)
    t.pci("0000:01:00.0", "020000", "1af4", "1041", "virtio-pci")
    t.pci("0000:00:01.0", "030000", "1234", "1111", "bochs-drm")


def laptop():
    t = Tree("laptop")
    t.names("lap-1", "6.14.4-arch1-1", "x86_64", "arch", "", "Arch Linux", "257", 10)
    t.write("etc/os-release", 'PRETTY_NAME="Arch Linux"\nID=arch\n')
    t.dmi("LENOVO", "21CBCTO1WW")
    t.x86("GenuineIntel", 6, 154, "12th Gen Intel(R) Core(TM) i7-1260P", 1, 4, 2, "fpu cx8 sep fxsr sse2 ht syscall lm vmx fma movbe aes xsave avx lahf_lm avx2 adx sha_ni xsaveopt xsavec xgetbv1 xsaves avx_vnni gfni vaes vpclmulqdq waitpkg movdiri movdir64b fsrm serialize ibt user_shstk")
    t.memory(32505856, swaps=(("/dev/zram0", "partition", 4194300),), nodes=(("0-7", 32505856),), hugepages=((2048, 0),))
    t.cgroup2()
    t.mounts("/dev/mapper/root", "btrfs")
    t.clock("tsc")
    t.disk("nvme0n1", 476, "SKHynix_HFS512GDE9X081N", 0)
    t.disk("zram0", 4)
    t.virtual_link("lo")
    t.link_up("wlp0s20f3", "70:a8:d3:00:00:70", 0, 1500, "0000:00:14.3", "iwlwifi", -1, None, 0, ("8086", "51f0"))
    t.pci("0000:00:02.0", "030000", "8086", "46a6", "i915", -1, 7, ("17aa", "22e7"))
    t.drm("0000:00:02.0", 1)


def container():
    """A machine that is a container: the host's /proc/meminfo, a limit of its own, control groups of version 1."""
    t = Tree("container-cgroup-v1")
    t.names("c-1", "5.4.0-208-generic", "x86_64", "debian", "12", "Debian GNU/Linux 12 (bookworm)", "252", 11)
    t.write("run/systemd/container", "systemd-nspawn")
    t.x86("AuthenticAMD", 23, 49, "AMD EPYC 7302P 16-Core Processor", 1, 4, 2, "fpu cx8 sep fxsr sse2 ht syscall lm fma movbe aes xsave avx lahf_lm svm sse4a avx2 adx sha_ni clzero")
    t.memory(131896064)
    t.write("proc/1/cgroup", "9:memory:/init.scope\n4:pids:/init.scope\n1:name=systemd:/init.scope\n0::/init.scope\n")
    t.write(
        "proc/self/mountinfo",
        "25 1 0:40 / / rw - overlay overlay rw\n32 25 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
        "35 25 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n39 25 0:36 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
        "40 25 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n",
    )
    t.write("sys/fs/cgroup/memory/memory.limit_in_bytes", str(4 << 30))
    t.write("sys/fs/cgroup/memory/memory.usage_in_bytes", str(1536 << 20))
    t.write("sys/fs/cgroup/memory/memory.stat", f"cache 0\ntotal_inactive_file {512 << 20}\n")
    t.write("sys/bus/pci/devices/0000:00:1f.0/class", "0x060100")
    t.virtual_link("lo")
    t.virtual_link("host0", "82:3c:00:00:00:80", 1500, "up")


if __name__ == "__main__":
    two_socket_server()
    nvidia_server("nvidia-h100-x8", 3, "nvidia")
    nvidia_server("nvidia-h100-without-driver", 4, None)
    nvidia_mig()
    amd_mi300x()
    intel_max()
    arm_board()
    kvm_guest()
    laptop()
    container()
