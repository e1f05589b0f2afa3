# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares the live cluster with the plan, part by part."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Optional

from .._calico.documents import LivePool, leaves_by_nat, modes_of, standing
from .._cluster.nodes import IN_INVENTORY, how_to_leave
from .._dns import coredns
from .._dns.coredns import CoreDnsState
from .._dns.corefile import Unreadable, parse, the_cluster_domain_is_served
from .._dns.model import NAME, SERVICE, Fault
from .._findings import Finding, LookedAt, Severity, state_of
from .._kubeadm.configuration import EXTEND_TOKENS, KUBE_PROXY_MODES
from .._kubeadm.control_plane import BEING_DELETED, DEFAULT_NAME, judge_ranges, ranges_manifest
from .._network_plan.ranges import Pool, pools
from .._refusal import Refusal
from .._versions import OLDEST_KUBELET, minor_at_start
from .model import KUBE_SYSTEM, NOTHING, UNKNOWN, Comparison, Host, Object, Point, Seen, Sight, Wanted, at, phase_of_kubeadm

# kubeadm-config, the flags of the control plane's programs, and its version.

# what a running cluster keeps
FOR_GOOD = "It cannot be changed in a running cluster: set this value in network_plan, or recreate the cluster (reset.yml, then site.yml)."

_CONFIG_MAP = f"ConfigMap {KUBE_SYSTEM}/kubeadm-config"
_CONFIGURED, _FLAGS = "kubeadm_config_is_the_plans", "control_plane_flags_are_the_plans"
_API_SERVER, _MANAGER = "kube-apiserver", "kube-controller-manager"
_NODE_PORTS, _SERVICES, _NODE_CIDRS = "service-node-port-range", "service-cluster-ip-range", "allocate-node-cidrs"
_NETWORKS = {"networking.podSubnet": "pod_cidr", "networking.serviceSubnet": "service_cidr", "networking.dnsDomain": "dns_domain"}
_UPLOAD = f"Run on the control plane: {phase_of_kubeadm('upload-config', 'kubeadm')}."
_AGAIN = {
    component: f"Run on the control plane: {phase_of_kubeadm('control-plane', component.replace('kube-', ''))}."
    for component in (_API_SERVER, _MANAGER)
}
# https://kubernetes.io/docs/reference/command-line-tools-reference/
_DEFAULTS = {_NODE_PORTS: "30000-32767", _NODE_CIDRS: "false", "node-cidr-mask-size": "24", EXTEND_TOKENS: "true"}


def of_version(wanted: Wanted, seen: Sight) -> Iterator[Comparison]:
    fix = "Upgrade the cluster to it, one minor version at a time (upgrade.yml), or correct network_plan.kubernetes_version."
    point = Point("the_control_plane_has_the_planned_version", "API server", "/version", fix)
    yield _version(point, wanted, seen.server_version)


def of_kubeadm_config(wanted: Wanted, seen: Sight) -> Iterator[Comparison]:
    live = seen.cluster_configuration
    for path, name in _NETWORKS.items():
        fix = (
            "The next upgrade applies it to the control plane. If the flags of the API server and the controller manager match the plan, "
            f"correct it with `kubectl --namespace {KUBE_SYSTEM} edit configmap kubeadm-config`. Otherwise the cluster has another "
            f"{name}. {FOR_GOOD}"
        )
        yield Point(_CONFIGURED, _CONFIG_MAP, path, fix).compare(at(wanted.cluster, path), _of(live, path))
    node_ports = live if isinstance(live, Refusal) else _argument(at(live, "apiServer.extraArgs"), _NODE_PORTS)
    point = Point(_CONFIGURED, _CONFIG_MAP, f"apiServer.extraArgs {_NODE_PORTS}", _UPLOAD)
    yield point.compare(wanted.plan.node_port_range, node_ports)
    yield _version(Point(_CONFIGURED, _CONFIG_MAP, "kubernetesVersion", _UPLOAD), wanted, _of(live, "kubernetesVersion"))


def of_flags(wanted: Wanted, seen: Sight) -> Iterator[Comparison]:
    services, pods = at(wanted.cluster, "networking.serviceSubnet"), at(wanted.cluster, "networking.podSubnet")
    for name, words in _pods(seen, _API_SERVER):
        yield _point(name, _SERVICES, FOR_GOOD).compare(services, _flag(words, _SERVICES))
        yield _point(name, _NODE_PORTS, _AGAIN[_API_SERVER]).compare(wanted.plan.node_port_range, _flag(words, _NODE_PORTS))
        fix = f"A token that another host has got is accepted for a year. {_AGAIN[_API_SERVER]}"
        tokens = _argument(at(wanted.cluster, "apiServer.extraArgs"), EXTEND_TOKENS)
        # the role control_plane sets it, other installers leave the default
        if isinstance(seen.cluster_configuration, Refusal) or EXTEND_TOKENS in str(at(seen.cluster_configuration, "apiServer")):
            yield _point(name, EXTEND_TOKENS, fix, "warning").compare(tokens, _flag(words, EXTEND_TOKENS))
    for name, words in _pods(seen, _MANAGER):
        yield _point(name, _SERVICES, _AGAIN[_MANAGER]).compare(services, _flag(words, _SERVICES))
        yield _point(name, "cluster-cidr", _AGAIN[_MANAGER]).compare(pods, _flag(words, "cluster-cidr"))
        # other pod networks need node CIDRs
        yield from _of_node_cidrs(wanted, name, words) if seen.has_calico else ()


def _of_node_cidrs(wanted: Wanted, pod: str, words: Seen[Sequence[str]]) -> Iterator[Comparison]:
    """With more nodes than ranges for them, some nodes get none."""
    planned, live = _argument(at(wanted.cluster, "controllerManager.extraArgs"), _NODE_CIDRS), _flag(words, _NODE_CIDRS)
    fix = f"Calico needs no node CIDRs. {_AGAIN[_MANAGER]}"
    yield _point(pod, _NODE_CIDRS, fix, "warning").compare(planned, live)
    network = next((one for one in wanted.plan.pod_cidr or () if one.version == 4), None)
    size = str(_flag(words, "node-cidr-mask-size-ipv4") or _flag(words, "node-cidr-mask-size"))
    if live == "true" and network is not None and size.isdigit():
        room, count = 1 << max(0, int(size) - network.prefixlen), len(wanted.hosts)
        yield _point(pod, "node-cidr-mask-size", fix).judged(f"room for {count} nodes", f"{size}: room for {room} nodes", room >= count)


def _version(point: Point, wanted: Wanted, live: object) -> Comparison:
    planned = ".".join(map(str, wanted.version))
    if isinstance(live, Refusal):
        return point.unknown(planned, live)
    return point.judged(planned, live, minor_at_start(str(live)) == wanted.version)


def _pods(seen: Sight, component: str) -> list[tuple[str, Seen[Sequence[str]]]]:
    """The words of each Pod of a component, or why they are not known."""
    if isinstance(seen.programs, Refusal):
        return [(component, seen.programs)]
    absent = Refusal(
        f"flags of {component}",
        f"no Pod in {KUBE_SYSTEM} with the labels tier=control-plane and component={component}",
        "kubeadm's static Pod",
        f"Check /etc/kubernetes/manifests/{component}.yaml on the control plane; its kubelet shows the Pod in the API.",
    )
    return list(seen.programs.get(component, {component: absent}).items())


def _point(pod: str, flag: str, fix: str, severity: Severity = "error") -> Point:
    return Point(_FLAGS, f"Pod {KUBE_SYSTEM}/{pod}", f"--{flag}", fix, severity)


def _of(live: Seen[Object], path: str) -> object:
    return live if isinstance(live, Refusal) else at(live, path)


def _argument(arguments: object, name: str) -> Optional[str]:
    """Of arguments as kubeadm writes them, a list of names and values or, before v1beta4, a mapping; else Kubernetes' default."""
    if isinstance(arguments, Mapping):
        return str(arguments.get(name, _DEFAULTS.get(name, NOTHING)))
    entries: Sequence[Object] = arguments if isinstance(arguments, list) else ()
    return next((str(one.get("value")) for one in entries if one.get("name") == name), _DEFAULTS.get(name))


def _flag(words: Seen[Sequence[str]], name: str) -> object:
    """The last one counts; one without a value is true; else Kubernetes' default."""
    if isinstance(words, Refusal):
        return words
    found = _DEFAULTS.get(name)
    for word in words:
        flag, equals, value = word.partition("=")
        if flag == f"--{name}":
            found = value if equals else "true"
    return found


# Calico's IP pools. What Calico makes of them is for calico_check to report.

_POOL_RULE, _CIDR = "ip_pools_are_the_plans", "spec.cidr"
_OF_MODE = "Run the role calico, which sets it. Until all nodes have applied it, pods cannot reach pods on other nodes."
_OF_SIZE = "The block size of a pool cannot be changed: set this one in network_plan.block_size, or move the pods to a new pool."


def of_pools(wanted: Wanted, seen: Sight) -> Iterator[Comparison]:
    if seen.pools is None:
        return
    planned = pools(wanted.plan)
    for pool in planned:
        if isinstance(seen.pools, Refusal):
            yield Point(_POOL_RULE, f"IPPool of {pool.cidr}", _CIDR).unknown(pool.cidr, seen.pools)
        else:
            yield from _of_pool(pool, standing(pool, seen.pools), nat=leaves_by_nat(pool.cidr, wanted.nat_outgoing))
    cidrs = [one.cidr for one in planned]
    for live in () if isinstance(seen.pools, Refusal) else seen.pools:
        if live.serves_pods and live.cidr not in cidrs:
            yield Point(_POOL_RULE, f"IPPool {live.name}", _CIDR, _how_to_leave(live)).compare(cidrs, live.cidr)


def _of_pool(pool: Pool, live: Optional[LivePool], *, nat: bool) -> Iterator[Comparison]:
    if live is None:
        yield Point(_POOL_RULE, f"IPPool of {pool.cidr}", _CIDR, "Run the role calico, which creates it.").compare(pool.cidr, NOTHING)
        return
    ipip, vxlan = modes_of(pool.encapsulation)
    wanted, found_nat = (str(one).lower() for one in (nat, live.nat_outgoing))
    for source, planned, found, fix in (
        (_CIDR, pool.cidr, live.cidr, ""),
        ("spec.ipipMode", ipip, live.ipip, _OF_MODE),
        ("spec.vxlanMode", vxlan, live.vxlan, _OF_MODE),
        ("spec.blockSize", pool.block_size, live.block_size, _OF_SIZE),
        ("spec.disabled", "false", str(live.disabled).lower(), f"Run `kubectl patch ippool {live.name} {_patch('disabled', 'false')}`."),
        ("spec.natOutgoing", wanted, found_nat, f"Run `kubectl patch ippool {live.name} {_patch('natOutgoing', wanted)}`."),
    ):
        yield Point(_POOL_RULE, f"IPPool {live.name}", source, fix).compare(planned, found)


def _how_to_leave(pool: LivePool) -> str:
    return (
        f"Pods get addresses of it that nothing expects. Run `kubectl patch ippool {pool.name} {_patch('disabled', 'true')}`, recreate "
        f"the Pods that have one of its addresses, then `kubectl delete ippool {pool.name}`."
    )


def _patch(key: str, value: str) -> str:
    return f'--type=merge --patch=\'{{"spec":{{"{key}":{value}}}}}\''


# What kubelets hand to Pods, by the ConfigMap and by each of them, and what kube-proxy takes for the pod network.

_KUBELET_CONFIG, _KUBE_PROXY = f"ConfigMap {KUBE_SYSTEM}/kubelet-config", f"ConfigMap {KUBE_SYSTEM}/kube-proxy"
_FIELDS = ("clusterDNS", "clusterDomain")
# https://kubernetes.io/docs/tasks/administer-cluster/nodelocaldns/
_CACHE = re.compile(r"169\.254\.")


def of_kubelet_config(wanted: Wanted, seen: Sight) -> Iterator[Comparison]:
    """What nodes are made with."""
    live = seen.kubelet_configuration
    fix = f"Run on the control plane: {phase_of_kubeadm('upload-config', 'kubelet')}. Then apply it to each kubelet."
    for name in _FIELDS:
        point = Point("kubelet_config_is_the_plans", _KUBELET_CONFIG, name, fix)
        yield _of_kubelet(point, wanted.kubelet[name], live if isinstance(live, Refusal) else at(live, name))


def _of_kubelet(point: Point, planned: object, live: object) -> Comparison:
    """A DNS cache on each node, at an address of the link, asks the planned address itself."""
    addresses = live if isinstance(live, list) else []
    if point.source.endswith("clusterDNS") and addresses and all(_CACHE.match(str(one)) for one in addresses):
        return point.judged(planned, live, True)
    return point.compare(planned, live)


def of_each_kubelet(wanted: Wanted, seen: Sight) -> Iterator[Comparison]:
    """What nodes run with."""
    if not wanted.ask_kubelets or isinstance(seen.nodes, Refusal):
        return
    for node in seen.nodes:
        name = str(node["metadata"]["name"])
        live = seen.kubelets.get(name)
        fix = (
            f"When {_KUBELET_CONFIG} matches the plan, run on {name}: `kubeadm upgrade node phase kubelet-config` and "
            "`systemctl restart kubelet`. Running Pods keep the old one until they are recreated."
        )
        for field in _FIELDS:
            point = Point("kubelets_run_as_planned", f"node {name}", f"kubelet's {field}", fix, hosts=(name,))
            if live is None:
                yield point.unknown(wanted.kubelet[field], None, "asleep, not asked")
            else:
                yield _of_kubelet(point, wanted.kubelet[field], live if isinstance(live, Refusal) else live.get(field))


def of_kube_proxy(wanted: Wanted, seen: Sight) -> Iterator[Comparison]:
    live = seen.kube_proxy_configuration
    if not live and not seen.has_calico:
        return  # some pod networks do without it
    fix = (
        f"Run on the control plane: {phase_of_kubeadm('addon', 'kube-proxy')}. Then "
        f"`kubectl --namespace {KUBE_SYSTEM} rollout restart daemonset kube-proxy`."
    )
    pods, mode = (Point("kube_proxy_is_as_planned", _KUBE_PROXY, name, fix) for name in ("clusterCIDR", "mode"))
    yield pods.compare(wanted.kube_proxy["clusterCIDR"], live if isinstance(live, Refusal) else at(live, "clusterCIDR"))
    planned = " or ".join(KUBE_PROXY_MODES)
    if isinstance(live, Refusal):
        yield mode.unknown(planned, live)
        return
    # an empty one is kube-proxy's own default, the first
    found = (at(live, "mode") or KUBE_PROXY_MODES[0]) if live else None
    yield mode.judged(planned, found, found in KUBE_PROXY_MODES)


# The DNS Service, Services that pass for it, and the domain of the Corefile.

_ADDRESSES, _ALONE = coredns.the_dns_service_has_the_planned_addresses, coredns.no_second_service_is_dns
_SERVICE, _COREFILE_MAP = f"Service {KUBE_SYSTEM}/{SERVICE}", f"ConfigMap {KUBE_SYSTEM}/{NAME}"


def of_dns_services(wanted: Wanted, seen: Sight) -> Iterator[Comparison]:
    planned = sorted(wanted.dns.addresses)
    if isinstance(seen.dns_services, Refusal):
        yield Point(_ADDRESSES.__name__, _SERVICE, "clusterIP").unknown(planned, seen.dns_services)
        return
    asked = coredns.Wanted(wanted.dns)
    state = coredns.as_installed(CoreDnsState(services=tuple(seen.dns_services), is_foreign=seen.dns_is_foreign), wanted.dns)
    fault = next(chain(_ADDRESSES(state, asked), coredns.the_dns_service_is_there(state, asked)), None)
    live = sorted(state.dns_service.addresses) if state.dns_service else NOTHING
    yield Point(_ADDRESSES.__name__, state.subject, "clusterIP", fault.fix if fault else "").compare(planned, live)
    for second in _ALONE(state, asked):
        yield Point(_ALONE.__name__, second.where, "k8s-app", second.fix).compare(second.expected, second.found)


def of_corefile(wanted: Wanted, seen: Sight) -> Iterator[Comparison]:
    rule, planned = the_cluster_domain_is_served.__name__, f"kubernetes for {wanted.dns.domain}"
    if isinstance(seen.corefile, Refusal):
        yield Point(rule, _COREFILE_MAP, "Corefile").unknown(planned, seen.corefile)
        return
    fault = _fault(seen.corefile, wanted)
    fix = f"{fault.fix} Or run the role dns, which restores the planned one." if fault else ""
    yield Point(rule, _COREFILE_MAP, "Corefile", fix).compare(planned, fault.found if fault else planned)


def _fault(text: Optional[str], wanted: Wanted) -> Optional[Fault]:
    if text is None:
        return Fault("", "no Corefile", "", "Write one.")
    try:
        return next(the_cluster_domain_is_served(parse(text), wanted.dns), None)
    except Unreadable as unreadable:
        return Fault("", f"{unreadable.found} in line {unreadable.line}", unreadable.expected, f"Write {unreadable.expected} there.")


# The hosts of the inventory beside the nodes of the cluster.

_NODE = "a node of the cluster"


def of_nodes(wanted: Wanted, seen: Sight) -> Iterator[Comparison]:
    nodes = {} if isinstance(seen.nodes, Refusal) else {str(one["metadata"]["name"]): one for one in seen.nodes}
    for host in wanted.hosts:
        point = _membership(host, asleep=host.name in wanted.asleep)
        if isinstance(seen.nodes, Refusal):
            yield point.unknown(_NODE, seen.nodes)
            continue
        yield point.compare(_NODE, _NODE if host.name in nodes else NOTHING)
        if host.name in nodes:
            yield from _of_node(wanted, host, nodes[host.name])
    known = {host.name for host in wanted.hosts}
    for name in nodes:
        if name not in known:
            point = Point(IN_INVENTORY, f"node {name}", "inventory", how_to_leave(name), "warning", hosts=(name,))
            yield point.compare("a host of it", NOTHING)


def _membership(host: Host, *, asleep: bool) -> Point:
    when = "When it is awake, run" if asleep else "Run"
    fix = f"{when} site.yml, which joins it, or remove {host.name} from the inventory."
    return Point("hosts_are_nodes", f"node {host.name}", "Node", fix, "warning" if asleep else "error", (host.name,))


def _of_node(wanted: Wanted, host: Host, node: Object) -> Iterator[Comparison]:
    subject = f"node {host.name}"
    found = [one["address"] for one in node["status"].get("addresses") or () if one.get("type") == "InternalIP"]
    fix = (
        "Correct the host's address in the inventory. If that is right, set --node-ip in /var/lib/kubelet/kubeadm-flags.env on "
        f"{host.name}, and `systemctl restart kubelet`."
    )
    yield Point("nodes_have_the_inventorys_addresses", subject, "InternalIP", fix, hosts=(host.name,)).compare(
        sorted(host.addresses), sorted(found)
    )
    if host.name not in wanted.asleep:
        live = "cordoned" if node["spec"].get("unschedulable") else "schedulable"
        fix = f"`kubectl uncordon {host.name}`"
        point = Point("nodes_that_are_awake_are_not_cordoned", subject, "spec.unschedulable", fix, "warning", hosts=(host.name,))
        yield point.compare("schedulable", live)
    yield _of_version(wanted, host, node)


def _of_version(wanted: Wanted, host: Host, node: Object) -> Comparison:
    """A kubelet may be some minor versions behind the API server, never ahead."""
    live = (node["status"].get("nodeInfo") or {}).get("kubeletVersion")
    running = minor_at_start(str(live))
    behind = wanted.version[1] - running[1] if running and running[0] == wanted.version[0] else None
    bearable = behind is not None and 0 < behind <= OLDEST_KUBELET
    fix = f"Upgrade {host.name} with upgrade.yml, or correct network_plan.kubernetes_version."
    point = Point(
        "kubelets_have_the_planned_version", f"node {host.name}", "kubelet's version", fix, "warning" if bearable else "error", (host.name,)
    )
    return point.judged(".".join(map(str, wanted.version)), live, running == wanted.version)


# The service ranges that the API server knows as objects: its own, and that of the DNS address.

_RANGE_RULE, _SOURCE = "service_ranges_are_the_plans", "spec.cidrs"


def of_service_ranges(wanted: Wanted, seen: Sight) -> Iterator[Comparison]:
    objects, own = seen.service_ranges, Point(_RANGE_RULE, f"ServiceCIDR {DEFAULT_NAME}", _SOURCE, FOR_GOOD)
    if objects is None:
        return
    if isinstance(objects, Refusal):
        yield own.unknown(wanted.plan.service_cidr, objects)
        return
    yield own.compare(
        wanted.plan.service_cidr, next((at(one, _SOURCE) for one in objects if one["metadata"]["name"] == DEFAULT_NAME), None)
    )
    judged = judge_ranges(wanted.extra_ranges, objects)
    for cidr in wanted.extra_ranges:
        trouble = judged.waiting.get(cidr)
        live = NOTHING if cidr in judged.missing else f"{cidr}, not ready: {trouble}" if trouble else cidr
        fix = "Run the role control_plane, which creates it, and check `kubectl get servicecidrs`."
        if trouble == BEING_DELETED:
            # while Services use a range, only another object of the same range lets the deletion end
            manifest = json.dumps({**ranges_manifest(cidr), "metadata": {"name": f"again-{ranges_manifest(cidr)['metadata']['name']}"}})
            fix = f"Create another object of this range: `echo '{manifest}' | kubectl create --filename=-`. The old one is deleted then."
        yield Point(_RANGE_RULE, f"ServiceCIDR of {cidr}", _SOURCE, fix).compare(cidr, live)
    for one in judged.findings:
        yield Point(one.rule, one.subject, _SOURCE, one.fix, one.severity).compare(one.expected, one.found)


# All comparisons, what they find, and the result as plain data.

UNREAD = "what_is_compared_can_be_read"
# in the order of the result
_COMPARED = (
    of_version,
    of_kubeadm_config,
    of_flags,
    of_service_ranges,
    of_kubelet_config,
    of_kube_proxy,
    of_dns_services,
    of_corefile,
    of_pools,
    of_nodes,
    of_each_kubelet,
)


_OF_KUBEADM = (of_kubeadm_config, of_flags, of_kubelet_config, of_kube_proxy)


def compare_all(wanted: Wanted, seen: Sight) -> list[Comparison]:
    rules = [one for one in _COMPARED if seen.is_of_kubeadm or one not in _OF_KUBEADM]
    return [comparison for compared in rules for comparison in compared(wanted, seen)]


def findings(comparisons: Sequence[Comparison]) -> list[Finding]:
    """What differs, and once each what could not be read."""
    found = [
        Finding(
            one.point.rule,
            one.point.severity,
            one.point.subject,
            f"{one.point.source}: {one.live}",
            one.planned,
            one.point.fix,
            one.point.hosts,
        )
        for one in comparisons
        if one.equal is False
    ]
    unread: dict[str, tuple[Refusal, set[tuple[str, ...]]]] = {}
    for one in comparisons:
        if one.why is not None:
            unread.setdefault(str(one.why), (one.why, set()))[1].add(one.point.hosts)
    for why, of_hosts in unread.values():
        hosts = of_hosts.pop() if len(of_hosts) == 1 else ()
        found.append(Finding(UNREAD, "unknown", why.subject, why.found, why.required, why.next_step, hosts))
    return found


def looked_at(comparisons: Sequence[Comparison], found: Sequence[Finding], seen: Sight) -> list[LookedAt]:
    parts = [f"{sum(one.equal is True for one in comparisons)} values are the same"]
    parts += [] if seen.is_of_kubeadm else ["kubeadm did not make this cluster, so its configuration is not compared"]
    parts += [] if seen.has_calico else ["the pod network is not Calico, so IP pools are not compared"]
    return [LookedAt("plan and cluster", "; ".join(parts), state_of(found))]


def as_data(comparisons: Iterable[Comparison]) -> list[dict[str, Any]]:
    return [
        {
            "subject": one.point.subject,
            "source": one.point.source,
            "planned": one.planned,
            "live": one.live,
            "equal": UNKNOWN if one.equal is None else one.equal,
        }
        for one in comparisons
    ]
