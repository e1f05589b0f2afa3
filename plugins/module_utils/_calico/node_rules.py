# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules for Calico on each node: its Node, its Pod, its addresses and blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Any, Callable, Optional

from .._cluster import nodes as of_nodes
from .._findings import Finding
from .._network_plan.model import Plan
from .._network_plan.ranges import home_of, pools
from .._refusal import Refusal
from .documents import read_plan
from .facts import NODE, TUNNELS, Block, Ending, Facts, Node, Pod, plain

# Options of calico_check


@dataclass(frozen=True)
class Request:
    """nodes: planned addresses by host name and IP version. asleep: hosts that are asleep."""

    plan: Plan
    nodes: Mapping[str, Mapping[int, str]]
    asleep: frozenset[str] = frozenset()


def request(params: Mapping[str, Any]) -> Request:
    """Validate the module's options. Kubernetes lowercases node names."""
    return Request(
        read_plan(params["plan"], "calico_check"),
        {entry["name"].lower(): _addresses(index, entry) for index, entry in enumerate(params["nodes"])},
        frozenset(name.lower() for name in params["asleep"]),
    )


def _addresses(index: int, entry: Mapping[str, Any]) -> dict[int, str]:
    given = entry["address"]
    found: dict[int, str] = {}
    for one in given if isinstance(given, (list, tuple)) else [given]:
        try:
            found.setdefault(ip_address(str(one)).version, plain(str(one)))
        except ValueError:
            required = "an IP address, or a list of them"
            raise Refusal(f"nodes[{index}].address", repr(one), required, f"Set the address of {entry['name']} in the inventory.") from None
    if not found:
        raise Refusal(
            f"nodes[{index}].address",
            "an empty list",
            "an IP address, or a list of them",
            f"Set the address of {entry['name']} in the inventory.",
        )
    return found


# Rules for each node: its Node, its Pod, its addresses and blocks

# A container that ended so recently, after so short a run, is not stable yet,
RECENTLY = SHORT = timedelta(minutes=10)
# unless it has now run for this long, and for three times as long as before.
SETTLED = timedelta(minutes=2)
# kubelet's reasons for a container that stopped with its host
WITH_ITS_HOST = ("Unknown", "ContainerStatusUnknown")
CONFIRMED = "confirmed"


@dataclass(frozen=True)
class Place:
    """A node to check. planned: its addresses by IP version, None if it is not in the plan.

    others: nodes with the same tunnel address.
    """

    name: str
    node: Optional[Node]
    pod: Optional[Pod]
    is_asleep: bool
    planned: Optional[Mapping[int, str]]
    blocks: tuple[Block, ...] = ()
    others: Mapping[str, str] = field(default_factory=dict)

    @property
    def subject(self) -> str:
        return f"node {self.name}"

    @property
    def is_silent(self) -> bool:
        """Whether there is no current information about the node."""
        return self.is_asleep or self.node is None or self.node.ready.get("status") not in {"True", "False"}

    @property
    def runs(self) -> bool:
        return not self.is_silent and self.pod is not None and self.pod.ready


@dataclass(frozen=True)
class Case:
    """The context of the rules. tunnels: those that each node needs, by overlay and IP version."""

    request: Request
    facts: Facts
    now: datetime
    tunnels: tuple[tuple[str, int], ...]


def case_of(request: Request, facts: Facts, now: datetime) -> Case:
    """Return the context. Tunnels follow from the existing pools: deviations from the plan are reported for pools, not for nodes."""
    if facts.pools is None:
        wanted = {(pool.encapsulation.replace("CrossSubnet", ""), pool.cidr.version) for pool in pools(request.plan)}
    else:
        wanted = {(one.overlay, one.cidr.version) for one in facts.pools if one.cidr and not one.disabled and "Tunnel" in one.allowed_uses}
    return Case(request, facts, now, tuple(one for one in TUNNELS if one in wanted))


def places(request: Request, facts: Facts) -> list[Place]:
    """Return the planned nodes in the plan's order, then unplanned ones."""
    nodes, pods = facts.nodes or {}, facts.pods or {}
    blocks: dict[str, list[Block]] = {}
    for block in facts.blocks or ():
        blocks.setdefault(block.node, []).append(block)
    holders: dict[str, str] = {}
    shared: dict[str, dict[str, str]] = {}
    for node in sorted(nodes.values(), key=lambda one: one.name):
        for address in node.tunnels.values():
            if holders.setdefault(address, node.name) != node.name:
                shared.setdefault(node.name, {})[address] = holders[address]
    names = [*request.nodes, *(name for name in nodes if name not in request.nodes)]
    found = []
    for name in names:
        one = nodes.get(name)
        sleeps = name in request.asleep and (one is None or one.ready.get("status") != "True")
        planned, its_blocks = request.nodes.get(name), tuple(blocks.get(name, ()))
        found.append(Place(name, one, pods.get(name), sleeps, planned, its_blocks, shared.get(name, {})))
    return found


def nodes_are_ready(place: Place, case: Case) -> Iterator[Finding]:
    if place.is_asleep or place.planned is None or case.facts.nodes is None:
        return
    conditions = [place.node.ready] if place.node and place.node.ready else []
    known = {"metadata": {"name": place.name}, "status": {"conditions": conditions}} if place.node else None
    yield from of_nodes.findings([of_nodes.judge_node(place.name, known, is_asleep=False)], 0)


def nodes_are_planned(place: Place, _case: Case) -> Iterator[Finding]:
    if place.planned is None:
        fix = of_nodes.how_to_leave(place.name)
        yield Finding("nodes_are_planned", "warning", place.subject, "a Node without a host in the inventory", "a planned host", fix)


def networks_are_available(place: Place, _case: Case) -> Iterator[Finding]:
    """Report NetworkUnavailable only if it is True: calico-node sets it to False once, and nothing resets it."""
    if place.node and not place.is_silent and place.node.network_unavailable.get("status") == "True":
        found = f"NetworkUnavailable: {place.node.network_unavailable.get('message') or 'no reason given'}"
        fix = f"See why calico-node does not start on {place.name}: `kubectl describe node {place.name}`, and the log of its Pod."
        yield Finding("networks_are_available", "error", place.subject, found, "a network that calico-node has set up", fix)


def calico_runs_on_every_node(place: Place, case: Case) -> Iterator[Finding]:
    if place.is_silent or case.facts.pods is None:
        return
    expected, at = f"a Pod of {NODE} that is ready", case.facts.daemon_set
    if place.pod is None and at is None and case.facts.daemon_sets is not None:
        return  # calico_is_installed reports it
    if place.pod is None:
        look = f"kubectl describe daemonset --namespace {at.namespace} {NODE}" if at else "kubectl get daemonsets --all-namespaces"
        fix = f"See why none is started there with `{look}`, or run site.yml, which installs Calico."
        yield Finding("calico_runs_on_every_node", "error", place.subject, f"no Pod of {NODE}", expected, fix)
    elif not place.pod.ready:
        trouble = place.pod.trouble or "not ready"
        yield Finding(
            "calico_runs_on_every_node", "error", place.subject, f"Pod {place.pod.name}: {trouble}", expected, _next_step(place.pod, case)
        )


def _next_step(pod: Pod, case: Case) -> str:
    at = case.facts.daemon_set
    asks_bird = at is not None and any(word.lstrip("-") == "bird-ready" for word in at.readiness)
    if asks_bird and "readiness probe" in pod.trouble:
        return f"See what it lacks: `kubectl describe pod --namespace {pod.namespace} {pod.name}`. Without BGP, bird-ready never passes."
    return pod.next_step


def calico_node_keeps_running(place: Place, case: Case) -> Iterator[Finding]:
    if place.runs and place.pod and place.pod.last_ending and _is_worrying(place.pod.last_ending, place.pod.started, case.now):
        last, times = place.pod.last_ending, place.pod.restarts
        lived = f"{last.lasted.total_seconds():.0f} s"
        found = f"{times} restart{'s' if times != 1 else ''}, the last at {last.at.isoformat()} after {lived} ({last.reason or 'Error'})"
        fix = f"See why it ended: `kubectl logs --previous --namespace {place.pod.namespace} {place.pod.name} --container {NODE}`."
        yield Finding("calico_node_keeps_running", "error", place.subject, found, f"a container {NODE} that keeps running", fix)


def _is_worrying(last: Ending, started: Optional[datetime], now: datetime) -> bool:
    if last.reason in WITH_ITS_HOST or now - last.at > RECENTLY:
        return False
    # it was first started before its node could reach the API server
    has_settled = started is not None and now - started > max(SETTLED, 3 * last.lasted)
    return last.reason == "OOMKilled" or (last.lasted < SHORT and not has_settled)


def calico_uses_the_planned_address(place: Place, case: Case) -> Iterator[Finding]:
    if not place.runs or place.node is None:
        return
    for version in sorted({cidr.version for cidr in case.request.plan.pod_cidr or ()}):
        planned, used = (place.planned or {}).get(version), place.node.addresses.get(version)
        if planned and used != planned:
            found = f"Calico's IPv{version} address {used}" if used else f"no IPv{version} address detected by Calico"
            variable = "IP_AUTODETECTION_METHOD" if version == 4 else "IP6_AUTODETECTION_METHOD"
            fix = (
                f"Run site.yml, which sets {variable} to kubernetes-internal-ip. If `kubectl get node {place.name} --output wide` shows "
                f"another INTERNAL-IP than {planned}, set --node-ip={planned} in KUBELET_KUBEADM_ARGS of "
                f"/var/lib/kubelet/kubeadm-flags.env on {place.name}, and restart kubelet there."
            )
            yield Finding("calico_uses_the_planned_address", "error", place.subject, found, planned, fix)


def tunnels_have_addresses_of_their_own(place: Place, case: Case) -> Iterator[Finding]:
    if not place.runs or place.node is None or place.pod is None:
        return
    for overlay, version in case.tunnels:
        address = place.node.tunnels.get((overlay, version))
        fix = (
            f"Restart calico-node, which assigns it: `kubectl delete pod --namespace {place.pod.namespace} {place.pod.name}`; "
            "if that does not help, its log shows why (for example, the pool has no free block)."
        )
        if address is None:
            found, expected = f"no address of the {overlay} tunnel for IPv{version}", f"the annotation {TUNNELS[overlay, version]}"
        elif not _is_within(address, case):
            found, expected = f"{overlay} tunnel {address}", "an address of network_plan.pod_cidr"
        elif address in place.others:
            found, expected = f"{overlay} tunnel {address}, as on node {place.others[address]}", "an address that no other node has"
        else:
            continue
        yield Finding("tunnels_have_addresses_of_their_own", "error", place.subject, found, expected, fix)


def _is_within(address: str, case: Case) -> bool:
    try:
        return home_of(ip_address(address), case.request.plan.pod_cidr) is not None
    except ValueError:
        return False


def blocks_are_confirmed(place: Place, _case: Case) -> Iterator[Finding]:
    unsettled = [block for block in place.blocks if block.state != CONFIRMED]
    if unsettled and not place.is_silent:
        found = ", ".join(f"block {block.cidr}: {block.state or 'no state'}" for block in unsettled)
        fix = (
            "Run the check again in a minute; if it remains, `calicoctl ipam check` shows how to release it, and the CNI plugin's log why."
        )
        yield Finding("blocks_are_confirmed", "error", place.subject, found, f"blocks that are {CONFIRMED}", fix)


RULES: tuple[Callable[[Place, Case], Iterator[Finding]], ...] = (
    nodes_are_ready,
    nodes_are_planned,
    networks_are_available,
    calico_runs_on_every_node,
    calico_node_keeps_running,
    calico_uses_the_planned_address,
    tunnels_have_addresses_of_their_own,
    blocks_are_confirmed,
)


def judge(found: Iterable[Place], case: Case) -> dict[str, list[Finding]]:
    """Return the findings for each node."""
    return {place.name: [replace(finding, hosts=(place.name,)) for rule in RULES for finding in rule(place, case)] for place in found}
