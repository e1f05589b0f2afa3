# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Places the probe pods, hands them their questions, gathers and checks the answers, and removes everything again."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Optional, Protocol

from .._cluster.api import ClusterReader
from .._cluster.nodes import ASLEEP, judge_all
from .._findings import Finding, LookedAt, Severity, state_of
from .._notation import in_url
from .._refusal import Refusal, Unavailable
from .._rollout.pods import stuck
from .._waiting import Clock
from . import model
from .model import ASKING_SECONDS, DNS_MEANINGS, MEANINGS, PORT, Check, NodeSeen, Object, Outcome, Request, Row

# The questions for each probe pod, and the answers that its container left behind.


def checks(request: Request, pods: Mapping[str, str], services: Mapping[str, str]) -> dict[str, list[Check]]:
    """What the pod on each node asks. pods, services: the addresses of those on, or of, each node."""
    return {source: list(_of_source(request, source, pods, services)) for source in pods}


def _of_source(request: Request, source: str, pods: Mapping[str, str], services: Mapping[str, str]) -> Iterator[Check]:
    for target, address in pods.items():
        if target != source:
            yield Check(source, target, "pod", url=f"http://{in_url(address)}:{PORT}/")
    for target in pods:
        yield Check(source, target, "service", url=f"http://{in_url(services[target])}/")
    for server in request.dns:
        for name in request.names:
            yield Check(source, name, "dns", server=server)


def as_lines(asked: Sequence[Check]) -> str:
    """As the pod's program reads them."""
    return "".join(
        f"{number} dns {one.target} {one.server}\n" if one.kind == "dns" else f"{number} http {one.url} {one.target}\n"
        for number, one in enumerate(asked)
    )


def nameservers(message: str) -> tuple[str, ...]:
    """What the pod found in its resolv.conf."""
    words = [line.split() for line in message.splitlines()]
    return tuple(line[1] for line in words if len(line) == 2 and line[0] == "nameserver")


def rows(asked: Sequence[Check], message: str) -> list[Row]:
    """The answers of one pod. A question without one is unknown."""
    answered = {}
    for line in message.splitlines():
        words = line.split()
        if len(words) == 4 and all(word.isdecimal() for word in (words[0], words[2], words[3])):
            answered[int(words[0])] = (words[1], int(words[2]) / 100, int(words[3]))
    return [_row(one, *answered.get(number, ("", 0.0, 0))) for number, one in enumerate(asked)]


def _row(one: Check, word: str, seconds: float, tries: int) -> Row:
    meaning = (DNS_MEANINGS if one.kind == "dns" else MEANINGS).get(word)
    where = one.server or one.url
    if meaning is None:
        return Row(one.source, one.target, one.kind, None, f"{where}: the probe pod reported nothing of it")
    often = f" at try {tries}" if tries > 1 and word == "ok" else f", {tries} tries" if tries > 1 else ""
    return Row(one.source, one.target, one.kind, word == "ok", f"{where}: {meaning}{often}", seconds)


def unknown(asked: Sequence[Check], why: str) -> list[Row]:
    return [Row(one.source, one.target, one.kind, None, why) for one in asked]


# The findings about a pod network: one for each cause that the matrix shows, not one for each of its lines.

NO_SUCH_NAME = DNS_MEANINGS["nxd"]
_EVERY_POD = "an answer from the pod on every other node"


def judge(request: Request, outcome: Outcome) -> list[Finding]:
    found = [*_of_running(outcome), *_of_starting(outcome)]
    asked = [row for row in outcome.rows if row.ok is not None]
    paths = [row for row in asked if row.kind == "pod"]
    lonely = _isolated(paths)
    found += _of_paths(request, paths, lonely)
    found += _of_services(asked, lonely)
    found += _of_dns(request, asked, lonely)
    found += _of_nameservers(request, outcome)
    found += _of_silence(outcome)
    if outcome.left:
        found.append(_as_finding("probes_are_removed", outcome.left, "error"))
    return found


def looked_at(outcome: Outcome, found: Sequence[Finding]) -> list[LookedAt]:
    state = state_of(found)
    every = "every pair of nodes reaches each other's Pods, Services and DNS"
    return [LookedAt("pod network", every if state == "ok" else f"{len(outcome.rows)} connections tried", state)]


def as_data(outcome: Outcome) -> dict[str, Any]:
    """What the module returns besides the findings."""
    return {
        "matrix": [
            {"source": row.source, "target": row.target, "kind": row.kind, "ok": row.ok, "detail": row.detail, "seconds": row.seconds}
            for row in outcome.rows
        ],
        "nodes": [
            {"name": one.name, "state": one.state, "reason": one.reason, "pod_address": one.address, "nameservers": list(one.nameservers)}
            for one in outcome.nodes.values()
        ],
        "placed": outcome.placed,
        "removed": outcome.removed,
        "seconds": round(outcome.seconds, 1),
    }


def _of_running(outcome: Outcome) -> Iterator[Finding]:
    """What kept the check from being made at all."""
    if outcome.refusal:
        yield _as_finding(
            "pod_network_can_be_probed", outcome.refusal, "unknown" if "HTTP status 403" in outcome.refusal.found else "error"
        )
    elif all(one.state in {"asleep", "not_ready"} for one in outcome.nodes.values()):
        fix = "Wake the hosts with playbooks/wake.yml, or check their kubelets."
        yield Finding("pod_network_can_be_probed", "error", "pod network", "no node that is ready", "at least one", fix)


def _of_starting(outcome: Outcome) -> Iterator[Finding]:
    for one in outcome.of_state("not_ready"):
        yield Finding("nodes_are_ready", "error", f"node {one.name}", one.reason, "ready, to be probed", one.fix, (one.name,))
    for one in outcome.of_state("not_started"):
        yield Finding("probe_pods_start", "error", f"node {one.name}", one.reason, "a probe pod that runs", one.fix, (one.name,))


def _isolated(paths: Sequence[Row]) -> set[str]:
    """Nodes whose pods reach none of the others' and are reached by none."""
    nodes = {row.source for row in paths}
    return {node for node in nodes if not any(row.ok for row in paths if node in (row.source, row.target))}


def _of_paths(request: Request, paths: Sequence[Row], lonely: Collection[str]) -> Iterator[Finding]:
    nodes = list(dict.fromkeys(row.source for row in paths))
    broken = [row for row in paths if not row.ok]
    if nodes and len(lonely) == len(nodes):
        fix = f"Check the hosts' firewalls, which must allow {_ports(request)} from each other, and the calico-node Pods."
        yield _pod_finding(nodes, f"pod network between {_and(nodes)}", _details(broken), _EVERY_POD, fix)
        return
    for node in (node for node in nodes if node in lonely):
        theirs = [row for row in broken if node in (row.source, row.target)]
        found = f"its pod reaches no pod on {_and(_others(nodes, node))} and none reaches it: {_details(theirs)}"
        yield _pod_finding([node], f"node {node}", found, _EVERY_POD, _look_at(request, node))
    broken = [row for row in broken if not {row.source, row.target} & set(lonely)]
    for node in nodes:
        sent = [row for row in paths if row.source == node and row.target not in lonely]
        came = [row for row in paths if row.target == node and row.source not in lonely]
        for of_node, good, words in ((sent, came, "its pod reaches no pod on"), (came, sent, "its pod is reached by none on")):
            if len(of_node) > 1 and not any(row.ok for row in of_node) and all(row.ok for row in good):
                found = (
                    f"{words} {_and(_others([row.source for row in of_node] + [row.target for row in of_node], node))}: {_details(of_node)}"
                )
                yield _pod_finding([node], f"node {node}", found, _EVERY_POD, _look_at(request, node))
                broken = [row for row in broken if row not in of_node]
    yield from _of_pairs(request, broken)


def _of_pairs(request: Request, broken: Sequence[Row]) -> Iterator[Finding]:
    ways = {(row.source, row.target): row for row in broken}
    for (source, target), row in ways.items():
        back = ways.get((target, source))
        if back and (target, source) < (source, target):
            continue
        rows = [row, back] if back else [row]
        subject = f"pods on {source} and {target}" if back else f"pods from {source} to {target}"
        fix = (
            f"Compare both hosts: their firewalls must allow {_ports(request)} from each other, and `ip route` on each must lead to "
            f"the pods of the other. See the calico-node Pods on {source} and {target}."
        )
        yield _pod_finding([source, target], subject, _details(rows), "an answer" + (" both ways" if back else ""), fix)


def _of_services(asked: Sequence[Row], lonely: Collection[str]) -> Iterator[Finding]:
    """A Service is blamed only where the way to its pod is good."""
    good = {(row.source, row.target) for row in asked if row.kind == "pod" and row.ok}
    services = [row for row in asked if row.kind == "service" and (row.source == row.target or (row.source, row.target) in good)]
    for source in dict.fromkeys(row.source for row in services):
        rows = [row for row in services if row.source == source]
        broken = [row for row in rows if not row.ok]
        if not broken:
            continue
        whole = len(broken) == len(rows)
        found = "no Service answers" if whole else f"no answer from the Service of the pod on {_and(row.target for row in broken)}"
        fix = f"Check kube-proxy on {source}, in kube-system: its logs, and its rules (`iptables-save -t nat` there)."
        yield Finding(
            "services_answer_from_pods",
            "error",
            f"node {source}",
            f"{found} to its pod: {_details(broken)}",
            "an answer of each",
            fix,
            (source,),
        )


def _of_dns(request: Request, asked: Sequence[Row], lonely: Collection[str]) -> Iterator[Finding]:
    """A node that is cut off from all others has a finding already. Its silence shows nothing about DNS."""
    rows = [row for row in asked if row.kind == "dns"]
    counted = [row for row in rows if row.source not in lonely] or rows
    sources = list(dict.fromkeys(row.source for row in counted))
    broken = [row for row in counted if not row.ok]
    for name in dict.fromkeys(row.target for row in broken):
        denied = [row for row in broken if row.target == name and NO_SUCH_NAME in row.detail]
        if denied and not any(row.ok for row in counted if row.target == name):
            fix = "Correct the name, or the server of its zone; vmstation.cluster.coredns_check checks the Corefile."
            yield Finding("names_resolve_from_pods", "error", f"name {name}", _details(denied), "an address", fix)
            broken = [row for row in broken if row not in denied]
    if not broken:
        return
    silent = list(dict.fromkeys(row.source for row in broken))
    subject = f"DNS {_and(request.dns)}"
    if len(silent) == len(sources):
        fix = (
            "Check CoreDNS: `kubectl get pods -n kube-system -l k8s-app=kube-dns -o wide`, the endpoints of its Service, and the policies: "
            "`kubectl get networkpolicies --all-namespaces` and `kubectl get globalnetworkpolicies`."
        )
        yield Finding("names_resolve_from_pods", "error", subject, _details(broken), "an answer to the pod on every node", fix)
        return
    for source in silent:
        fix = f"Check kube-proxy on {source}, and the connectivity from {source} to the nodes that run CoreDNS."
        found = f"no answer to it, while the pod on {_and(one for one in sources if one not in silent)} gets one"
        those = [row for row in broken if row.source == source]
        found = f"{subject}: {found}: {_details(those)}"
        yield Finding("names_resolve_from_pods", "error", f"node {source}", found, "an answer", fix, (source,))


def _of_nameservers(request: Request, outcome: Outcome) -> Iterator[Finding]:
    for one in outcome.of_state("started"):
        if one.nameservers and not set(one.nameservers) & set(request.dns):
            fix = f"Correct clusterDNS in /var/lib/kubelet/config.yaml on {one.name}, which site.yml writes, and restart the kubelet there."
            yield Finding(
                "pods_ask_the_planned_dns_address", "error", f"node {one.name}", f"its pods ask {_and(one.nameservers)}",
                _and(request.dns), fix, (one.name,),
            )  # fmt: skip


def _of_silence(outcome: Outcome) -> Iterator[Finding]:
    """A pod that ran and yet reported nothing, or not everything."""
    if outcome.refusal:
        return
    for one in outcome.of_state("started"):
        rows = [row for row in outcome.rows if row.source == one.name and row.ok is None and not _is_of_another(outcome, row)]
        if rows:
            fix = f"Check the kubelet on {one.name}, which passes the pods' output on: `journalctl -u kubelet`; or allow more time."
            found = f"{len(rows)} questions without an answer: {rows[0].detail}"
            yield Finding("probe_pods_report", "error", f"node {one.name}", found, "an answer to each question", fix, (one.name,))


def _is_of_another(outcome: Outcome, row: Row) -> bool:
    target = outcome.nodes.get(row.target)
    return target is not None and target.state in {"not_ready", "not_started"}


def _look_at(request: Request, node: str) -> str:
    return (
        f"Check the firewall of {node}, which must allow {_ports(request)} from the other hosts and forward pods' packets both ways, "
        f"and its calico-node Pod: `kubectl get pods -n kube-system -l k8s-app=calico-node --field-selector spec.nodeName={node}`."
    )


def _ports(request: Request) -> str:
    return _and(request.ports) or "the packets of the pod network"


def _pod_finding(nodes: Sequence[str], subject: str, found: str, expected: str, fix: str) -> Finding:
    return Finding("pods_reach_pods_on_other_nodes", "error", subject, found, expected, fix, tuple(nodes))


def _as_finding(rule: str, refusal: Refusal, severity: Severity) -> Finding:
    return Finding(rule, severity, refusal.subject, refusal.found, refusal.required, refusal.next_step)


def _others(nodes: Iterable[str], node: str) -> list[str]:
    return [one for one in dict.fromkeys(nodes) if one != node]


def _details(rows: Sequence[Row], most: int = 4) -> str:
    """The first few lines of the matrix, as text."""
    text = "; ".join(f"{row.source} -> {row.target} ({row.detail})" for row in rows[:most])
    return text + (f"; and {len(rows) - most} more" if len(rows) > most else "")


def _and(names: Iterable[str]) -> str:
    listed = list(names)
    return " and ".join([", ".join(listed[:-1]), listed[-1]] if len(listed) > 1 else listed)


PAUSE = 0.5
# a kubelet that is busy may miss that a pod's annotations changed, and look at them again only after a minute or at the next change
REMIND_SECONDS = 5.0
# a container in one of these states gets no further by itself within the time of a check
_HOPELESS = {"ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "CreateContainerConfigError", "CreateContainerError"}


class ProbeCluster(ClusterReader, Protocol):
    """Who writes to the cluster besides; tests pass a scripted fake."""

    def create(self, documents: Sequence[Object], namespace: str = "") -> list[Object]:
        """All at once; what the API server made of them, in the same order."""

    def patch_pods(self, namespace: str, patches: Mapping[str, str]) -> None:
        """Merge patches by a Pod's name, all at once."""

    def delete_namespace(self, name: str) -> None:
        """Ask for its removal; one that is gone is fine."""

    def end_pods(self, namespace: str) -> None:
        """Take its Pods out of the API server without waiting for their nodes."""


def plan(request: Request, cluster: ClusterReader, clock: Clock, namespace: str) -> Outcome:
    """What a run would place, from what the nodes report now."""
    began = clock.now()
    outcome = Outcome(_nodes(request, cluster))
    outcome.placed = _described(namespace, [one.name for one in outcome.of_state("awake")])
    outcome.seconds = clock.now() - began
    return outcome


def run(request: Request, cluster: ProbeCluster, clock: Clock, namespace: str) -> Outcome:
    """The whole check. What ends it early is in the outcome; only a cluster that does not answer at first is a Refusal."""
    began = clock.now()
    outcome = Outcome(_nodes(request, cluster))
    nodes = [one.name for one in outcome.of_state("awake")]
    if nodes:
        try:
            _Probing(request, cluster, clock, namespace, outcome).of(nodes)
        except Refusal as refusal:
            outcome.refusal = refusal
        finally:
            outcome.left = _remove(cluster, clock, namespace)
    _fill(request, outcome)
    outcome.seconds = clock.now() - began
    return outcome


class _Probing:
    """One run between placing and removing."""

    def __init__(self, request: Request, cluster: ProbeCluster, clock: Clock, namespace: str, outcome: Outcome) -> None:
        self._request, self._cluster, self._clock, self._namespace, self._outcome = request, cluster, clock, namespace, outcome
        self._end = clock.now() + request.seconds
        self._began = clock.now()

    def of(self, nodes: Sequence[str]) -> None:
        (ours,) = self._cluster.create([model.namespace(self._namespace, self._request)])
        self._remove_leftovers(ours)
        self._cluster.create([model.account()], self._namespace)
        numbered = list(enumerate(nodes))
        services = [model.service(number) for number, _node in numbered]
        made = self._cluster.create([*services, *(model.pod(number, node, self._request) for number, node in numbered)], self._namespace)
        self._outcome.placed = _described(self._namespace, nodes)
        addresses = {node: str(made[number]["spec"]["clusterIP"]) for number, node in numbered}
        started = self._wait_until_started(nodes)
        asked = checks(self._request, started, addresses)
        if asked:
            self._ask({model.object_name(number): asked[node] for number, node in numbered if node in asked})

    def _remove_leftovers(self, ours: Object) -> None:
        for other in self._cluster.items("v1", "Namespace", label_selector=model.SELECTOR):
            if model.has_outlived(other, ours):
                self._cluster.delete_namespace(other["metadata"]["name"])
                self._outcome.removed.append(other["metadata"]["name"])

    def _wait_until_started(self, nodes: Sequence[str]) -> dict[str, str]:
        """The addresses of the pods that run, by node. Of the others the outcome has why they do not."""
        deadline = self._end - ASKING_SECONDS
        while True:
            pods = self._pods()
            there = {node: pods.get(model.object_name(number)) for number, node in enumerate(nodes)}
            waiting = {node: pod for node, pod in there.items() if pod is None or not _runs(pod)}
            if not waiting or self._clock.now() >= deadline or all(pod and _is_hopeless(pod) for pod in waiting.values()):
                break
            self._clock.sleep(PAUSE)
        started = {node: str(pod["status"]["podIP"]) for node, pod in there.items() if pod and node not in waiting}
        for node, address in started.items():
            self._outcome.nodes[node].state, self._outcome.nodes[node].address = "started", address
        if waiting:
            self._explain(waiting)
        return started

    def _explain(self, waiting: Mapping[str, Optional[Object]]) -> None:
        said = _last_warnings(self._cluster.items("v1", "Event", namespace=self._namespace))
        waited = f"after {self._clock.now() - self._began:.0f} s"
        for node, pod in waiting.items():
            obstacle = stuck(pod) if pod else None
            event = said.get(pod["metadata"]["name"], "") if pod else ""
            seen = self._outcome.nodes[node]
            seen.state = "not_started"
            state = obstacle.state if obstacle else "the Pod was deleted"
            # elsewhere the state shows it already
            is_vague = "ContainerCreating" in state or "not taken it up" in state
            seen.reason = f"{waited}: {state}" + (f"; {event}" if event and is_vague else "")
            seen.fix = _what_to_do(node, state, event)

    def _ask(self, asked: Mapping[str, Sequence[Check]]) -> None:
        messages: dict[str, Optional[str]] = dict.fromkeys(asked)
        handed, times = -REMIND_SECONDS, 0
        while True:
            silent = [name for name, message in messages.items() if message is None]
            if not silent or self._clock.now() >= self._end:
                break
            if self._clock.now() - handed >= REMIND_SECONDS:
                handed, times = self._clock.now(), times + 1
                lines = {name: as_lines(asked[name]) for name in silent}
                patches = {name: model.questions_patch(text, times) for name, text in lines.items()}
                self._cluster.patch_pods(self._namespace, patches)
            self._clock.sleep(PAUSE)
            pods = self._pods()
            messages = {name: _message(pods.get(name)) for name in asked}
        for name, own in asked.items():
            message = messages[name]
            if message is None:
                why = f"the probe pod did not report within {self._request.seconds:g} s"
                self._outcome.rows += unknown(own, why)
                continue
            self._outcome.rows += rows(own, message)
            self._outcome.nodes[own[0].source].nameservers = nameservers(message)

    def _pods(self) -> dict[str, Object]:
        """An API server that stops answering for a while is asked again as long as there is time."""
        while True:
            try:
                return {pod["metadata"]["name"]: pod for pod in self._cluster.items("v1", "Pod", namespace=self._namespace)}
            except Unavailable:
                if self._clock.now() >= self._end:
                    raise
                self._clock.sleep(PAUSE)


def _nodes(request: Request, cluster: ClusterReader) -> dict[str, NodeSeen]:
    """The Node of a host that has just been put to sleep is Ready for a while: it is asleep all the same."""
    found = {}
    for verdict in judge_all(cluster.items("v1", "Node"), request.nodes, request.asleep):
        if verdict.name in request.asleep:
            found[verdict.name] = NodeSeen(verdict.name, "asleep", ASLEEP)
        elif verdict.ready:
            found[verdict.name] = NodeSeen(verdict.name, "awake")
        else:
            found[verdict.name] = NodeSeen(verdict.name, "not_ready", verdict.reason, verdict.fix)
    return found


def _remove(cluster: ProbeCluster, clock: Clock, namespace: str) -> Optional[Refusal]:
    """Until it is gone. Pods whose node does not confirm their end are taken out after half of the time; they end by themselves."""
    deadline = clock.now() + model.REMOVAL_SECONDS
    found = f"there after {model.REMOVAL_SECONDS:g} s"
    asked = forced = False
    while True:
        try:
            if not cluster.get("v1", "Namespace", namespace):
                return None
            if not asked:
                cluster.delete_namespace(namespace)
                asked = True
            elif not forced and deadline - clock.now() < model.REMOVAL_SECONDS / 2:
                cluster.end_pods(namespace)
                forced = True
        except Unavailable as silence:
            found = f"not removed: {silence.found}"
        except Refusal as refusal:
            found, deadline = f"not removed: {refusal.found}", clock.now()
        if clock.now() >= deadline:
            fix = (
                f"Remove it: `kubectl delete namespace {namespace}`. If that does not end, `check.yml -e check_only=control_plane,api` "
                "reports why."
            )
            return Refusal(f"Namespace {namespace}", found, "no remains of this check", fix)
        clock.sleep(PAUSE)


def _fill(request: Request, outcome: Outcome) -> None:
    """Every question that could not be asked, as unknown; in the order of the nodes. A node that is asleep has none."""
    asked = {(row.source, row.target, row.kind) for row in outcome.rows}
    there = {one.name: "" for one in outcome.nodes.values() if one.state != "asleep"}
    every = checks(request, there, there)
    for source, own in every.items():
        missing = [one for one in own if (one.source, one.target, one.kind) not in asked]
        for one in missing:
            outcome.rows += unknown([one], _why_not_asked(outcome, source, one.target))
    order = {name: number for number, name in enumerate(every)}
    outcome.rows.sort(key=lambda row: order[row.source])


def _why_not_asked(outcome: Outcome, source: str, target: str) -> str:
    for name in (source, target):
        one = outcome.nodes.get(name)
        if one and one.state in {"not_ready", "not_started"}:
            return f"no probe pod on {name}"
    return f"not asked: {outcome.refusal.found}" if outcome.refusal else "not asked"


def _described(namespace: str, nodes: Iterable[str]) -> list[str]:
    each = [(model.object_name(number), node) for number, node in enumerate(nodes)]
    placed = [word for name, node in each for word in (f"Pod {namespace}/{name} on {node}", f"Service {namespace}/{name}")]
    return [f"Namespace {namespace}", f"ServiceAccount {namespace}/{model.ACCOUNT}", *placed] if placed else []


def _runs(pod: Object) -> bool:
    """Both containers have begun: the one that asks waits for its questions."""
    states = [one.get("state", {}) for one in pod["status"].get("containerStatuses") or ()]
    return bool(pod["status"].get("podIP")) and len(states) == 2 and all("running" in state for state in states)


def _is_hopeless(pod: Object) -> bool:
    if any(one.get("type") == "PodScheduled" and one.get("reason") == "Unschedulable" for one in pod["status"].get("conditions") or ()):
        return True
    waiting = [(one.get("state", {}).get("waiting") or {}).get("reason") for one in pod["status"].get("containerStatuses") or ()]
    return pod["status"].get("phase") in {"Failed", "Succeeded"} or bool(_HOPELESS & set(waiting))


def _message(pod: Optional[Object]) -> Optional[str]:
    """What the container that asks left; None while it has not ended. A Pod that has gone left nothing."""
    if pod is None:
        return ""
    for one in pod["status"].get("containerStatuses") or ():
        ended = one.get("state", {}).get("terminated")
        if one["name"] == "ask" and ended:
            return str(ended.get("message") or "")
    return "" if pod["status"].get("phase") in {"Failed", "Succeeded"} else None


def _last_warnings(events: Iterable[Object]) -> dict[str, str]:
    """The last warning about each Pod."""
    found: dict[str, tuple[str, str]] = {}
    for event in events:
        about = event.get("involvedObject") or {}
        when = str(event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp") or "")
        if event.get("type") == "Warning" and about.get("kind") == "Pod" and when >= found.get(about["name"], ("", ""))[0]:
            found[about["name"]] = (when, " ".join(f"{event.get('reason')}: {event.get('message')}".split())[:400])
    return {name: said for name, (_when, said) in found.items()}


def _what_to_do(node: str, state: str, event: str) -> str:
    if "image" in f"{state} {event}".lower():
        return f"Make the image available on {node}: a registry that it reaches, or an archive in its containerd; or set another."
    if "sandbox" in event.lower():
        return f"Check the CNI plugin on {node}: its calico-node Pod in kube-system, and `journalctl -u kubelet -u containerd`."
    if "Unschedulable" in state:
        return f"Remove what the scheduler reports for {node}: `kubectl describe node {node}`."
    if "PodScheduled" in state or "not scheduled" in state or ("has not taken it up" in state and "FailedScheduling" not in event):
        return f"Check kube-scheduler in kube-system, and the kubelet on {node}: `systemctl status kubelet`."
    return f"Check the kubelet on {node}: `journalctl -u kubelet`."
