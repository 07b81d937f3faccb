# shellcheck shell=bash
# Sourced by the benchmarks: one cluster of the sandbox, named as the benchmark is, and the few words that they speak to it in. It is
# taken down when the benchmark ends.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
program=$here/build/cloudos/bin/cloudos
work=$(mktemp -d)
name=$(basename "$0" .sh)
cleanup() { "$program" sandbox down --name "$name" > /dev/null 2>&1 || true; rm -rf "$work"; }
trap cleanup EXIT

# A command on a machine, as root.
on() { local ip=$1; shift; ssh -i "$work/key" -o UserKnownHostsFile="$work/known_hosts" -o BatchMode=yes -o LogLevel=ERROR "root@$ip" "$@"; }
# The addresses of the machines of a role, a line each.
addresses() { tr '{' '\n' < "$work/list.json" | sed -n "s/.*\"address\":\"\([^\"]*\)\".*\"role\":\"$1\".*/\1/p"; }
k() { on "$master" /var/lib/cloudos/current/bin/kubectl --kubeconfig /etc/kubernetes/admin.conf "$@"; }

# cluster_up MASTERS NODES: installed, and `master` and `node` are the first of each.
cluster_up() {
  "$program" sandbox down --name "$name" > /dev/null 2>&1 || true
  "$program" sandbox up --name "$name" --masters "$1" --nodes "$2" --key-out "$work/key" --known-hosts-out "$work/known_hosts" > /dev/null
  "$program" sandbox list --name "$name" --json > "$work/list.json"
  master=$(addresses master | head -n 1) node=$(addresses node | head -n 1)
  local machines=(--masters "$(addresses master | paste -sd,)")
  [ -z "$node" ] || machines+=(--nodes "$(addresses node | paste -sd,)")
  "$program" install "${machines[@]}" --user root --key "$work/key" --known-hosts "$work/known_hosts" \
    --bundle "$here/build/kubernetes-1.37.bundle" --bundle-key "$here/build/bundle.pub" --yes --quiet > /dev/null
}

# pods_up COUNT: so many pods that do nothing, on `node`.
pods_up() {
  local hostname
  hostname=$(on "$node" hostname)
  k apply -f - > /dev/null << P
apiVersion: apps/v1
kind: Deployment
metadata: {name: load}
spec:
  replicas: $1
  selector: {matchLabels: {app: load}}
  template:
    metadata: {labels: {app: load}}
    spec:
      nodeSelector: {kubernetes.io/hostname: $hostname}
      containers: [{name: pause, image: "registry.k8s.io/pause:3.10.2", imagePullPolicy: Never}]
P
  k rollout status deployment/load --timeout=300s > /dev/null
}
