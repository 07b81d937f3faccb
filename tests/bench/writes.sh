#!/bin/bash
# What is written to the API while nothing happens: an installed cluster with 30 pods is left alone, and the API server's audit
# log (kubernetes.io, "Auditing") tells who wrote what. The agent's promise: nothing.
#
#   ./dev bench writes [MINUTES]     ten by default
#
# Writes are create, update, patch and delete that were answered; reviews of tokens and of access change nothing and are shown apart.
set -euo pipefail
minutes=${1:-10} pods=30

# shellcheck source=tests/bench/cluster.sh
. "$(dirname "${BASH_SOURCE[0]}")/cluster.sh"

# The API server is told to keep an audit log; it starts anew with it.
audit_on() {
  on "$master" sh -s << 'S'
set -e
mkdir -p /etc/kubernetes/audit /var/log/kubernetes
cat > /etc/kubernetes/audit/policy.yaml << 'Y'
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata, verbs: [create, update, patch, delete, deletecollection]}]
Y
m=/etc/kubernetes/manifests/kube-apiserver.yaml
sed -e 's#^    - kube-apiserver$#&\n    - --audit-policy-file=/etc/kubernetes/audit/policy.yaml\n    - --audit-log-path=/var/log/kubernetes/audit.log#' \
  -e 's#^    volumeMounts:$#&\n    - {mountPath: /etc/kubernetes/audit, name: audit-policy, readOnly: true}\n    - {mountPath: /var/log/kubernetes, name: audit-log}#' \
  -e 's#^  volumes:$#&\n  - {name: audit-policy, hostPath: {path: /etc/kubernetes/audit}}\n  - {name: audit-log, hostPath: {path: /var/log/kubernetes}}#' \
  "$m" > /etc/kubernetes/audit/kube-apiserver.yaml
mv /etc/kubernetes/audit/kube-apiserver.yaml "$m"
S
  until on "$master" test -s /var/log/kubernetes/audit.log; do sleep 1; done
  until k get --raw /readyz > /dev/null 2>&1; do sleep 1; done
}

table() {
  python3 - "$work/audit.log" "$minutes" << 'P'
import collections, json, sys
writes, asked = collections.Counter(), collections.Counter()
for line in open(sys.argv[1]):
    try:
        event = json.loads(line)
    except ValueError:
        continue  # cut off at the beginning or the end of the span
    what = event.get("objectRef", {})
    who = event.get("userAgent", "?").split(" ")[0].split("/")[0]
    resource = "/".join(x for x in (what.get("resource", "?"), what.get("subresource")) if x)
    (asked if resource.endswith(("reviews",)) else writes)[who, event["verb"], resource] += 1
def show(title, counts):
    print(title)
    for (who, verb, resource), n in sorted(counts.items()):
        print(f"  {who:<28} {verb:<8} {resource:<28} {n:6}")
show(f"writes in {sys.argv[2]} idle minutes", writes)
print()
show("asked, nothing written", asked)
ours = sum(n for (who, _, _), n in writes.items() if who.startswith("cloudos"))
if not any(who.startswith("kube") for who, _, _ in writes): sys.exit("the audit log has none of kubelet's writes: it cannot be right")
print(f"\nthe agent wrote {ours} times")
if ours: sys.exit("the agent writes while nothing happens")
P
}

cluster_up 1 1
pods_up "$pods"
audit_on
# What an API server that starts anew sets off is over by then: leases, reconnections, conditions that turned.
sleep 90
from=$(on "$master" stat -c %s /var/log/kubernetes/audit.log)
sleep "$((minutes * 60))"
on "$master" "tail -c +$((from + 1)) /var/log/kubernetes/audit.log" > "$work/audit.log"
table
