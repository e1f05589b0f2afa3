# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster's DNS objects: their state from the API server, and rules for them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address, ip_network
from typing import Any, Callable, Optional

from .._cluster.api import ClusterReader
from .._conditions import condition, is_true
from .._findings import Finding, LookedAt, Severity, state_of
from .._rollout.pods import standing
from .model import NAME, NAMESPACE, PORT, SERVICE, DnsPlan, Fault, Network

# State of the cluster's DNS, read in a constant number of requests

Object = dict[str, Any]

LABEL, LABEL_VALUE = "k8s-app", "kube-dns"
# the role's, as in roles/dns/vars/main.yml
FIELD_MANAGER = "vmstation.cluster"
NETWORKING = "networking.k8s.io/v1"
TOLERATED_TAINTS = frozenset({"node-role.kubernetes.io/control-plane", "CriticalAddonsOnly"})


@dataclass(frozen=True)
class Service:
    """A Service of kube-system for DNS, by its name or its Pods."""

    name: str
    addresses: tuple[str, ...]
    selector: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ServiceRange:
    """A ServiceCIDR. trouble: why it assigns no addresses; empty if it is ready."""

    name: str
    networks: tuple[Network, ...]
    trouble: str = ""


@dataclass(frozen=True)
class Replica:
    """A Pod of CoreDNS that is not terminating."""

    name: str
    node: str
    is_ready: bool
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CoreDnsState:
    """The state of CoreDNS.

    ranges: None if the API server has no ServiceCIDR. holders: objects that use the planned addresses.
    kubelet: the KubeletConfiguration for new nodes; None without one. nodes: those that accept a Pod of CoreDNS now.
    policies: the NetworkPolicies of kube-system. service_name: of the DNS Service. is_foreign: the role dns applied none of it.
    """

    services: tuple[Service, ...] = ()
    service_name: str = SERVICE
    is_foreign: bool = False
    ranges: Optional[tuple[ServiceRange, ...]] = None
    holders: tuple[tuple[str, str], ...] = ()
    kubelet: Optional[Mapping[str, Any]] = None
    has_deployment: bool = False
    corefile: Optional[str] = None
    replicas: tuple[Replica, ...] = ()
    wanted_replicas: int = 0
    is_rolled_out: bool = False
    nodes: frozenset[str] = frozenset()
    policies: tuple[Object, ...] = ()

    @property
    def dns_service(self) -> Optional[Service]:
        return next((one for one in self.services if one.name == self.service_name), None)

    @property
    def subject(self) -> str:
        """The DNS Service, as findings name it."""
        return f"Service {NAMESPACE}/{self.service_name}"

    @property
    def is_deployed(self) -> bool:
        return self.dns_service is not None and self.has_deployment


def as_installed(state: CoreDnsState, plan: DnsPlan) -> CoreDnsState:
    """Return the state with the DNS Service of an installer that calls it differently, such as kubespray's `coredns`.

    Where the role dns installed CoreDNS, only a Service at the planned address takes the place of a missing one.
    """
    if state.dns_service is not None:
        return state
    planned = [one.name for one in state.services if set(one.addresses) == set(plan.addresses)]
    others = [one.name for one in state.services] if state.is_foreign else []
    return replace(state, service_name=next(iter([*planned, *others]), state.service_name))


def look(plan: DnsPlan, cluster: ClusterReader, read_yaml: Callable[[str], object]) -> CoreDnsState:
    deployment = cluster.get("apps/v1", "Deployment", NAME, NAMESPACE)
    configuration = cluster.get("v1", "ConfigMap", NAME, NAMESPACE)
    services = [one for one in cluster.items("v1", "Service", NAMESPACE) if is_dns(one)]
    return CoreDnsState(
        services=tuple(map(service_of, services)),
        is_foreign=is_foreign(one for one in (deployment, configuration, *services) if one),
        ranges=_ranges(cluster),
        holders=_holders(plan, cluster),
        kubelet=_kubelet(cluster, read_yaml),
        has_deployment=deployment is not None,
        corefile=((configuration or {}).get("data") or {}).get("Corefile"),
        replicas=tuple(
            _replica(one)
            for one in cluster.items("v1", "Pod", NAMESPACE, f"{LABEL}={LABEL_VALUE}")
            if not one["metadata"].get("deletionTimestamp")
        ),
        wanted_replicas=int(deployment["spec"].get("replicas", 1)) if deployment else 0,
        is_rolled_out=standing("Deployment", deployment, None).is_rolled_out,
        nodes=frozenset(one["metadata"]["name"] for one in cluster.items("v1", "Node") if _takes_pods(one, TOLERATED_TAINTS)),
        policies=tuple(cluster.items(NETWORKING, "NetworkPolicy", NAMESPACE)) if deployment else (),
    )


def is_foreign(objects: Iterable[Object]) -> bool:
    """Return whether the role dns applied none of these objects."""
    return not any(entry.get("manager") == FIELD_MANAGER for one in objects for entry in one["metadata"].get("managedFields") or ())


def is_dns(service: Object) -> bool:
    """Return whether it is the DNS Service, leads to its Pods, or is labelled as if it did."""
    metadata, spec = service["metadata"], service["spec"]
    if metadata["name"] == SERVICE:
        return True
    # no client can ask a headless Service for names; kube-prometheus-stack makes one for the metrics of CoreDNS
    signs = (metadata.get("labels") or {}, spec.get("selector") or {})
    return spec.get("clusterIP") != "None" and any(sign.get(LABEL) == LABEL_VALUE for sign in signs)


def service_of(service: Object) -> Service:
    spec = service["spec"]
    return Service(service["metadata"]["name"], tuple(spec.get("clusterIPs") or [spec.get("clusterIP", "")]), spec.get("selector") or {})


def _ranges(cluster: ClusterReader) -> Optional[tuple[ServiceRange, ...]]:
    if not cluster.serves(NETWORKING, "ServiceCIDR"):
        return None
    return tuple(_range(one) for one in cluster.items(NETWORKING, "ServiceCIDR"))


def _range(service_cidr: Object) -> ServiceRange:
    trouble = "" if is_true(service_cidr, "Ready") else str(condition(service_cidr, "Ready").get("message") or "not ready yet")
    if service_cidr["metadata"].get("deletionTimestamp"):
        trouble = "being deleted"
    return ServiceRange(service_cidr["metadata"]["name"], tuple(ip_network(one) for one in service_cidr["spec"]["cidrs"]), trouble)


def _holders(plan: DnsPlan, cluster: ClusterReader) -> tuple[tuple[str, str], ...]:
    if not cluster.serves(NETWORKING, "IPAddress"):
        return ()
    found = []
    for address in plan.addresses:
        parent = ((cluster.get(NETWORKING, "IPAddress", address) or {}).get("spec") or {}).get("parentRef") or {}
        if parent:
            found.append((address, f"{parent.get('resource', '')} {parent.get('namespace', '')}/{parent.get('name', '')}"))
    return tuple(found)


def _kubelet(cluster: ClusterReader, read_yaml: Callable[[str], object]) -> Optional[Mapping[str, Any]]:
    data = (cluster.get("v1", "ConfigMap", "kubelet-config", NAMESPACE) or {}).get("data") or {}
    decoded = read_yaml(data.get("kubelet", ""))
    return decoded if isinstance(decoded, Mapping) else None


def _replica(pod: Object) -> Replica:
    metadata = pod["metadata"]
    return Replica(metadata["name"], str(pod["spec"].get("nodeName") or ""), is_true(pod, "Ready"), metadata.get("labels") or {})


def _takes_pods(node: Object, tolerated: Collection[str]) -> bool:
    taints = [one for one in node["spec"].get("taints") or () if one.get("effect") != "PreferNoSchedule"]
    return is_true(node, "Ready") and not node["spec"].get("unschedulable") and all(one["key"] in tolerated for one in taints)


# Rules for the cluster's DNS: first the conditions for its installation, then the installed CoreDNS


@dataclass(frozen=True)
class Wanted:
    """corefile: expected in the ConfigMap; empty: not checked. sleeping: nodes that may be put to sleep."""

    plan: DnsPlan
    corefile: str = ""
    sleeping: frozenset[str] = frozenset()


_KUBELET = f"ConfigMap {NAMESPACE}/kubelet-config"
_DEPLOYMENT = f"Deployment {NAMESPACE}/{NAME}"


def the_dns_service_has_the_planned_addresses(state: CoreDnsState, wanted: Wanted) -> Iterator[Fault]:
    service = state.dns_service
    if service and set(service.addresses) != set(wanted.plan.addresses):
        yield Fault(
            state.subject,
            f"clusterIP {' '.join(service.addresses)}",
            f"{' '.join(wanted.plan.addresses)}, the plan's dns_service_ip",
            "The address of a Service cannot be changed, and running Pods still use the old one. Set the old address in the plan, or "
            f"delete the Service (`kubectl --namespace {NAMESPACE} delete service {service.name}`), run this again, and restart all Pods.",
        )


def no_second_service_is_dns(state: CoreDnsState, _wanted: Wanted) -> Iterator[Fault]:
    for service in state.services:
        if service.name != state.service_name:
            yield Fault(
                f"Service {NAMESPACE}/{service.name}",
                f"a second DNS Service, at {' '.join(service.addresses)}",
                f"only {state.service_name}",
                "Find out what uses it (a kubelet's clusterDNS, a Pod's dnsConfig), then "
                f"`kubectl --namespace {NAMESPACE} delete service {service.name}`.",
            )


def the_dns_addresses_are_not_taken(state: CoreDnsState, _wanted: Wanted) -> Iterator[Fault]:
    for address, holder in state.holders:
        if holder == f"services {NAMESPACE}/{state.service_name}":
            continue
        yield Fault(
            f"network_plan.dns_service_ip {address}",
            f"used by {holder}",
            f"free for {state.subject}",
            "Give that Service another address: delete it and create it again without a clusterIP.",
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
            "Run the role control_plane, which creates it, and check `kubectl get servicecidrs`.",
        )


def kubelets_are_told_the_dns_addresses(state: CoreDnsState, wanted: Wanted) -> Iterator[Fault]:
    if state.kubelet is None:
        yield Fault(_KUBELET, "no KubeletConfiguration", "the KubeletConfiguration for new nodes", "Run the role control_plane.")
        return
    expected = {"clusterDNS": list(wanted.plan.addresses), "clusterDomain": wanted.plan.domain}
    for name, value in expected.items():
        found = state.kubelet.get(name)
        if found != value and not (name == "clusterDomain" and str(found).rstrip(".") == value):
            yield Fault(
                f"{_KUBELET}, {name}",
                f"{found}",
                f"{value}, from the plan",
                "Run the roles control_plane and worker, which apply it to the kubelets. Running Pods keep the old one.",
            )


def the_dns_service_is_there(state: CoreDnsState, wanted: Wanted) -> Iterator[Fault]:
    if state.dns_service is None:
        yield Fault(state.subject, "none", f"a Service at {' '.join(wanted.plan.addresses)}", "Run the role dns.")


def coredns_is_there(state: CoreDnsState, _wanted: Wanted) -> Iterator[Fault]:
    # other installers have other names for it, and the same label of its Pods
    if not state.has_deployment and not _is_of_others(state):
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
        "Run the role dns, which restores it. To keep the change, set it in dns_corefile.",
    )


def the_dns_service_selects_coredns(state: CoreDnsState, _wanted: Wanted) -> Iterator[Fault]:
    selector = state.dns_service.selector if state.dns_service else {}
    if selector and state.replicas and not any(selector.items() <= one.labels.items() for one in state.replicas):
        patch = f'[{{"op":"replace","path":"/spec/selector","value":{{"{LABEL}":"{LABEL_VALUE}"}}}}]'
        yield Fault(
            state.subject,
            f"selector {','.join(f'{key}={value}' for key, value in sorted(selector.items()))}, which no Pod of CoreDNS has",
            f"selector {LABEL}={LABEL_VALUE}",
            f"`kubectl --namespace {NAMESPACE} patch service {state.service_name} --type=json --patch='{patch}'`",
        )


def policies_let_queries_in(state: CoreDnsState, _wanted: Wanted) -> Iterator[Fault]:
    """Check that no NetworkPolicy isolates CoreDNS. One that lets some sources in is not checked: they may be all that there are."""
    labels = state.replicas[0].labels if state.replicas else {}
    selecting = [one for one in state.policies if _isolates(one["spec"], labels)]
    rules = [rule for one in selecting for rule in one["spec"].get("ingress") or ()]
    shut = [f"{PORT}/{protocol}" for protocol in ("UDP", "TCP") if not any(_opens(rule, protocol) for rule in rules)]
    if selecting and shut:
        names = [one["metadata"]["name"] for one in selecting]
        yield Fault(
            f"NetworkPolicy {NAMESPACE}/{', '.join(names)}",
            f"no rule lets {' and '.join(shut)} in to the Pods of CoreDNS",
            "DNS for all Pods and hosts",
            f"Add these ports to its ingress rules, or `kubectl --namespace {NAMESPACE} delete networkpolicy {' '.join(names)}`.",
        )


def _isolates(spec: Object, labels: Mapping[str, str]) -> bool:
    """Return whether a policy's ingress rules apply to a Pod with these labels."""
    selector = spec.get("podSelector") or {}
    holds: dict[str, Callable[[str, Collection[str]], bool]] = {
        "In": lambda key, values: labels.get(key) in values,
        "NotIn": lambda key, values: labels.get(key) not in values,
        "Exists": lambda key, _values: key in labels,
        "DoesNotExist": lambda key, _values: key not in labels,
    }
    return (
        "Ingress" in (spec.get("policyTypes") or ["Ingress"])
        and (selector.get("matchLabels") or {}).items() <= labels.items()
        and all(holds[one["operator"]](one["key"], one.get("values") or ()) for one in selector.get("matchExpressions") or ())
    )


def _opens(rule: Object, protocol: str) -> bool:
    ports = rule.get("ports")
    return not ports or any(
        one.get("protocol", "TCP") == protocol
        and (isinstance(one.get("port", PORT), str) or one.get("port", PORT) <= PORT <= one.get("endPort", one.get("port", PORT)))
        for one in ports
    )


def a_replica_is_ready(state: CoreDnsState, _wanted: Wanted) -> Iterator[Fault]:
    if (state.has_deployment or _is_of_others(state)) and not any(one.is_ready for one in state.replicas):
        yield Fault(
            _DEPLOYMENT,
            f"none of {len(state.replicas)} Pods ready",
            "at least one",
            "Run vmstation.cluster.rollout_check, which reports why.",
        )


def replicas_are_on_different_nodes(state: CoreDnsState, _wanted: Wanted) -> Iterator[Fault]:
    """Check only the available nodes: sleeping and cordoned ones do not count."""
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
            f"Pods on {' '.join(sorted(used))}, which may be put to sleep",
            f"a Pod on a node that never sleeps: {' '.join(sorted(awake))}",
            f"Run the role dns, or `kubectl --namespace {NAMESPACE} rollout restart deployment {NAME}`.",
        )


@dataclass(frozen=True)
class Rule:
    """of_what_is_deployed: whether it checks CoreDNS itself, not the conditions for its installation.

    of_the_role: whether it checks what the roles of this collection set, and installers of other clusters set otherwise.
    """

    holds: Callable[[CoreDnsState, Wanted], Iterator[Fault]]
    severity: Severity
    of_what_is_deployed: bool = False
    of_the_role: bool = False


RULES: Mapping[str, Rule] = {
    rule.holds.__name__: rule
    for rule in (
        Rule(the_dns_service_has_the_planned_addresses, "error"),
        Rule(no_second_service_is_dns, "error"),
        Rule(the_dns_addresses_are_not_taken, "error"),
        Rule(the_dns_addresses_are_in_ready_service_ranges, "error"),
        Rule(kubelets_are_told_the_dns_addresses, "error", of_the_role=True),
        Rule(the_dns_service_is_there, "error", True),
        Rule(coredns_is_there, "error", True),
        Rule(the_corefile_is_the_wanted_one, "error", True, of_the_role=True),
        Rule(the_dns_service_selects_coredns, "error", True),
        Rule(policies_let_queries_in, "error", True),
        Rule(a_replica_is_ready, "error", True),
        Rule(replicas_are_on_different_nodes, "warning", True, of_the_role=True),
        Rule(a_replica_is_where_nobody_sleeps, "warning", True),
    )
}


def judge(state: CoreDnsState, wanted: Wanted, deployed: bool, accept: Collection[str] = ()) -> list[Finding]:
    """Return all findings. deployed: False checks only the conditions for the installation of CoreDNS by the role dns."""
    if deployed:
        state = as_installed(state, wanted.plan)
    return [
        Finding(name, rule.severity, fault.where, fault.found, fault.expected, fault.fix)
        for name, rule in RULES.items()
        if name not in accept and (not (rule.of_the_role and _is_of_others(state)) if deployed else not rule.of_what_is_deployed)
        for fault in rule.holds(state, wanted)
    ]


def _is_of_others(state: CoreDnsState) -> bool:
    """Return whether another installer deployed CoreDNS."""
    return state.is_foreign and bool(state.replicas)


def looked_at(state: CoreDnsState, findings: Collection[Finding]) -> list[LookedAt]:
    ready = [one for one in state.replicas if one.is_ready]
    nodes = ", ".join(sorted({one.node for one in ready if one.node}))
    facts = f"{len(ready)} Pods of CoreDNS ready{f' on {nodes}' if nodes else ''}"
    if _is_of_others(state):
        facts += "; not installed by the role dns, so its Corefile and the kubelets' configuration are not compared"
    verdict = state_of(findings)
    return [LookedAt("cluster DNS", f"at the planned address; {facts}" if verdict == "ok" else facts, verdict)]


def _line(lines: list[str], at: int) -> str:
    return f"`{lines[at].strip()}`" if at < len(lines) else "its end"
