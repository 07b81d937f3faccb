#!/bin/bash
# What a thousand agents cost the API server: simulated ones (tests/bench/agents.cpp), each with its own node, credential and connection,
# against the real API server and etcd of a sandbox machine. Its controllers are stopped meanwhile, since they would write to
# nodes that have no kubelet.
#
#   ./dev bench agents [SECONDS]     how long each of the phases "change" and "idle" is, 60 by default
#
# The limit is linear growth: an agent has nothing to do with another one.
set -euo pipefail
seconds=${1:-60} changes=1
# shellcheck source=tests/bench/cluster.sh
. "$(dirname "${BASH_SOURCE[0]}")/cluster.sh"
counts=(125 250 500 1000)

# The certificates of nodes that are not there, signed by the cluster's own CA, all with one key.
credentials() {
  local all=${counts[-1]} folder=$here/build/bench-agents
  rm -rf "$folder"
  mkdir -p "$folder"
  on "$master" cat /etc/kubernetes/pki/ca.crt > "$folder/ca.pem"
  (umask 077; on "$master" cat /etc/kubernetes/pki/ca.key > "$folder/ca.key")
  "$here/dev" inside bash -c '
    set -e
    cd build/bench-agents
    openssl ecparam -name prime256v1 -genkey -noout -out key.pem
    for i in $(seq 0 $(($1 - 1))); do
      openssl req -new -key key.pem -subj "/O=system:nodes/CN=system:node:sim-$i" |
        openssl x509 -req -CA ca.pem -CAkey ca.key -set_serial $((i + 1000)) -days 2 -out sim-$i.pem 2> /dev/null
    done
    rm ca.key' bash "$all"
}

nodes_made() {
  python3 - "$1" << 'P' | k apply -f - > /dev/null
import json, sys
print(json.dumps({"apiVersion": "v1", "kind": "List", "items": [
    {"apiVersion": "v1", "kind": "Node", "metadata": {"name": f"sim-{i}"}, "spec": {"unschedulable": True}} for i in range(int(sys.argv[1]))]}))
P
}

# A run of the program; CPU time of the API server and etcd is read before and after each of its phases.
measure() {
  python3 - "$here/build/release/tests/bench/bench_agents" "https://$master:6443" "$here/build/bench-agents" "$1" "$seconds" "$changes" \
    "$work" "$master" << 'P'
import json, subprocess, sys
program, url, folder, count, seconds, changes, work, master = sys.argv[1:]
ssh = ["ssh", "-i", f"{work}/key", "-o", f"UserKnownHostsFile={work}/known_hosts", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR", f"root@{master}"]
def used():
    out = subprocess.run(ssh + ["for n in kube-apiserver etcd; do sed 's/.*) //' /proc/$(pidof $n)/stat; done; getconf CLK_TCK"],
                         check=True, capture_output=True, text=True).stdout.splitlines()
    return [(int(line.split()[11]) + int(line.split()[12])) / int(out[2]) for line in out[:2]]
child = subprocess.Popen([program, url, folder, count, seconds, changes], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
for _ in range(3):
    before = used()
    child.stdin.write("\n")
    child.stdin.flush()
    said = json.loads(child.stdout.readline())
    after = used()
    api, etcd = (b - a for a, b in zip(before, after))
    print(json.dumps(said | {"agents": int(count), "api": api, "etcd": etcd}))
child.stdin.close()
sys.exit(child.wait())
P
}

table() {
  python3 - "$work/measured" << 'P'
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1])]
print(f"{'':<8}{'agents':>7}{'seconds':>9}{'writes':>8}{'writes/s':>10}{'apiserver':>11}{'etcd':>8}{'apiserver ms':>14}")
print(f"{'':<8}{'':>7}{'':>9}{'':>8}{'':>10}{'CPU s':>11}{'CPU s':>8}{'a write':>14}")
for phase in ("start", "change", "idle"):
    for r in (r for r in rows if r["phase"] == phase):
        each = f"{1000 * r['api'] / r['writes']:.2f}" if r["writes"] else "-"
        print(f"{phase:<8}{r['agents']:>7}{r['seconds']:>9.1f}{r['writes']:>8}{r['writes'] / r['seconds']:>10.2f}{r['api']:>11.2f}{r['etcd']:>8.2f}{each:>14}")
bad = [r for r in rows if r["failures"]]
if bad: sys.exit(f"requests failed: {bad}")
if any(r["writes"] for r in rows if r["phase"] == "idle"): sys.exit("agents write while nothing happens")
starts = {r["agents"]: r for r in rows if r["phase"] == "start"}
few, many = starts[min(starts)], starts[max(starts)]
growth = (many["writes"] / few["writes"]) / (many["agents"] / few["agents"])
print(f"\nwrites grow {growth:.2f} times as fast as agents; 1 is linear")
if not 0.9 < growth < 1.1: sys.exit("the growth is not linear")
P
}

cluster_up 1 0
"$here/dev" inside ninja --quiet -C build/release bench_agents
on "$master" 'mkdir -p /root/stopped && mv /etc/kubernetes/manifests/kube-controller-manager.yaml /etc/kubernetes/manifests/kube-scheduler.yaml /root/stopped/'
credentials
for count in "${counts[@]}"; do
  k delete node -l '!node-role.kubernetes.io/control-plane' --wait=false > /dev/null
  nodes_made "$count"
  measure "$count" >> "$work/measured"
done
rm -rf "$here/build/bench-agents"
table
