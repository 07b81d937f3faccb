#!/bin/bash
# Three masters and two nodes, installed twice on equal fresh machines in one run: by cloudos, and by hand as a careful person
# does it with bare kubeadm (copy the binaries to all machines side by side, import the images, init, join, network).
# Prints each phase and the ratio. Absolute times say little on a shared machine; the ratio does.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
program=$here/build/cloudos/bin/cloudos
work=$(mktemp -d)
name=bench
cleanup() { "$program" sandbox down --name "$name" > /dev/null 2>&1 || true; rm -rf "$work"; }
trap cleanup EXIT

now() { date +%s.%N; }
since() { awk -v a="$1" -v b="$(now)" 'BEGIN { printf "%.1f", b - a }'; }
row() { printf '  %-40s %7s s\n' "$1" "$2"; }
phase() { local t; t=$(now); "${@:2}"; row "$1" "$(since "$t")"; }

machines_up() {
  "$program" sandbox down --name "$name" > /dev/null 2>&1 || true
  "$program" sandbox up --name "$name" --masters 3 --nodes 2 --key-out "$work/key" --known-hosts-out "$work/known_hosts" > /dev/null
  "$program" sandbox list --name "$name" --json > "$work/list.json"
  mapfile -t masters < <(addresses master)
  mapfile -t nodes < <(addresses node)
  all=("${masters[@]}" "${nodes[@]}")
}
addresses() { tr '{' '\n' < "$work/list.json" | grep "\"role\":\"$1\"" | sed 's/.*"address":"\([^"]*\)".*/\1/'; }
comma() { local IFS=,; echo "$*"; }
on() { local ip=$1; shift; ssh -i "$work/key" -o UserKnownHostsFile="$work/known_hosts" -o BatchMode=yes -o LogLevel=ERROR "root@$ip" "$@"; }
each() { local p=() ip x; for ip in "${all[@]}"; do "$1" "$ip" & p+=($!); done; for x in "${p[@]}"; do wait "$x"; done; }

# --- cloudos ----------------------------------------------------------------------------------------------------------
cloudos_install() {
  "$program" install --masters "$(comma "${masters[@]}")" --nodes "$(comma "${nodes[@]}")" --user root --key "$work/key" \
    --known-hosts "$work/known_hosts" --bundle "$here/build/kubernetes-1.37.bundle" --bundle-key "$here/build/bundle.pub" --yes --json > "$1"
}
# The phases of a run from its events: when the first step of each kind of stage began and the last one ended.
cloudos_phases() {
  python3 - "$1" << 'P'
import json, sys
spans = {}
for line in open(sys.argv[1]):
    e = json.loads(line)
    if e.get("event") in ("run-started", "run-done") and e.get("stage"):
        kind = e["stage"].split("@")[0]
        a, b = spans.get(kind, (e["at"], e["at"]))
        spans[kind] = (min(a, e["at"]), max(b, e["at"]))
if spans:
    zero = min(a for a, _ in spans.values())
    for kind, (a, b) in sorted(spans.items(), key=lambda x: x[1]):
        print(f"    {kind:<38} {(a - zero) / 1000:7.1f} s to {(b - zero) / 1000:.1f} s")
P
}

# --- by hand ----------------------------------------------------------------------------------------------------------
hand_runtime() {
  local ip=$1
  tar -C "$work/bin" -c . | on "$ip" 'tar -C /usr/local/bin -x'
  tar -C "$work/cni" -c . | on "$ip" 'mkdir -p /opt/cni/bin /etc/cni/net.d /etc/containerd && tar -C /opt/cni/bin -x'
  on "$ip" bash -s << R
cat > /etc/containerd/config.toml << 'C'
version = 3
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = '$pause'
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = 'io.containerd.runc.v2'
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
  SystemdCgroup = false
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ['/opt/cni/bin']
C
printf '[Service]\nExecStart=/usr/local/bin/containerd\nType=notify\nDelegate=yes\nKillMode=process\nRestart=always\n[Install]\nWantedBy=multi-user.target\n' > /etc/systemd/system/containerd.service
cat > /etc/systemd/system/kubelet.service << 'C'
[Service]
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
ExecStart=/usr/local/bin/kubelet --bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf --config=/var/lib/kubelet/config.yaml \$KUBELET_KUBEADM_ARGS
Restart=always
RestartSec=2
[Install]
WantedBy=multi-user.target
C
sysctl -q -w net.ipv4.ip_forward=1
systemctl enable -q --now containerd; systemctl enable -q kubelet
R
}
hand_images() { local f; for f in "$work"/images/*.tar; do on "$1" 'ctr -n k8s.io images import - > /dev/null 2>&1' < "$f"; done; }
hand_init() {
  on "${masters[0]}" 'cat > /root/kubeadm.yaml && kubeadm init --config /root/kubeadm.yaml --upload-certs --ignore-preflight-errors=SystemVerification > /root/init.log 2>&1' << C
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: v1.37.2
controlPlaneEndpoint: ${masters[0]}:6443
networking: {podSubnet: 10.244.0.0/16}
---
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
failSwapOn: false
---
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
conntrack: {maxPerCore: 0, min: 0}
C
}
k() { on "${masters[0]}" KUBECONFIG=/etc/kubernetes/admin.conf kubectl "$@"; }
hand_join() { on "$1" "$join ${2:-} --ignore-preflight-errors=SystemVerification > /root/join.log 2>&1"; }
hand_masters() {
  local ip key
  key=$(on "${masters[0]}" 'kubeadm init phase upload-certs --upload-certs 2>/dev/null | tail -1')
  for ip in "${masters[@]:1}"; do hand_join "$ip" "--control-plane --certificate-key $key"; done
}
hand_nodes() { local p=() ip x; for ip in "${nodes[@]}"; do hand_join "$ip" & p+=($!); done; for x in "${p[@]}"; do wait "$x"; done; }
hand_cni() {
  on "$1" bash -s << 'R'
for _ in $(seq 300); do [ ! -f /run/flannel/subnet.env ] || break; sleep 0.2; done; . /run/flannel/subnet.env
cat > /etc/cni/net.d/10-hand.conflist << C
{"name": "hand", "cniVersion": "1.0.0", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isDefaultGateway": true, "hairpinMode": true, "mtu": $FLANNEL_MTU, "ipam": {"type": "host-local", "ranges": [[{"subnet": "${FLANNEL_SUBNET/%.1\/24/.0/24}"}]], "routes": [{"dst": "10.244.0.0/16"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
C
R
}
hand_network() {
  k apply -f - < "$work/flannel.yaml" > /dev/null
  each hand_cni
  k wait --for=condition=Ready nodes --all --timeout=300s > /dev/null
  k -n kube-system rollout status deploy/coredns --timeout=300s > /dev/null
}
# What the hand works with comes out of the bundle: the binaries and the network manifest as cloudos laid them down, the images
# as uncompressed archives, the way `docker save` gives them.
hand_material() {
  mkdir -p "$work/bin" "$work/cni" "$work/images"
  on "${masters[0]}" 'cd /var/lib/cloudos/current/bin && tar -ch containerd containerd-shim-runc-v2 ctr runc kubelet kubeadm kubectl' | tar -x -C "$work/bin"
  on "${masters[0]}" 'cd /var/lib/cloudos/current/cni && tar -ch .' | tar -x -C "$work/cni"
  "$program" bundle inspect "$here/build/kubernetes-1.37.bundle" --key "$here/build/bundle.pub" --json > "$work/bundle.json"
  python3 - "$work/bundle.json" << 'P' > "$work/refs"
import json, sys
for c in json.load(open(sys.argv[1]))["components"]:
    for i in c["images"]: print(i["ref"])
P
  pause=$(grep /pause: "$work/refs")
  mkdir -p "$here/build/bench"
  local ref n=0
  while read -r ref; do
    n=$((n + 1))
    rm -f "$here/build/bench/$n.tar"
    "$here/dev" inside skopeo copy -q "oci-archive:build/kubernetes-1.37.bundle:$ref" "docker-archive:build/bench/$n.tar:$ref" < /dev/null
    mv "$here/build/bench/$n.tar" "$work/images/"
  done < "$work/refs"
  sed -e "s#{{pod_cidr}}#10.244.0.0/16#g; s#{{nftables}}#true#g; s#{{image}}#$(grep /flannel: "$work/refs")#g" \
    -e "s#{{api_host}}#${masters[0]}#g; s#{{api_port}}#6443#g" "$here/manifests/flannel.yaml" > "$work/flannel.yaml"
}

echo "by cloudos"
machines_up
t=$(now); cloudos_install "$work/events"; ours=$(since "$t")
cloudos_phases "$work/events"
row "first connection to all nodes Ready" "$ours"
for _ in 1 2 3; do t=$(now); cloudos_install "$work/again"; row "the same command again, nothing to do" "$(since "$t")"; done
hand_material
echo "by hand, with bare kubeadm"
machines_up
t0=$(now)
phase "binaries, containerd" each hand_runtime
phase "images" each hand_images
phase "kubeadm init" hand_init
join=$(on "${masters[0]}" kubeadm token create --print-join-command)
phase "masters join" hand_masters
phase "nodes join" hand_nodes
phase "network, all Ready" hand_network
hand=$(since "$t0")
row "all of it" "$hand"
awk -v a="$ours" -v b="$hand" 'BEGIN { printf "ratio, cloudos to hand: %.2f\n", a / b }'
