#!/bin/bash
# What cloudos keeps on a node with 30 pods, beside the programs that its agent takes the place of: all of them run on the same
# node for the same minutes, and are scraped as Prometheus does it by default. Those programs are built from source by
# neighbours.toml, and run with their default flags.
#
#   ./dev bench footprint [MINUTES]     ten by default
#
# RSS and its peak (VmHWM) and PSS (memory shared with other processes is counted in part) as of proc_pid_status(5) and
# proc_pid_smaps(5), at the end; private is what no file stands behind (Anonymous); CPU time over the whole span, of all processes of a unit. containerd and Kubernetes' own
# programs are what the node is for: they are shown, and not counted as ours. The agent's promise: at most 15 MiB of RSS and
# 0.2 % of a core in all.
set -euo pipefail
minutes=${1:-10} pods=30 every=15

# shellcheck source=tests/bench/cluster.sh
. "$(dirname "${BASH_SOURCE[0]}")/cluster.sh"

# --- the programs beside ours -------------------------------------------------------------------------------------------

# A line a program: name, version. Each is a file of the bundle that neighbours.toml makes, laid into /root/beside.
neighbours_up() {
  "$here/dev" inside build/cloudos/bin/cloudos bundle build tests/bench/neighbours.toml -o build/neighbours.bundle --unsigned \
    --cache /cache/bundle > /dev/null 2> "$work/build.log" || { cat "$work/build.log" >&2; exit 1; }
  "$program" bundle inspect "$here/build/neighbours.bundle" --allow-unsigned --json > "$work/neighbours.json"
  python3 - "$work/neighbours.json" << 'P' > "$work/neighbours"
import json, sys
for component in json.load(open(sys.argv[1]))["components"]:
    print(component["name"], component["version"], component["files"][0]["digest"])
P
  local program_name digest
  while read -r program_name _ digest; do
    tar -xOf "$here/build/neighbours.bundle" "blobs/sha256/$digest" |
      on "$node" "mkdir -p /root/beside && cat > /root/beside/$program_name && chmod +x /root/beside/$program_name"
    on "$node" systemd-run -q --unit="beside-$program_name" "/root/beside/$program_name" < /dev/null
  done < "$work/neighbours"
}

# --- what is counted ----------------------------------------------------------------------------------------------------

# A line a unit: name, RSS, peak, PSS, private (KiB), CPU time (ticks) of all its processes; and the moment.
count() {
  on "$1" bash -s << 'M'
echo now "$EPOCHREALTIME" "$(getconf CLK_TCK)"
for unit in $(systemctl list-units --type=service --state=running --plain --no-legend 'cloudos-*' kubelet.service 'beside-*' | awk '{ print $1 }'); do
  group=$(systemctl show -P ControlGroup "$unit")
  for base in /sys/fs/cgroup/systemd /sys/fs/cgroup; do [ ! -d "$base$group" ] || break; done
  find "$base$group" -name cgroup.procs -exec cat {} + | while read -r pid; do
    [ -r "/proc/$pid/smaps_rollup" ] || continue
    ticks=$(sed 's/.*) //' "/proc/$pid/stat" | awk '{ print $12 + $13 + $14 + $15 }')
    peak=$(awk '/^VmHWM/ { print $2 }' "/proc/$pid/status")
    awk -v unit="$unit" -v peak="$peak" -v ticks="$ticks" '/^Rss/ { rss = $2 } /^Pss:/ { pss = $2 } /^Anonymous/ { own = $2 } END { print unit, rss, peak, pss, own, ticks }' "/proc/$pid/smaps_rollup"
  done
done
M
}

# Asks for /metrics as Prometheus does, until the time is over; how many answers each gave goes into a file. A program that
# does not answer is not running, or serves none.
scrape() {
  k create serviceaccount scraper > /dev/null
  k create clusterrolebinding scraper --clusterrole=cluster-admin --serviceaccount=default:scraper > /dev/null
  local token
  token=$(k create token scraper --duration=24h)
  python3 - "$node" "$((minutes * 60))" "$every" > "$work/scraped" << P
import http.client, ssl, sys, time
node, seconds, every = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
trust = ssl.create_default_context()
trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
# One connection each that is kept, as Prometheus keeps them.
targets = {"https://%s:9633/metrics" % node: http.client.HTTPSConnection(node, 9633, timeout=10, context=trust),
           "http://%s:9100/metrics" % node: http.client.HTTPConnection(node, 9100, timeout=10)}
answers = dict.fromkeys(targets, 0)
end = time.monotonic() + seconds
while time.monotonic() < end:
    start = time.monotonic()
    for url, connection in targets.items():
        try:
            connection.request("GET", "/metrics", headers={"Authorization": "Bearer $token"})
            answer = connection.getresponse()
            answer.read()
            answers[url] += answer.status == 200
        except (OSError, http.client.HTTPException):
            connection.close()
    time.sleep(max(0, min(end, start + every) - time.monotonic()))
for url, count in answers.items():
    print(url, count)
P
}

# --- the table ----------------------------------------------------------------------------------------------------------

table() {
  python3 - "$work/before" "$work/after" "$work/neighbours" "$work/scraped" << 'P'
import sys
def read(path):
    units, now, hertz = {}, 0.0, 100
    for line in open(path):
        words = line.split()
        if words[0] == "now":
            now, hertz = float(words[1]), int(words[2])
            continue
        values = list(map(int, words[1:]))
        units[words[0]] = [a + b for a, b in zip(units.get(words[0], [0] * 5), values)]
    return units, now, hertz
before, start, hertz = read(sys.argv[1])
after, end, _ = read(sys.argv[2])
versions = {words[0]: words[1] for words in map(str.split, open(sys.argv[3]))}
halves = ["cloudos-agent.service", "cloudos-agent-root.service"]
def row(name, v):
    print(f"{name:<44} {v[0] / 1024:8.1f} {v[1] / 1024:9.1f} {v[2] / 1024:8.1f} {v[3] / 1024:12.1f} {v[4]:10.3f}")
def values(unit):
    *memory, ticks = after[unit]
    return *memory, 100.0 * (ticks - before.get(unit, [0] * 5)[4]) / hertz / (end - start)
def total(units):
    return [sum(column) for column in zip(*map(values, units))] if units else [0, 0, 0, 0, 0.0]
ours = sorted(u for u in after if u.startswith("cloudos-") and u != "cloudos-containerd.service")
beside = sorted(u for u in after if u.startswith("beside-"))
print(f"{'':<44} {'RSS, MiB':>8} {'peak, MiB':>9} {'PSS, MiB':>8} {'private, MiB':>12} {'CPU, % of a core':>10}")
for unit in ours: row(unit, values(unit))
row("ours together", total(ours))
print()
for unit in beside:
    name = unit.removeprefix("beside-").removesuffix(".service")
    row(f"{name} {versions.get(name, '')}", values(unit))
row("programs beside ours together", total(beside))
print()
for unit in ("cloudos-containerd.service", "kubelet.service"):
    if unit in after: row(f"{unit} (what the node is for)", values(unit))
print()
for line in open(sys.argv[4]): print("scraped", *line.split(), "times")
if not ours: sys.exit("nothing of ours was found")
if len(beside) != len(versions): sys.exit("a program beside ours has ended")
if all(half in after for half in halves):
    rss, *_, cpu = total(ours)
    print(f"ours: {rss / 1024:.1f} of 15 MiB of RSS, {cpu:.3f} of 0.2 % of a core")
    if rss > 15 * 1024 or cpu > 0.2: sys.exit("it is bigger than promised")
P
}

cluster_up 1 1
pods_up "$pods"
neighbours_up
on "$node" 'for _ in $(seq 200); do (exec 3<> /dev/tcp/127.0.0.1/7443) || exit 1; done; sleep 1'
count "$node" > "$work/before"
scrape
count "$node" > "$work/after"
printf 'a node with %s pods, %s minutes, scraped every %s s\n\n' "$pods" "$minutes" "$every"
table
