# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judges the BGP sessions between the nodes, and names both ends of one that is down."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ansible_collections.vmstation.cluster.plugins.module_utils._calico.facts import Facts, Node
from ansible_collections.vmstation.cluster.plugins.module_utils._calico.mesh import (
    UNCONFIGURED,
    Doubt,
    Down,
    Mesh,
    Sessions,
    doubt,
    families,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._calico.node_rules import Place
from ansible_collections.vmstation.cluster.plugins.module_utils._calico.pools import overlay_of
from ansible_collections.vmstation.cluster.plugins.module_utils._calico.releases import minor_of
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import Finding
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.model import Plan

PORT = "179/tcp"
# https://docs.tigera.io/calico/latest/reference/resources/caliconodestatus; before these there is no TCP connection
AFTER_CONNECTING = ("OpenSent", "OpenConfirm")
# from this release on, Felix sets the routes of IP-in-IP
FELIX_ROUTES_IPIP = (3, 33)
NAMES = 8  # of many nodes, in one line

Pairs = dict[frozenset[str], list[Down]]


@dataclass
class Outcome:
    """verdicts: `ok`, `error`, `unknown`, `asleep` or `not_expected` for each node. sessions: of those whose report counts."""

    findings: list[Finding] = field(default_factory=list)
    verdicts: dict[str, str] = field(default_factory=dict)
    sessions: dict[str, Sessions] = field(default_factory=dict)


def judge(plan: Plan, facts: Facts, found: Sequence[Place], ill: Iterable[str], made: Iterable[str] = ()) -> Outcome:
    """ill: nodes with findings that explain why a session is down. made: nodes whose CalicoNodeStatus was made just now."""
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
            fresh = Doubt("a CalicoNodeStatus that was made just now", "Look again a minute later.")
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
            Finding("bgp_sessions_are_known", "warning", _subject(names), reason.found, "one that is written now", reason.fix)
        )
    outcome.findings += _of_configuration(facts, found)
    return outcome


def _bird_is_ready(node: Node, facts: Facts, versions: Iterable[int]) -> Iterator[Finding]:
    """BIRD for IPv6 is never ready on a node without IPv6, and so the other way round."""
    for version in versions:
        state = (facts.statuses or {})[node.name].bird[version]
        if version in node.addresses and state not in {"", "Ready"}:
            fix = f"Read the log of calico-node on {node.name}: BIRD refuses its configuration, or another BGP daemon has {PORT} there."
            yield Finding("bird_is_ready", "error", f"node {node.name}", f"BIRD for IPv{version}: {state}", "Ready", fix)


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
    for subject, downs, fix in _blamed(pairs, outcome.sessions, facts):
        found = "; ".join(map(str, downs[:NAMES])) + (f"; {len(downs) - NAMES} more" if len(downs) > NAMES else "")
        outcome.findings.append(
            Finding("bgp_sessions_are_established", "error", subject, found, "an established BGP session", f"{fix}{after}")
        )
    for pair, downs in sorted(contradicted.items(), key=lambda one: sorted(one[0])):
        found = f"{'; '.join(map(str, downs))}; the other end says Established"
        fix = "Look again a minute later; if it stays, read why one of them no longer writes its CalicoNodeStatus in its calico-node's log."
        outcome.findings.append(Finding("bgp_ends_agree", "warning", _subject(sorted(pair)), found, "both ends saying the same", fix))


def _is_up(down: Down, facts: Facts) -> bool:
    """Whether the other end reports the session as established."""
    mine = (facts.nodes or {})[down.reporter].addresses.values()
    return any(address in (facts.statuses or {})[down.peer].established for address in mine)


def _blamed(pairs: Pairs, sessions: Mapping[str, Sessions], facts: Facts) -> Iterator[tuple[str, list[Down], str]]:
    """Subject, reports and next step: of the whole mesh, of a node that has no session at all, and of each pair that is left."""
    left = dict(pairs)
    degrees: dict[str, int] = {}
    for pair in left:
        for name in pair:
            degrees[name] = degrees.get(name, 0) + 1
    alone = [name for name, degree in degrees.items() if degree > 1 and (name not in sessions or not sessions[name].established)]
    if len(alone) > 2 and len(alone) == len(degrees):
        fix = f"Look at what holds for all of them: the firewalls, where site.yml opens {PORT} to the nodes, and the switch between them."
        yield "BGP mesh", [down for downs in left.values() for down in downs], fix
        return
    for name in sorted(alone, key=lambda one: (-degrees[one], one)):
        mine = [pair for pair in left if name in pair]
        if len(mine) > 1:
            peers = sorted({peer for pair in mine for peer in pair} - {name})
            downs = [down for pair in mine for down in left.pop(pair)]
            yield f"node {name}", downs, _look_at_node(name, peers, downs)
    for pair, downs in sorted(left.items(), key=lambda one: sorted(one[0])):
        yield _subject(sorted(pair)), downs, _look_at_pair(pair, downs, facts)


def _look_at_node(name: str, peers: Sequence[str], downs: Sequence[Down]) -> str:
    if any(down.state in AFTER_CONNECTING for down in downs):
        return _AGREE.format(ends=_listed([name, *peers]))
    return (
        f"Look at {name} first, the end that all of these share: does its firewall let {PORT} pass to and from {_listed(peers)} "
        "(site.yml opens it), and is its address that of the right interface?"
    )


_AGREE = "They connect, and do not agree: compare the AS numbers (BGPConfiguration, the nodes' annotations) and passwords of {ends}."


def _look_at_pair(pair: Iterable[str], downs: Sequence[Down], facts: Facts) -> str:
    ends = sorted(pair)
    if any(down.state in AFTER_CONNECTING for down in downs):
        return _AGREE.format(ends=" and ".join(ends))
    nodes = facts.nodes or {}
    if all(down.state == UNCONFIGURED for down in downs):
        return f"BIRD on {downs[0].reporter} was never told of {downs[0].peer}: restart calico-node's Pod there, and read its log."
    if not all(end in nodes for end in ends):
        return f"Look whether the firewall of {downs[0].reporter} and that of {downs[0].peer} let {PORT} pass, and whether both are on."
    # Calico has the end whose address comes first as a text wait for the other
    waits, calls = sorted(ends, key=lambda end: next(iter(nodes[end].addresses.values()), ""))
    address = next(iter(nodes[waits].addresses.values()), waits)
    return (
        f"{calls} connects to {waits}: try `nc -vz {address} 179` on {calls}. If it fails, open {PORT} from {calls} in the firewall of "
        f"{waits} (site.yml does), and look at the interfaces and the way between both."
    )


def _of_configuration(facts: Facts, found: Sequence[Place]) -> Iterator[Finding]:
    if facts.bgp is None or facts.peers is None or len(found) < 2:
        return
    if not facts.has_mesh and not facts.peers:
        fix = "Set nodeToNodeMeshEnabled to true, or make the BGPPeers that take its place."
        found_text = "nodeToNodeMeshEnabled false, and no BGPPeer"
        yield Finding("bgp_has_peers", "error", "BGPConfiguration default", found_text, "sessions between the nodes", fix)
    hidden = [peer.name for peer in facts.peers if not peer.is_derivable]
    if hidden:
        fix = "Compare the sessions that calico_info returns with what you mean these to be; sessions that fail are told of in any case."
        yield Finding(
            "bgp_peers_are_derivable",
            "warning",
            f"BGPPeer {_listed(hidden)}",
            "selectors",
            "peers by node and address, to compare with",
            fix,
        )


def _felix_routes(plan: Plan, facts: Facts) -> bool:
    image = facts.daemon_set.image if facts.daemon_set else ""
    release = minor_of(image.rpartition(":")[2])
    return overlay_of(plan.encapsulation or "None") == "IPIP" and release is not None and release >= FELIX_ROUTES_IPIP


def _subject(names: Sequence[str]) -> str:
    return f"node {names[0]}" if len(names) == 1 else f"nodes {_listed(names)}"


def _listed(names: Sequence[str]) -> str:
    if len(names) > NAMES:
        return f"{', '.join(names[:NAMES])} and {len(names) - NAMES} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
