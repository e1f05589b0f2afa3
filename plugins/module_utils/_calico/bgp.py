# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""BGP sessions: compare those that the nodes report with those in the configuration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from .._cluster.api import Creator
from .._findings import Finding
from .._network_plan.model import Plan
from .._refusal import Refusal, Unavailable
from .._versions import image_tag, minor_at_start
from .documents import overlay_of
from .facts import Facts, Node, NodeStatus, Pod
from .manifest import uses_bird
from .node_rules import Place

# Reported and configured BGP sessions of each node

UNCONFIGURED = "not configured"


@dataclass(frozen=True)
class Doubt:
    """Why a node's sessions are unknown. found: words that follow the node's name. fix: the next step."""

    found: str
    fix: str


@dataclass(frozen=True)
class Down:
    """A session that one node reports as not established. peer: a node's name, or an address of no known node."""

    reporter: str
    peer: str
    state: str
    since: str = ""

    def __str__(self) -> str:
        return f"{self.reporter} reports {self.peer}: {self.state}{f' since {self.since}' if self.since else ''}"


@dataclass(frozen=True)
class Sessions:
    """The sessions of a node. expected: how many should exist, without nodes that are asleep.

    is_complete: no selector hides a session.
    """

    expected: int
    established: int
    down: tuple[Down, ...]
    is_complete: bool


def families(plan: Plan) -> tuple[int, ...]:
    """Return the IP versions that BIRD routes."""
    return tuple(sorted({cidr.version for cidr in plan.pod_cidr or ()})) if uses_bird(plan) else ()


class Mesh:
    """The configured sessions: between all nodes unless the mesh is disabled, and those of BGPPeers."""

    def __init__(self, facts: Facts, found: Sequence[Place], versions: Iterable[int]) -> None:
        nodes: Mapping[str, Node] = facts.nodes or {}
        self._versions = tuple(versions)
        self._owners = {address: node.name for node in nodes.values() for address in node.addresses.values()}
        self._asleep = frozenset(address for place in found if place.is_asleep and place.node for address in self._of(place.node))
        members = (node for node in nodes.values() if not node.is_reflector) if facts.has_mesh else ()
        self._members = frozenset(address for node in members for address in self._of(node))
        self._peers = facts.peers or ()
        self._is_known = facts.peers is not None and facts.bgp is not None

    def _of(self, node: Node) -> tuple[str, ...]:
        return tuple(address for version, address in node.addresses.items() if version in self._versions)

    def name_of(self, address: str) -> str:
        return self._owners.get(address, address)

    def sessions(self, node: Node, status: NodeStatus) -> Sessions:
        mine = [peer for peer in self._peers if peer.node in {"", node.name}]
        wanted = {peer.address for peer in mine if peer.is_derivable}
        if not node.is_reflector:
            wanted |= self._members
        wanted -= {*node.addresses.values(), *self._asleep}
        missing = wanted - status.established
        # sessions selected by a selector are known only if they fail
        failing = {address for address in status.others if address not in self._asleep and self._counts(address)}
        down = []
        for address in sorted(missing | failing):
            other = status.others.get(address)
            state, since = (other.state, other.since) if other else (UNCONFIGURED, "")
            down.append(Down(node.name, self.name_of(address), state, since))
        is_complete = self._is_known and all(peer.is_derivable for peer in mine)
        return Sessions(len(wanted | failing), len(wanted) - len(missing), tuple(down), is_complete)

    def _counts(self, address: str) -> bool:
        return (6 if ":" in address else 4) in self._versions


def doubt(name: str, pod: Pod, facts: Facts) -> Optional[Doubt]:
    """Return why the report is out of date, if it is. Its age shows nothing: it is written only when something changes."""
    status = (facts.statuses or {}).get(name)
    if status is None:
        fix = "Run vmstation.cluster.calico_check with create_status: true, and run the check again a minute later."
        return Doubt("no CalicoNodeStatus", fix)
    called = f"CalicoNodeStatus {status.name}"
    if not status.has_bgp or not status.period:
        found = f"{called} without the class BGP" if not status.has_bgp else f"{called} whose updatePeriodSeconds is 0"
        return Doubt(found, f"Delete it (`kubectl delete caliconodestatus {status.name}`), and run calico_check with create_status: true.")
    log = f"`kubectl logs --namespace {pod.namespace} {pod.name} --container calico-node` shows why it is not written."
    if status.updated is None:
        return Doubt(f"{called} that calico-node has not written yet", f"Run the check again in {status.period} s; if it remains, {log}")
    if pod.started and status.updated < pod.started:
        found = f"{called} of {status.updated.isoformat()}, before its calico-node started at {pod.started.isoformat()}"
        return Doubt(found, f"Run the check again in {status.period} s; if it remains, {log}")
    return None


# Findings about BGP sessions, which name both ends of a session that is down

PORT = "179/tcp"
# https://docs.tigera.io/calico/latest/reference/resources/caliconodestatus; before these states there is no TCP connection
AFTER_CONNECTING = ("OpenSent", "OpenConfirm")
# since this release, Felix sets the routes of IP-in-IP
FELIX_ROUTES_IPIP = (3, 33)
NAMES = 8  # at most this many node names in one line

Pairs = dict[frozenset[str], list[Down]]


@dataclass
class Outcome:
    """verdicts: `ok`, `error`, `unknown`, `asleep` or `not_expected` for each node. sessions: of nodes with a current report."""

    findings: list[Finding] = field(default_factory=list)
    verdicts: dict[str, str] = field(default_factory=dict)
    sessions: dict[str, Sessions] = field(default_factory=dict)


def judge(plan: Plan, facts: Facts, found: Sequence[Place], ill: Iterable[str], made: Iterable[str] = ()) -> Outcome:
    """Check all sessions.

    ill: nodes with findings that explain a session that is down. made: nodes whose CalicoNodeStatus was created in this run.
    """
    versions = families(plan)
    if not versions:
        return Outcome(verdicts={place.name: "not_expected" for place in found})
    outcome, mesh, unwell = Outcome(), Mesh(facts, found, versions), {*ill, *(place.name for place in found if place.is_silent)}
    doubts: dict[Doubt, list[str]] = {}
    for place in found:
        outcome.verdicts[place.name] = "asleep" if place.is_asleep else "unknown"
        if not place.runs or place.pod is None or place.node is None or facts.statuses is None:
            continue
        reason = doubt(place.name, place.pod, facts)
        if reason:
            fresh = Doubt("a CalicoNodeStatus that was just created", "Run the check again in a minute.")
            doubts.setdefault(fresh if place.name in set(made) else reason, []).append(place.name)
            continue
        bird = list(_bird_is_ready(place.node, facts, versions))
        outcome.findings += bird
        unwell |= {place.name} if bird else set()
        outcome.sessions[place.name] = mesh.sessions(place.node, facts.statuses[place.name])
        outcome.verdicts[place.name] = "error" if bird else "ok" if outcome.sessions[place.name].is_complete else "unknown"
    _judge_sessions(outcome, plan, facts, unwell)
    for reason, names in doubts.items():
        outcome.findings.append(
            Finding(
                "bgp_sessions_are_known", "unknown", _subject(names), reason.found, "a current CalicoNodeStatus", reason.fix, tuple(names)
            )
        )
    outcome.findings += _of_configuration(facts, found)
    return outcome


def _bird_is_ready(node: Node, facts: Facts, versions: Iterable[int]) -> Iterator[Finding]:
    """Check BIRD for each IP version of the node: for a version that the node lacks, BIRD is never ready."""
    for version in versions:
        state = (facts.statuses or {})[node.name].bird[version]
        if version in node.addresses and state not in {"", "Ready"}:
            fix = f"Read the log of calico-node on {node.name}: BIRD rejects its configuration, or another BGP daemon uses {PORT} there."
            yield Finding("bird_is_ready", "error", f"node {node.name}", f"BIRD for IPv{version}: {state}", "Ready", fix, (node.name,))


def _judge_sessions(outcome: Outcome, plan: Plan, facts: Facts, unwell: set[str]) -> None:
    pairs: Pairs = {}
    contradicted: Pairs = {}
    for name, sessions in outcome.sessions.items():
        for down in sessions.down:
            if unwell & {name, down.peer}:
                continue
            peer_says_up = down.peer in outcome.sessions and _is_up(down, facts)
            (contradicted if peer_says_up else pairs).setdefault(frozenset((name, down.peer)), []).append(down)
    for group, verdict in ((contradicted, "unknown"), (pairs, "error")):
        for name in {name for pair in group for name in pair} & set(outcome.verdicts):
            outcome.verdicts[name] = verdict
    after = " Pods may still reach each other: Felix sets the routes of IP-in-IP in this release." if _felix_routes(plan, facts) else ""
    for subject, names, downs, fix in _blamed(pairs, outcome.sessions, facts):
        found = "; ".join(map(str, downs[:NAMES])) + (f"; {len(downs) - NAMES} more" if len(downs) > NAMES else "")
        outcome.findings.append(
            Finding("bgp_sessions_are_established", "error", subject, found, "an established BGP session", f"{fix}{after}", tuple(names))
        )
    for pair, downs in sorted(contradicted.items(), key=lambda one: sorted(one[0])):
        found = f"{'; '.join(map(str, downs))}; the other end reports Established"
        fix = "Run the check again in a minute; if it remains, see in calico-node's log why one no longer writes its CalicoNodeStatus."
        ends = sorted(pair)
        outcome.findings.append(
            Finding("bgp_ends_agree", "warning", _subject(ends), found, "the same state at both ends", fix, tuple(ends))
        )


def _is_up(down: Down, facts: Facts) -> bool:
    """Return whether the other end reports the session as established."""
    mine = (facts.nodes or {})[down.reporter].addresses.values()
    return any(address in (facts.statuses or {})[down.peer].established for address in mine)


def _blamed(pairs: Pairs, sessions: Mapping[str, Sessions], facts: Facts) -> Iterator[tuple[str, Sequence[str], list[Down], str]]:
    """Yield subject, nodes, reports and next step: for the whole mesh, for a node without any session, and for each remaining pair."""
    left = dict(pairs)
    degrees: dict[str, int] = {}
    for pair in left:
        for name in pair:
            degrees[name] = degrees.get(name, 0) + 1
    alone = [name for name, degree in degrees.items() if degree > 1 and (name not in sessions or not sessions[name].established)]
    if len(alone) > 2 and len(alone) == len(degrees):
        fix = f"Check what all of them share: the firewalls, where site.yml opens {PORT} for the nodes, and the switch between them."
        yield "BGP mesh", alone, [down for downs in left.values() for down in downs], fix
        return
    for name in sorted(alone, key=lambda one: (-degrees[one], one)):
        mine = [pair for pair in left if name in pair]
        if len(mine) > 1:
            peers = sorted({peer for pair in mine for peer in pair} - {name})
            downs = [down for pair in mine for down in left.pop(pair)]
            yield f"node {name}", [name], downs, _look_at_node(name, peers, downs)
    for pair, downs in sorted(left.items(), key=lambda one: sorted(one[0])):
        yield _subject(sorted(pair)), sorted(pair), downs, _look_at_pair(pair, downs, facts)


def _look_at_node(name: str, peers: Sequence[str], downs: Sequence[Down]) -> str:
    if any(down.state in AFTER_CONNECTING for down in downs):
        return _AGREE.format(ends=_listed([name, *peers]))
    return (
        f"Check {name} first, the end that all of these share: does its firewall allow {PORT} to and from {_listed(peers)} "
        "(site.yml opens it), and is its address on the right interface?"
    )


_AGREE = "They connect, but do not agree: compare the AS numbers (BGPConfiguration, the nodes' annotations) and passwords of {ends}."


def _look_at_pair(pair: Iterable[str], downs: Sequence[Down], facts: Facts) -> str:
    ends = sorted(pair)
    if any(down.state in AFTER_CONNECTING for down in downs):
        return _AGREE.format(ends=" and ".join(ends))
    nodes = facts.nodes or {}
    if all(down.state == UNCONFIGURED for down in downs):
        return f"BIRD on {downs[0].reporter} has no configuration for {downs[0].peer}: restart calico-node's Pod there, and read its log."
    if not all(end in nodes for end in ends):
        return f"Check that the firewalls of {downs[0].reporter} and {downs[0].peer} allow {PORT}, and that both are on."
    # in Calico, the end whose address is first in text order waits for the other
    waits, calls = sorted(ends, key=lambda end: next(iter(nodes[end].addresses.values()), ""))
    address = next(iter(nodes[waits].addresses.values()), waits)
    return (
        f"{calls} connects to {waits}: try `nc -vz {address} 179` on {calls}. If it fails, open {PORT} from {calls} in the firewall of "
        f"{waits} (site.yml does), and check the interfaces and the network between them."
    )


def _of_configuration(facts: Facts, found: Sequence[Place]) -> Iterator[Finding]:
    if facts.bgp is None or facts.peers is None or len(found) < 2:
        return
    if not facts.has_mesh and not facts.peers:
        fix = "Set nodeToNodeMeshEnabled to true, or create BGPPeers instead."
        found_text = "nodeToNodeMeshEnabled false, and no BGPPeer"
        yield Finding("bgp_has_peers", "error", "BGPConfiguration default", found_text, "sessions between the nodes", fix)
    hidden = [peer.name for peer in facts.peers if not peer.is_derivable]
    if hidden:
        fix = "Compare the sessions that calico_info returns with the intended ones; failed sessions are always reported."
        yield Finding(
            "bgp_peers_are_derivable",
            "warning",
            f"BGPPeer {_listed(hidden)}",
            "selectors",
            "peers by node and address, which can be compared",
            fix,
        )


def _felix_routes(plan: Plan, facts: Facts) -> bool:
    image = facts.daemon_set.image if facts.daemon_set else ""
    release = minor_at_start(image_tag(image))
    return overlay_of(plan.encapsulation or "None") == "IPIP" and release is not None and release >= FELIX_ROUTES_IPIP


def _subject(names: Sequence[str]) -> str:
    return f"node {names[0]}" if len(names) == 1 else f"nodes {_listed(names)}"


def _listed(names: Sequence[str]) -> str:
    if len(names) > NAMES:
        return f"{', '.join(names[:NAMES])} and {len(names) - NAMES} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


# CalicoNodeStatus objects, in which calico-node reports a node's BGP sessions; Calico itself creates none

CLASSES = ("Agent", "BGP", "Routes")
PERIOD = 10  # seconds; the object is written only when something changes


def missing(plan: Plan, facts: Facts) -> list[dict[str, Any]]:
    """Return a CalicoNodeStatus for each Node without one, if BGP is expected. Empty if the existing ones are unknown."""
    if not families(plan) or facts.statuses is None or not facts.status_version:
        return []
    return [
        {
            "apiVersion": facts.status_version,
            "kind": "CalicoNodeStatus",
            # the usual name may be in use for another node
            "metadata": {"name": f"{name}-bgp" if name in facts.status_names else name},
            "spec": {"node": name, "classes": list(CLASSES), "updatePeriodSeconds": PERIOD},
        }
        for name in facts.nodes or ()
        if name not in facts.statuses
    ]


def create(documents: Iterable[dict[str, Any]], creator: Creator, facts: Facts) -> list[str]:
    """Return the nodes whose CalicoNodeStatus was created. If that is forbidden, it is recorded once as unknown."""
    made = []
    for document in documents:
        try:
            if creator.create(document):
                made.append(str(document["spec"]["node"]))
        except Unavailable:
            raise
        except Refusal as refusal:
            facts.unknown.append(refusal)
            break
    return made
