# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check whether Calico can be installed or changed according to the plan, given the state of the cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Callable, Optional

from .._cluster.api import ClusterReader
from .._findings import Finding, LookedAt, Severity, state_of
from .._network_plan.model import Plan
from .._network_plan.ports import HOSTS_THAT_KEEP_TYPHA, HOSTS_WITHOUT_TYPHA, uses_typha
from .._network_plan.ranges import Pool, meets, pools
from .._versions import minor_at_start
from .documents import (
    API_VERSION,
    DEFAULT_NAMES,
    DEFAULT_USES,
    EVERY_NODE,
    TESTED,
    LivePool,
    leaves_by_nat,
    modes_of,
    overlay_of,
    read_plan,
    read_pools,
    requirements_page,
    standing,
)
from .typha import NAMESPACE, TYPHA

MIGRATE = "https://docs.tigera.io/calico/latest/networking/ipam/migrate-pools"
CHANGE_BLOCK_SIZE = "https://docs.tigera.io/calico/latest/networking/ipam/change-block-size"
# the DaemonSets of other pod networks, by namespace and name
OTHERS: dict[tuple[str, str], str] = {
    ("calico-system", "calico-node"): "Calico of the Tigera operator",
    ("kube-flannel", "kube-flannel-ds"): "Flannel",
    ("kube-system", "kube-flannel-ds"): "Flannel",
    ("kube-system", "canal"): "Canal",
    ("kube-system", "cilium"): "Cilium",
    ("kube-system", "kube-router"): "kube-router",
    ("kube-system", "weave-net"): "Weave Net",
    ("kube-system", "antrea-agent"): "Antrea",
    ("kube-system", "kindnet"): "kindnet",
}


def other_pod_network(daemon_sets: Iterable[tuple[str, str]], annotated: bool) -> str:
    """Return the name of another pod network than Calico; empty without one. annotated: whether a node has an annotation of Flannel."""
    return next((OTHERS[one] for one in daemon_sets if one in OTHERS), "Flannel" if annotated else "")


@dataclass(frozen=True)
class Case:
    """daemon_sets: namespace and name of each. version: the Calico version to apply. hosts: their number; None if nothing is to be applied.

    typha_runs: whether the cluster has Typha.
    """

    plan: Plan
    version: str
    live: tuple[LivePool, ...] = ()
    daemon_sets: tuple[tuple[str, str], ...] = ()
    nat_outgoing: bool = True
    hosts: Optional[int] = None
    typha_runs: bool = False


@dataclass(frozen=True)
class _Violation:
    subject: str
    found: str
    expected: str
    fix: str


def calico_is_tested_with_the_kubernetes_version(case: Case) -> Iterator[_Violation]:
    tested = TESTED.get(minor_at_start(case.version) or (0, 0))
    wanted = case.plan.kubernetes_version
    if wanted is None or (tested and tested[0] <= wanted <= tested[1]):
        return
    page = requirements_page(case.version)
    span = " to ".join(f"{major}.{minor}" for major, minor in tested) if tested else "a version in its requirements"
    fix = f"Read {page}, and set calico_version to a release that is tested with it, or accept an untested combination."
    yield _Violation(f"Calico {case.version}", f"Kubernetes {wanted[0]}.{wanted[1]}", f"Kubernetes {span}", fix)


def no_other_pod_network_is_installed(case: Case) -> Iterator[_Violation]:
    for namespace, name in case.daemon_sets:
        if (namespace, name) in OTHERS:
            what = OTHERS[namespace, name]
            fix = f"Remove {what} as its documentation describes, or do not use the role calico."
            yield _Violation(f"DaemonSet {namespace}/{name}", what, "one pod network in a cluster", fix)


def _pairs(case: Case) -> Iterator[tuple[Pool, LivePool]]:
    for pool in pools(case.plan):
        live = standing(pool, case.live)
        if live is not None:
            yield pool, live


def _subject(live: LivePool) -> str:
    return f"IPPool {live.name}"


def pools_have_the_planned_network(case: Case) -> Iterator[_Violation]:
    """Report pools of other networks that serve pods, or that overlap the planned one."""
    for pool in pools(case.plan):
        if standing(pool, case.live) is not None:
            continue
        for live in case.live:
            same_family = live.cidr is not None and live.cidr.version == pool.cidr.version
            if not same_family or live.cidr is None:
                continue
            if live.serves_pods or meets(live.cidr, pool.cidr) or live.name == DEFAULT_NAMES[pool.cidr.version]:
                fix = f"Set pod_cidr to {live.cidr}, or migrate from one IP pool to another: {MIGRATE}"
                yield _Violation(_subject(live), f"cidr {live.cidr}", f"{pool.cidr}, as in network_plan.pod_cidr", fix)


def pools_have_the_planned_block_size(case: Case) -> Iterator[_Violation]:
    for pool, live in _pairs(case):
        if live.block_size != pool.block_size:
            fix = f"Set block_size to {live.block_size}, or change the IP pool block size with a new pool: {CHANGE_BLOCK_SIZE}"
            yield _Violation(_subject(live), f"blockSize {live.block_size}", f"{pool.block_size}, as in network_plan.block_size", fix)


def pools_have_the_planned_encapsulation(case: Case) -> Iterator[_Violation]:
    for pool, live in _pairs(case):
        if live.overlay != overlay_of(pool.encapsulation):
            fix = f"Set encapsulation to {live.overlay}, or migrate from one IP pool to another that has it: {MIGRATE}"
            yield _Violation(
                _subject(live),
                f"ipipMode {live.ipip}, vxlanMode {live.vxlan}",
                f"encapsulation {pool.encapsulation}, as in network_plan",
                fix,
            )


def pools_serve_pods_of_every_node(case: Case) -> Iterator[_Violation]:
    for _pool, live in _pairs(case):
        for found, wanted, name in (
            (live.disabled, False, "disabled"),
            (live.node_selector, EVERY_NODE, "nodeSelector"),
            (tuple(sorted(live.allowed_uses)), tuple(sorted(DEFAULT_USES)), "allowedUses"),
            (live.assignment, "Automatic", "assignmentMode"),
        ):
            if found != wanted:
                fix = f"Finish what it was changed for, or undo it: `kubectl edit ippools.crd.projectcalico.org {live.name}`."
                yield _Violation(_subject(live), f"{name} {_shown(found)}", f"{name} {_shown(wanted)}", fix)


def pools_are_planned(case: Case) -> Iterator[_Violation]:
    """Report unplanned pools: the firewalls do not trust their addresses."""
    planned = pools(case.plan)
    known = {live.name for _pool, live in _pairs(case)}
    for live in case.live:
        if live.serves_pods and live.name not in known and live.cidr is not None:
            if any(live.cidr.version == pool.cidr.version and standing(pool, case.live) is None for pool in planned):
                continue  # pools_have_the_planned_network reports it
            fix = f"Disable it (`kubectl edit ippools.crd.projectcalico.org {live.name}`), or add its network to network_plan.pod_cidr."
            yield _Violation(_subject(live), f"cidr {live.cidr}, in use", "pods with addresses of network_plan.pod_cidr only", fix)


def pools_have_the_planned_scope(case: Case) -> Iterator[_Violation]:
    for pool, live in _pairs(case):
        wanted = next((mode for mode in modes_of(pool.encapsulation) if mode != "Never"), "Never")
        if live.overlay == overlay_of(pool.encapsulation) and live.scope != wanted:
            fix = "It is changed in place: packets still pass between all nodes, connections may break once."
            yield _Violation(_subject(live), f"{live.overlay} {live.scope}", f"{wanted}, as in network_plan.encapsulation", fix)


def pools_have_the_planned_nat(case: Case) -> Iterator[_Violation]:
    for pool, live in _pairs(case):
        wanted = leaves_by_nat(pool.cidr, case.nat_outgoing)
        if live.nat_outgoing != wanted:
            fix = "It is changed in place. Set calico_nat_outgoing if that is not what you want."
            yield _Violation(_subject(live), f"natOutgoing {_shown(live.nat_outgoing)}", f"natOutgoing {_shown(wanted)}", fix)


def typha_follows_the_plan(case: Case) -> Iterator[_Violation]:
    """Report a Typha that is removed, or that is kept although the cluster would not get it."""
    word = case.plan.typha
    if case.hosts is None or not case.typha_runs or word == "present":
        return
    subject, found = f"Deployment {NAMESPACE}/{TYPHA}", f"Typha, for {case.hosts} hosts"
    if not uses_typha(case.plan, case.hosts, runs=True):
        expected = f"none, as network_plan.typha is {word}" + (
            f", and there are {HOSTS_THAT_KEEP_TYPHA} hosts or fewer" if word == "auto" else ""
        )
        fix = "It is removed as soon as calico-node runs without it on every node that is awake."
        yield _Violation(subject, found, expected, f"{fix} Set typha: present in the network plan to keep it.")
    elif case.hosts <= HOSTS_WITHOUT_TYPHA:
        fix = f"It is kept down to {HOSTS_THAT_KEEP_TYPHA + 1} hosts. To remove it now, set typha: absent in the network plan."
        yield _Violation(subject, found, f"more than {HOSTS_WITHOUT_TYPHA} hosts", fix)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(value) if isinstance(value, tuple) else str(value)


RULES: tuple[tuple[Callable[[Case], Iterator[_Violation]], Severity], ...] = (
    (no_other_pod_network_is_installed, "error"),
    (pools_have_the_planned_network, "error"),
    (pools_have_the_planned_block_size, "error"),
    (pools_have_the_planned_encapsulation, "error"),
    (pools_serve_pods_of_every_node, "error"),
    (pools_are_planned, "warning"),
    (calico_is_tested_with_the_kubernetes_version, "warning"),
    (pools_have_the_planned_scope, "info"),
    (pools_have_the_planned_nat, "info"),
    (typha_follows_the_plan, "info"),
)


def judge(case: Case) -> list[Finding]:
    """Return every rule's findings, errors first."""
    return [
        Finding(rule.__name__, severity, one.subject, one.found, one.expected, one.fix) for rule, severity in RULES for one in rule(case)
    ]


def looked_at(case: Case, found: Iterable[Finding]) -> list[LookedAt]:
    return [LookedAt("Calico", f"release {case.version}; {len(case.live)} IPPools in the cluster", state_of(found))]


def look(params: Mapping[str, Any], reader: ClusterReader, typha_runs: bool = False) -> Case:
    """Read what the rules check, in two list calls."""
    manifest = params.get("manifest")
    plan = read_plan(params["plan"], "calico_preflight_check")
    live = read_pools(list(reader.items(API_VERSION, "IPPool"))) if reader.serves(API_VERSION, "IPPool") else ()
    names = tuple((one["metadata"]["namespace"], one["metadata"]["name"]) for one in reader.items("apps/v1", "DaemonSet"))
    hosts = len(manifest.get("hosts") or ()) if manifest else None
    return Case(plan, params["version"].removeprefix("v"), live, names, params["nat_outgoing"], hosts, typha_runs)
