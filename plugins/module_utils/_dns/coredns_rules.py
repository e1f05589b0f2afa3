# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must be true of the cluster's DNS: first what would be in its way, then what it is once it is there."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Callable

from ansible_collections.vmstation.cluster.plugins.module_utils._dns.coredns_state import CoreDnsState
from ansible_collections.vmstation.cluster.plugins.module_utils._dns.model import NAME, NAMESPACE, SERVICE, DnsPlan, Fault
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import Finding, Severity


@dataclass(frozen=True)
class Wanted:
    """corefile: what must be in the ConfigMap; empty when that is not to be judged. sleeping: nodes that are put to sleep."""

    plan: DnsPlan
    corefile: str = ""
    sleeping: frozenset[str] = frozenset()


_SERVICE = f"Service {NAMESPACE}/{SERVICE}"
_KUBELET = f"ConfigMap {NAMESPACE}/kubelet-config"
_DEPLOYMENT = f"Deployment {NAMESPACE}/{NAME}"


def the_dns_service_has_the_planned_addresses(state: CoreDnsState, wanted: Wanted) -> Iterator[Fault]:
    service = state.dns_service
    if service and set(service.addresses) != set(wanted.plan.addresses):
        yield Fault(
            _SERVICE,
            f"clusterIP {' '.join(service.addresses)}",
            f"{' '.join(wanted.plan.addresses)}, the plan's dns_service_ip",
            "The address of a Service cannot be changed, and Pods that run still ask the old one. Write the old address into the plan, or "
            f"delete the Service (`kubectl --namespace {NAMESPACE} delete service {SERVICE}`), run this again, and restart all Pods.",
        )


def no_second_service_is_dns(state: CoreDnsState, _wanted: Wanted) -> Iterator[Fault]:
    for service in state.services:
        if service.name != SERVICE:
            yield Fault(
                f"Service {NAMESPACE}/{service.name}",
                f"a second DNS Service, at {' '.join(service.addresses)}",
                f"{SERVICE} alone",
                "Find out who asks it (a kubelet's clusterDNS, a Pod's dnsConfig), then "
                f"`kubectl --namespace {NAMESPACE} delete service {service.name}`.",
            )


def the_dns_addresses_are_not_taken(state: CoreDnsState, _wanted: Wanted) -> Iterator[Fault]:
    for address, holder in state.holders:
        yield Fault(
            f"network_plan.dns_service_ip {address}",
            f"taken by {holder}",
            f"free for {_SERVICE}",
            "Give that one another address: delete it and create it again without a clusterIP.",
        )


def the_dns_addresses_are_in_ready_service_ranges(state: CoreDnsState, wanted: Wanted) -> Iterator[Fault]:
    if state.ranges is None:
        return
    service = state.dns_service
    for text in wanted.plan.addresses:
        if service and text in service.addresses:
            continue
        address = ip_address(text)
        around = [one for one in state.ranges if any(address in network for network in one.networks)]
        if any(not one.trouble for one in around):
            continue
        known = ", ".join(str(network) for one in state.ranges for network in one.networks)
        yield Fault(
            f"network_plan.dns_service_ip {text}",
            "; ".join(f"ServiceCIDR {one.name} {one.trouble}" for one in around) or f"in none of the service ranges {known}",
            "in a ServiceCIDR that is Ready",
            "Run the role control_plane, which creates it, and look at `kubectl get servicecidrs`.",
        )


def kubelets_are_told_the_dns_addresses(state: CoreDnsState, wanted: Wanted) -> Iterator[Fault]:
    if state.kubelet is None:
        yield Fault(_KUBELET, "no KubeletConfiguration", "the one that nodes are made with", "Run the role control_plane.")
        return
    expected = {"clusterDNS": list(wanted.plan.addresses), "clusterDomain": wanted.plan.domain}
    for name, value in expected.items():
        told = state.kubelet.get(name)
        if told != value and not (name == "clusterDomain" and str(told).rstrip(".") == value):
            yield Fault(
                f"{_KUBELET}, {name}",
                f"{told}",
                f"{value}, from the plan",
                "Run the roles control_plane and worker, which let the kubelets take it up. Pods that run keep the old one.",
            )


def the_dns_service_is_there(state: CoreDnsState, wanted: Wanted) -> Iterator[Fault]:
    if state.dns_service is None:
        yield Fault(_SERVICE, "none", f"one at {' '.join(wanted.plan.addresses)}", "Run the role dns.")


def coredns_is_there(state: CoreDnsState, _wanted: Wanted) -> Iterator[Fault]:
    if not state.has_deployment:
        yield Fault(_DEPLOYMENT, "none", "a Deployment of CoreDNS", "Run the role dns.")


def the_corefile_is_the_wanted_one(state: CoreDnsState, wanted: Wanted) -> Iterator[Fault]:
    if not wanted.corefile or state.corefile == wanted.corefile:
        return
    have, want = (state.corefile or "").splitlines(), wanted.corefile.splitlines()
    differing = next((at for at, (one, other) in enumerate(zip(have, want)) if one != other), min(len(have), len(want)))
    yield Fault(
        f"ConfigMap {NAMESPACE}/{NAME}",
        "no Corefile" if state.corefile is None else f"line {differing + 1}: {_line(have, differing)}",
        _line(want, differing),
        "Run the role dns, which puts it right. To keep the change, write it into dns_corefile.",
    )


def a_replica_is_ready(state: CoreDnsState, _wanted: Wanted) -> Iterator[Fault]:
    if state.has_deployment and not any(one.is_ready for one in state.replicas):
        yield Fault(
            _DEPLOYMENT,
            f"none of {len(state.replicas)} Pods ready",
            "at least one",
            "Ask vmstation.cluster.rollout_check what keeps them.",
        )


def replicas_are_on_different_nodes(state: CoreDnsState, _wanted: Wanted) -> Iterator[Fault]:
    """As far as there are nodes: one that is asleep or cordoned cannot be one of them."""
    ready = [one for one in state.replicas if one.is_ready]
    used = {one.node for one in ready}
    possible = min(len(ready), len(state.nodes | used))
    if len(ready) == state.wanted_replicas and len(used) < possible:
        yield Fault(
            _DEPLOYMENT,
            f"{len(ready)} Pods on {' '.join(sorted(used))}",
            f"on {possible} nodes, of {' '.join(sorted(state.nodes | used))}",
            f"Run the role dns, or `kubectl --namespace {NAMESPACE} rollout restart deployment {NAME}`.",
        )


def a_replica_is_where_nobody_sleeps(state: CoreDnsState, wanted: Wanted) -> Iterator[Fault]:
    used = {one.node for one in state.replicas if one.is_ready}
    awake = state.nodes - wanted.sleeping
    if used and awake and not used & awake and len(state.replicas) == state.wanted_replicas:
        yield Fault(
            _DEPLOYMENT,
            f"Pods on {' '.join(sorted(used))}, which are put to sleep",
            f"one on a node that stays awake: {' '.join(sorted(awake))}",
            f"Run the role dns, or `kubectl --namespace {NAMESPACE} rollout restart deployment {NAME}`.",
        )


@dataclass(frozen=True)
class Rule:
    """of_what_is_deployed: whether it judges CoreDNS itself, and not what it stands on."""

    holds: Callable[[CoreDnsState, Wanted], Iterator[Fault]]
    severity: Severity
    of_what_is_deployed: bool = False


RULES: Mapping[str, Rule] = {
    rule.holds.__name__: rule
    for rule in (
        Rule(the_dns_service_has_the_planned_addresses, "error"),
        Rule(no_second_service_is_dns, "error"),
        Rule(the_dns_addresses_are_not_taken, "error"),
        Rule(the_dns_addresses_are_in_ready_service_ranges, "error"),
        Rule(kubelets_are_told_the_dns_addresses, "error"),
        Rule(the_dns_service_is_there, "error", True),
        Rule(coredns_is_there, "error", True),
        Rule(the_corefile_is_the_wanted_one, "error", True),
        Rule(a_replica_is_ready, "error", True),
        Rule(replicas_are_on_different_nodes, "warning", True),
        Rule(a_replica_is_where_nobody_sleeps, "warning", True),
    )
}


def judge(state: CoreDnsState, wanted: Wanted, deployed: bool, accept: Collection[str] = ()) -> list[Finding]:
    """deployed: False judges only what would be in the way of CoreDNS."""
    return [
        Finding(name, rule.severity, fault.where, fault.found, fault.expected, fault.fix)
        for name, rule in RULES.items()
        if name not in accept and (deployed or not rule.of_what_is_deployed)
        for fault in rule.holds(state, wanted)
    ]


def _line(lines: list[str], at: int) -> str:
    return f"`{lines[at].strip()}`" if at < len(lines) else "its end"
