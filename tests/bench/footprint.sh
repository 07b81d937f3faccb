#!/bin/bash
# What cloudos keeps in memory on a node: every process of ours that stays, by unit, in KiB of PSS (memory shared with other
# processes is counted in part, see proc_pid_smaps(5)) and RSS, on a master and on a node with pods, after 200 connections through
# the API balancer. containerd and Kubernetes' own programs are what the node is for: they are shown, and not counted as ours.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
program=$here/build/cloudos/bin/cloudos
work=$(mktemp -d)
name=footprint
cleanup() { "$program" sandbox down --name "$name" > /dev/null 2>&1 || true; rm -rf "$work"; }
trap cleanup EXIT

on() { local ip=$1; shift; ssh -i "$work/key" -o UserKnownHostsFile="$work/known_hosts" -o BatchMode=yes -o LogLevel=ERROR "root@$ip" "$@"; }
address() { sed -n "s/.*\"address\":\"\([^\"]*\)\".*\"role\":\"$1\".*/\1/p" "$work/list.json"; }

"$program" sandbox down --name "$name" > /dev/null 2>&1 || true
"$program" sandbox up --name "$name" --masters 1 --nodes 1 --key-out "$work/key" --known-hosts-out "$work/known_hosts" > /dev/null
"$program" sandbox list --name "$name" --json > "$work/list.json"
"$program" install --masters "$(address master)" --nodes "$(address node)" --user root --key "$work/key" --known-hosts "$work/known_hosts" \
  --bundle "$here/build/kubernetes-1.37.bundle" --bundle-key "$here/build/bundle.pub" --yes --quiet > /dev/null

# A line a process: unit, PSS, RSS.
measure() {
  on "$1" bash -s << 'M'
for _ in $(seq 200); do (exec 3<> /dev/tcp/127.0.0.1/7443) || exit 1; done
sleep 1
for unit in $(systemctl list-units --type=service --state=running --plain --no-legend 'cloudos-*' kubelet.service | awk '{ print $1 }'); do
  group=$(systemctl show -P ControlGroup "$unit")
  for procs in /sys/fs/cgroup/systemd"$group"/cgroup.procs /sys/fs/cgroup"$group"/cgroup.procs; do
    [ -f "$procs" ] || continue
    while read -r pid; do
      awk -v unit="$unit" '/^Rss/ { rss = $2 } /^Pss:/ { pss = $2 } END { print unit, pss, rss }' "/proc/$pid/smaps_rollup"
    done < "$procs"
    break
  done
done
M
}
printf '%-8s %-30s %10s %10s\n' machine unit 'PSS, KiB' 'RSS, KiB'
for role in master node; do
  measure "$(address "$role")" | awk -v role="$role" '
    { pss[$1] += $2; rss[$1] += $3 }
    END {
      for (unit in pss) {
        printf "%-8s %-30s %10d %10d\n", role, unit, pss[unit], rss[unit]
        if (unit ~ /^cloudos-/ && unit !~ /containerd/) { ours += pss[unit]; n++ }
      }
      if (!n) { print "nothing of ours was found" > "/dev/stderr"; exit 1 }
      printf "%-8s %-30s %10d\n", role, "ours together", ours
    }'
done
