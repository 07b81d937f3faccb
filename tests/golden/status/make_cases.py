#!/usr/bin/env python3
"""Writes what masters and machines say in the cases of this folder: master.json (`cloudos-agent query pool`, or `query node`)
and machines.json (machine -> `cloudos-agent sample`, or why it said nothing). What must be shown of it stands beside them in
*.txt; CLOUDOS_ACCEPT=1 with test_cli writes those anew. Facts of nodes are those of tests/golden/facts."""
import json
import os

here = os.path.dirname(os.path.abspath(__file__))
GiB = 1 << 30
MiB = 1 << 20


def total(cpu_m=0, memory=0, disk=0, gpu=0, pods=0):
    return {"cpu_m": cpu_m, "memory": memory, "disk": disk, "gpu": gpu, "pods": pods}


def node(name, role, address, cores, memory, requested, gpus=(), **more):
    gpu = sum(g["allocatable"] for g in gpus)
    have = total(cores * 1000, memory, 90 * GiB, gpu, 110)
    out = {
        "name": name, "role": role, "address": address, "ready": True, "reason": "", "schedulable": True, "conditions": [],
        "problems": [], "gpus": list(gpus), "created": "2026-11-12T08:00:00Z", "version": "v1.37.2",
        "os": "Debian GNU/Linux 13 (trixie)", "kernel": "6.12.48+deb13-amd64", "capacity": have, "allocatable": have,
        "requested": requested,
    }
    out.update(more)
    out["conditions"] = [p["type"] for p in out["problems"]]
    return out


def gpus(resource, model, cards, capacity, allocatable, requested):
    return {"resource": resource, "model": model, "cards": cards, "capacity": capacity, "allocatable": allocatable,
            "requested": requested}


def add(sums):
    return {key: sum(s[key] for s in sums) for key in total()}


def pool(nodes, waiting=0):
    return {"nodes": nodes, "pool": {
        "nodes": len(nodes), "ready": sum(n["ready"] for n in nodes), "pods_waiting": waiting,
        "capacity": add([n["capacity"] for n in nodes]), "allocatable": add([n["allocatable"] for n in nodes]),
        "requested": add([n["requested"] for n in nodes])}}


def usage(name, cores, memory, memory_total, disk, gpu=(), source="machine", **more):
    out = {
        "schema": 1, "node": name, "source": source,
        "cpu": {"at_us": 1795507200000000, "span_us": 1000000, "used_us": round(cores * 1000000), "cores_m": 4000},
        "memory": {"total": memory_total, "used": memory},
        "file_systems": [{"path": "/", "device": "/dev/vda1", "total": 98 * GiB, "used": disk, "pods": True},
                         {"path": "/boot", "device": "/dev/vda2", "total": GiB, "used": 200 * MiB, "pods": False}],
        "load_m": [310, 250, 1200], "gpus": list(gpu), "unknown": {}}
    out.update(more)
    return out


def card(address, device="10de:2330", vendor="nvidia", driver="nvidia", model="NVIDIA H100 80GB HBM3", **more):
    out = {"address": address, "vendor": vendor, "device": device, "model": model, "driver": driver, "busy_percent": -1,
           "temperature": -1, "power_mw": -1, "memory": 0, "memory_used": 0, "trouble": ""}
    out.update(more)
    return out


buses = ["0000:1b:00.0", "0000:43:00.0", "0000:52:00.0", "0000:61:00.0", "0000:9d:00.0", "0000:c3:00.0", "0000:d1:00.0", "0000:df:00.0"]


def h100s(**ill):
    return [card(bus, busy_percent=97 if i < 3 else 0, temperature=61 if i < 3 else 34, power_mw=643210 if i < 3 else 71400,
                 memory=81559 * MiB, memory_used=(70000 if i < 3 else 4) * MiB, trouble=ill.get(f"gpu{i}", ""))
            for i, bus in enumerate(buses)]


def write(case, master, machines):
    os.makedirs(os.path.join(here, case), exist_ok=True)
    for name, value in (("master.json", master), ("machines.json", machines)):
        with open(os.path.join(here, case, name), "w") as out:
            json.dump(value, out, indent=1, sort_keys=True)
            out.write("\n")


masters = [node(f"master-{i}", "master", f"10.0.0.{i}", 2, 4 * GiB, total(850, 240 * MiB, pods=8)) for i in (1, 2, 3)]
masters_use = {f"10.0.0.{i}": usage(f"master-{i}", 0.3 + i / 10, 1200 * MiB + i * MiB, 4 * GiB, 9 * GiB) for i in (1, 2, 3)}

write("no-gpu", pool(masters + [
    node("node-1", "node", "10.0.0.4", 4, 8 * GiB, total(1500, GiB, pods=12)),
    node("node-2", "node", "10.0.0.5", 4, 8 * GiB, total(2250, 3 * GiB, 2 * GiB, pods=21))], waiting=2),
    masters_use | {"10.0.0.4": usage("node-1", 1.234, 2 * GiB, 8 * GiB, 20 * GiB),
                   "10.0.0.5": usage("node-2", 3.96, 11 * GiB // 2, 8 * GiB, 31 * GiB, source="group")})

h100 = "NVIDIA H100 80GB HBM3"
write("gpus", pool(masters[:1] + [
    node("gpu-1", "node", "10.0.1.1", 128, 2016 * GiB, total(24000, 512 * GiB, gpu=3, pods=14), [gpus("nvidia.com/gpu", h100, 8, 8, 8, 3)]),
    node("gpu-2", "node", "10.0.1.2", 128, 2016 * GiB, total(4000, 64 * GiB, gpu=5, pods=9), [gpus("nvidia.com/gpu", h100, 8, 32, 32, 5)]),
    node("gpu-3", "node", "10.0.1.3", 128, 2016 * GiB, total(1000, GiB, pods=6)),
    node("mi-1", "node", "10.0.1.4", 192, 2267 * GiB, total(8000, 128 * GiB, gpu=8, pods=16),
         [gpus("amd.com/gpu", "AMD Instinct MI300X", 8, 8, 8, 8)]),
    node("mig-1", "node", "10.0.1.5", 64, 1008 * GiB, total(8000, 128 * GiB, gpu=2, pods=16),
         [gpus("nvidia.com/gpu", "NVIDIA A100 SXM4 80GB", 3, 3, 3, 0),
          gpus("nvidia.com/mig-1g.10gb", "NVIDIA A100 SXM4 80GB MIG 1g.10gb", 7, 7, 7, 2)])]),
    {"10.0.0.1": masters_use["10.0.0.1"],
     "10.0.1.1": usage("gpu-1", 22.5, 700 * GiB, 2016 * GiB, 40 * GiB, h100s()),
     "10.0.1.2": usage("gpu-2", 3.1, 80 * GiB, 2016 * GiB, 30 * GiB, h100s()),
     "10.0.1.3": usage("gpu-3", 0.4, 9 * GiB, 2016 * GiB, 11 * GiB, [card(bus, driver="", model="") for bus in buses]),
     "10.0.1.4": usage("mi-1", 7.7, 200 * GiB, 2267 * GiB, 55 * GiB),
     "10.0.1.5": usage("mig-1", 1.2, 20 * GiB, 1008 * GiB, 23 * GiB)})

write("an-ill-gpu", pool([
    masters[0],
    node("gpu-1", "node", "10.0.1.1", 128, 2016 * GiB, total(24000, 512 * GiB, gpu=3, pods=14), [gpus("nvidia.com/gpu", h100, 8, 8, 6, 3)],
         schedulable=False,
         problems=[{"type": "GPUUnhealthy", "reason": "Xid79", "message": "GPU 0000:43:00.0 has fallen off the bus", "since": "2026-11-24T07:56:30Z"},
                   {"type": "DiskFilling", "reason": "FullSoon", "message": "/ will be full on 2026-11-25", "since": "2026-11-24T02:00:00Z"}])]),
    {"10.0.0.1": masters_use["10.0.0.1"],
     "10.0.1.1": usage("gpu-1", 22.5, 700 * GiB, 2016 * GiB, 92 * GiB, h100s(gpu1="it has fallen off the bus", gpu4="it must be reset"))})

write("nodes-away", pool(masters + [
    node("node-1", "node", "10.0.0.4", 4, 8 * GiB, total(1500, GiB, pods=12), ready=False,
         reason="NodeStatusUnknown: Kubelet stopped posting node status."),
    node("node-2", "node", "10.0.0.5", 4, 8 * GiB, total(2250, 3 * GiB, pods=21)),
    node("node-3", "node", "10.0.0.6", 4, 8 * GiB, total(100, GiB, pods=3))]),
    masters_use | {"10.0.0.4": "connecting to 10.0.0.4: no route to host",
                   "10.0.0.5": "the agent on 10.0.0.5: exit 2: The following argument was not expected: sample\u001b[31m\nRun with --help"})


def condition(kind, status, reason, message, since="2026-11-12T08:01:00Z"):
    return {"type": kind, "status": status, "reason": reason, "message": message, "since": since}


well = [condition("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        condition("Ready", "True", "KubeletReady", "kubelet is posting ready status")]
labels = {"feature.node.kubernetes.io/cpu-cpuid.AVX": "true", "feature.node.kubernetes.io/cpu-cpuid.AVX2": "true",
          "feature.node.kubernetes.io/cpu-cpuid.AVX512F": "true", "feature.node.kubernetes.io/cpu-model.vendor_id": "Intel",
          "feature.node.kubernetes.io/pci-10de.present": "true"}


def one(line, **more):
    out = {"nodes": ["gpu-1", "master-1"], "node": line, "conditions": well, "labels": labels, "taints": [],
           "phases": {"Running": line["requested"]["pods"]}, "runtime": "containerd://2.4.2", "architecture": "amd64", "events": []}
    out.update(more)
    return out


ill = node("gpu-1", "node", "10.0.1.1", 128, 2016 * GiB, total(24000, 512 * GiB, gpu=3, pods=14), [gpus("nvidia.com/gpu", h100, 8, 8, 7, 3)],
           problems=[{"type": "GPUUnhealthy", "reason": "Xid79", "message": "GPU 0000:43:00.0 has fallen off the bus", "since": "2026-11-24T07:56:30Z"}])
write("node-with-an-ill-gpu", one(
    ill,
    conditions=well + [condition("GPUUnhealthy", "True", "Xid79", "GPU 0000:43:00.0 has fallen off the bus", "2026-11-24T07:56:30Z")],
    labels=labels | {"nvidia.com/gpu.count": "8", "nvidia.com/gpu.present": "true", "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"},
    taints=["gpu=only:NoSchedule"], phases={"Running": 12, "Pending": 2, "Succeeded": 4},
    events=[{"at": "2026-11-24T07:10:00Z", "type": "Normal", "reason": "Starting", "message": "Starting kubelet.", "count": 1},
            {"at": "2026-11-24T07:56:30Z", "type": "Warning", "reason": "Xid79", "message": "GPU 0000:43:00.0 has fallen off the bus", "count": 3}]),
    {"10.0.1.1": usage("gpu-1", 22.5, 700 * GiB, 2016 * GiB, 40 * GiB, h100s(gpu1="it has fallen off the bus")), "facts": "nvidia-h100-x8"})
write("node-without-a-driver", one(node("gpu-1", "node", "10.0.1.1", 128, 2016 * GiB, total(1000, GiB, pods=6)),
                                   labels=labels | {"nvidia.com/gpu.present": "true"}),
      {"10.0.1.1": usage("gpu-1", 0.4, 9 * GiB, 2016 * GiB, 11 * GiB, [card(bus, driver="", model=h100) for bus in buses]),
       "facts": "nvidia-h100-without-driver"})
write("node-of-one-board", one(node("gpu-1", "node", "10.0.1.1", 4, 7 * GiB, total(300, 90 * MiB, pods=5)), labels={}),
      {"10.0.1.1": usage("gpu-1", 0.21, GiB, 7875 * MiB, 6 * GiB), "facts": "raspberry-pi-5"})
write("node-away", one(
    node("gpu-1", "node", "10.0.1.1", 128, 2016 * GiB, total(1000, GiB, pods=6), ready=False, schedulable=False,
         reason="NodeStatusUnknown: Kubelet stopped posting node status."),
    conditions=[condition("Ready", "Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.", "2026-11-24T07:50:00Z"),
                condition("MemoryPressure", "Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.", "2026-11-24T07:50:00Z")]),
    {"10.0.1.1": "connecting to 10.0.1.1: no route to host"})
