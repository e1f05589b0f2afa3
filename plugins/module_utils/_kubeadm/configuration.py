# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kubeadm's configuration: built from the network plan and the host, with the user's settings merged into it."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from .._network_plan.model import Address, Plan
from .._network_plan.ports import open_ports
from .._network_plan.ranges import extra_service_ranges, has_service_cidr_objects
from .._network_plan.reading import read_needed
from .._notation import in_url
from .._refusal import Refusal
from . import hardening

# Merge the user's settings into ours; reject settings that contradict the plan

_ARGUMENT = re.compile(r"[a-z0-9][a-z0-9-]*")


@dataclass(frozen=True)
class Owned:
    """A value that is set elsewhere. where: what to change instead; empty: it cannot be changed."""

    value: Any
    where: str


def merged(ours: Mapping[str, Any], theirs: object, subject: str, said_elsewhere: Mapping[str, Owned]) -> dict[str, Any]:
    """Merge ``theirs`` into ``ours``: mappings are merged, everything else is replaced."""
    given = _mapping(theirs, subject)
    _refuse_contradictions(given, subject, said_elsewhere)
    return _laid_over(ours, given)


def arguments(ours: Mapping[str, str], theirs: object, subject: str, said_elsewhere: Mapping[str, Owned]) -> list[dict[str, str]]:
    """Return command line arguments as a list of kubeadm's v1beta4, sorted by name. A list of values repeats the argument."""
    given = {name: _values(value, f"{subject}.{name}") for name, value in _mapping(theirs, subject).items()}
    for name in given:
        if not _ARGUMENT.fullmatch(name):
            raise Refusal(f"{subject}.{name}", repr(name), "an argument's name without leading dashes", "Write it like bind-address.")
    _refuse_contradictions({name: values[0] if len(values) == 1 else values for name, values in given.items()}, subject, said_elsewhere)
    wanted = {**{name: [value] for name, value in ours.items()}, **given}
    return [{"name": name, "value": value} for name in sorted(wanted) for value in wanted[name]]


def _mapping(value: object, subject: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise Refusal(subject, repr(value), "a mapping", "Write `name: value` pairs.")
    return {str(key): entry for key, entry in value.items()}


def _refuse_contradictions(given: Mapping[str, Any], subject: str, said_elsewhere: Mapping[str, Owned]) -> None:
    for name, said in said_elsewhere.items():
        if name in given and given[name] != said.value:
            next_step = f"Remove it; to change the value, change {said.where}." if said.where else "Remove it."
            raise Refusal(f"{subject}.{name}", repr(given[name]), repr(said.value), next_step)


def _laid_over(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(ours)
    for key, value in theirs.items():
        mine = result.get(key)
        result[key] = _laid_over(mine, value) if isinstance(mine, Mapping) and isinstance(value, Mapping) else value
    return result


def _values(value: object, subject: str) -> list[str]:
    if isinstance(value, (list, tuple)):
        return [_value(entry, subject) for entry in value]
    return [_value(value, subject)]


def _value(value: object, subject: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise Refusal(subject, repr(value), "a string, a number, true or false, or a list of them", "Write it as on the command line.")


# The configuration documents. They are mappings; kubeadm reads them as JSON.

KUBEADM_API = "kubeadm.k8s.io/v1beta4"
# https://kubernetes.io/docs/reference/config-api/kubeadm-config.v1beta4/
FIRST_VERSION_OF_KUBEADM_API = (1, 31)
KUBELET_API = "kubelet.config.k8s.io/v1beta1"
KUBE_PROXY_API = "kubeproxy.config.k8s.io/v1alpha1"

API_PORT = 6443
ETCD_METRICS_PORT = 2381
KUBE_PROXY_METRICS_PORT = 10249
CRI_SOCKET = "unix:///run/containerd/containerd.sock"
CONTROL_PLANE_TAINT = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}
KUBEADMS_PATIENCE = 240
KUBE_PROXY_MODES = ("iptables", "nftables")
# by default a Pod's token is accepted for a year, not only for the hour for which it was requested
EXTEND_TOKENS = "service-account-extend-token-expiration"

_RELEASE = re.compile(r"(\d+)\.(\d+)\.\d+")
_FIELDS = ("pod_cidr", "service_cidr", "dns_service_ip", "dns_domain", "node_port_range", "kubernetes_version", "api_vip")
_CHECK = "Run vmstation.cluster.network_plan_check and follow its findings."


@dataclass(frozen=True)
class Extras:
    """The user's settings beyond the plan. A setting that contradicts the plan is rejected."""

    kubelet: Mapping[str, Any] = field(default_factory=dict)
    kube_proxy: Mapping[str, Any] = field(default_factory=dict)
    apiserver: Mapping[str, Any] = field(default_factory=dict)
    controller_manager: Mapping[str, Any] = field(default_factory=dict)
    scheduler: Mapping[str, Any] = field(default_factory=dict)
    cert_sans: Sequence[str] = ()
    apiserver_volumes: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class ControlPlane:
    """The host that becomes the control plane.

    endpoint: a name or address of the API, with or without a port; empty: the plan's api_vip, or else the host's address.
    schedulable: whether ordinary Pods may run on it. timeout: seconds for init. hardened: with audit log, encrypted Secrets and limits.
    kubelet_certificates: whether kubelets have certificates of the cluster's CA, which are verified.
    """

    name: str
    addresses: Sequence[str]
    release: str
    cluster_name: str = "kubernetes"
    endpoint: str = ""
    schedulable: bool = False
    cri_socket: str = CRI_SOCKET
    kube_proxy_mode: str = "iptables"
    ignore_preflight_errors: Sequence[str] = ()
    extras: Extras = Extras()
    timeout: int = 600
    hardened: bool = True
    kubelet_certificates: bool = True


def init_documents(plan: object, host: ControlPlane) -> list[dict[str, Any]]:
    """Return InitConfiguration, ClusterConfiguration, KubeletConfiguration and KubeProxyConfiguration of a control plane."""
    known = read_needed(plan, _FIELDS).plan
    _refuse_release(host.release, known)
    addresses = node_addresses(plan, host.addresses, host.name)
    endpoint = control_plane_endpoint(host.endpoint, str(known.api_vip or addresses[0]))
    scraped = _scraped_ports(known)
    return [
        _init(host, addresses),
        _cluster(known, host, addresses, endpoint, scraped),
        _kubelet(known, host),
        _kube_proxy(known, host, scraped),
    ]


def node_registration(
    name: str, addresses: Sequence[str], cri_socket: str = CRI_SOCKET, ignore_preflight_errors: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the part that InitConfiguration and JoinConfiguration share. addresses: from `node_addresses`."""
    registration: dict[str, Any] = {
        "name": name.lower(),
        "criSocket": cri_socket,
        "imagePullPolicy": "IfNotPresent",
        "kubeletExtraArgs": [{"name": "node-ip", "value": ",".join(addresses)}],
    }
    if ignore_preflight_errors:
        registration["ignorePreflightErrors"] = sorted(ignore_preflight_errors)
    return registration


def node_addresses(plan: object, addresses: Sequence[str], name: str) -> list[str]:
    """Return one host address per IP version of the pod and service networks, that of the primary service network first."""
    known = read_needed(plan, _FIELDS).plan
    families = list(dict.fromkeys(net.version for net in (*(known.service_cidr or ()), *(known.pod_cidr or ()))))
    own = {single.version: str(single) for single in (_address(text, name) for text in addresses)}
    for family in families:
        if family not in own:
            raise Refusal(
                f"host {name}",
                f"no IPv{family} address ({', '.join(addresses) or 'no address at all'})",
                f"an address of each family of pods and Services ({_texts(known.pod_cidr)}, {_texts(known.service_cidr)})",
                f"Give the host an IPv{family} address in the inventory (`address`), or remove IPv{family} from the plan.",
            )
    return [own[family] for family in families]


def control_plane_endpoint(endpoint: str, address: str) -> str:
    """Return a name or an address, with the API's port."""
    given = endpoint or address
    try:
        single = ipaddress.ip_address(given.strip("[]"))
    except ValueError:
        return given if re.search(r":\d+$", given) else f"{given}:{API_PORT}"
    return f"{in_url(str(single))}:{API_PORT}"


def extra_service_cidrs(plan: object) -> list[str]:
    """Return service ranges beyond the plan's own that its DNS addresses need."""
    known = read_needed(plan, _FIELDS).plan
    ranges = [str(net) for net in extra_service_ranges(known)]
    if ranges and not has_service_cidr_objects(known):
        raise Refusal(
            "network_plan.dns_service_ip",
            f"{_texts(known.dns_service_ip)}, outside of service_cidr {_texts(known.service_cidr)}",
            "an address of service_cidr, or Kubernetes 1.33 or newer, which allows a second range",
            _CHECK,
        )
    return ranges


def as_text(documents: Iterable[Mapping[str, Any]]) -> str:
    """Return the documents as one file for kubeadm."""
    return "---\n".join(f"{json.dumps(document, indent=2, ensure_ascii=False)}\n" for document in documents)


def document_of(documents: Iterable[Mapping[str, Any]], kind: str) -> dict[str, Any]:
    """Return the document of a kind. Raises Refusal if there is none."""
    for document in documents:
        if document.get("kind") == kind:
            return dict(document)
    raise Refusal(
        "configuration", f"no {kind}", f"a list with a {kind}", "Create it with the filter vmstation.cluster.kubeadm_init_configuration."
    )


def _init(host: ControlPlane, addresses: list[str]) -> dict[str, Any]:
    registration = node_registration(host.name, addresses, host.cri_socket, host.ignore_preflight_errors)
    return {
        "apiVersion": KUBEADM_API,
        "kind": "InitConfiguration",
        "localAPIEndpoint": {"advertiseAddress": addresses[0], "bindPort": API_PORT},
        "nodeRegistration": {**registration, "taints": [] if host.schedulable else [CONTROL_PLANE_TAINT]},
        # init always creates a token: this one expires at once
        "bootstrapTokens": [{"ttl": "1s", "description": "created by kubeadm init, not used"}],
        # the role dns installs CoreDNS; the join command would show a token
        "skipPhases": ["addon/coredns", "show-join-command"],
        # kubeadm's default, 240 s, is too short for old disks; 120 s of the timeout are for certificates and images
        "timeouts": {"controlPlaneComponentHealthCheck": f"{max(KUBEADMS_PATIENCE, host.timeout - 120)}s"},
    }


def _cluster(plan: Plan, host: ControlPlane, addresses: list[str], endpoint: str, scraped: frozenset[int]) -> dict[str, Any]:
    # with an api_vip, all control plane hosts have the same document: so everything in it must be true for each
    is_one_host = plan.api_vip is None
    address = addresses[0] if is_one_host else ("::" if ":" in addresses[0] else "0.0.0.0")
    sans = [*addresses, host.name.lower()] if is_one_host else [str(plan.api_vip)]
    services, pods, node_ports = _texts(plan.service_cidr), _texts(plan.pod_cidr), str(plan.node_port_range)
    of_services = {"service-cluster-ip-range": Owned(services, "network_plan.service_cidr")}
    apiserver = {
        **of_services,
        "service-node-port-range": Owned(node_ports, "network_plan.node_port_range"),
        "advertise-address": Owned(addresses[0], "the host's address in the inventory"),
        "secure-port": Owned(str(API_PORT), ""),
    }
    others = hardening.OTHERS if host.hardened else {}
    manager = {**of_services, "cluster-cidr": Owned(pods, "network_plan.pod_cidr")}
    document: dict[str, Any] = {
        "apiVersion": KUBEADM_API,
        "kind": "ClusterConfiguration",
        "clusterName": host.cluster_name,
        "kubernetesVersion": f"v{host.release}",
        "controlPlaneEndpoint": endpoint,
        "networking": {"podSubnet": pods, "serviceSubnet": services, "dnsDomain": plan.dns_domain},
        "apiServer": {
            # kubeadm adds the name and the address of each host
            "certSANs": list(dict.fromkeys(["127.0.0.1", "localhost", *sans, _host_of(endpoint), *host.extras.cert_sans])),
            "extraArgs": arguments(
                {"service-node-port-range": node_ports, EXTEND_TOKENS: "false", **(hardening.APISERVER if host.hardened else {})},
                host.extras.apiserver,
                "apiserver_extra_args",
                apiserver,
            ),
        },
        "controllerManager": {
            # Calico assigns its own blocks: with node CIDRs a /16 is full at 256 nodes, and a pod network smaller than /24 is rejected
            "extraArgs": arguments(
                {"allocate-node-cidrs": "false", "bind-address": address, **others},
                host.extras.controller_manager,
                "controller_manager_extra_args",
                manager,
            ),
        },
        "scheduler": {"extraArgs": arguments({"bind-address": address, **others}, host.extras.scheduler, "scheduler_extra_args", {})},
    }
    volumes = [*(hardening.VOLUMES if host.hardened else ()), *host.extras.apiserver_volumes]
    if volumes:
        document["apiServer"]["extraVolumes"] = [dict(volume) for volume in volumes]
    if host.kubelet_certificates:
        document = hardening.with_verification(document, is_on=True)
    if ETCD_METRICS_PORT in scraped:
        listened = (_loopback(address), address) if is_one_host else (address,)
        urls = ",".join(f"http://{in_url(one)}:{ETCD_METRICS_PORT}" for one in listened)
        document["etcd"] = {"local": {"dataDir": "/var/lib/etcd", "extraArgs": [{"name": "listen-metrics-urls", "value": urls}]}}
    return document


def _kubelet(plan: Plan, host: ControlPlane) -> dict[str, Any]:
    return merged(
        {
            "apiVersion": KUBELET_API,
            "kind": "KubeletConfiguration",
            "cgroupDriver": "systemd",
            "clusterDNS": [str(single) for single in plan.dns_service_ip or ()],
            "clusterDomain": plan.dns_domain,
            **(hardening.KUBELET if host.hardened else {}),
            **({hardening.SERVING_SETTING: True} if host.kubelet_certificates else {}),
        },
        host.extras.kubelet,
        "kubelet_configuration",
        {
            "apiVersion": Owned(KUBELET_API, ""),
            "kind": Owned("KubeletConfiguration", ""),
            "clusterDNS": Owned([str(single) for single in plan.dns_service_ip or ()], "network_plan.dns_service_ip"),
            "clusterDomain": Owned(plan.dns_domain, "network_plan.dns_domain"),
        },
    )


def _kube_proxy(plan: Plan, host: ControlPlane, scraped: frozenset[int]) -> dict[str, Any]:
    pods = _texts(plan.pod_cidr)
    if host.kube_proxy_mode not in KUBE_PROXY_MODES:
        raise Refusal("kube_proxy_mode", repr(host.kube_proxy_mode), f"one of {', '.join(KUBE_PROXY_MODES)}", "Correct it.")
    document: dict[str, Any] = {
        "apiVersion": KUBE_PROXY_API,
        "kind": "KubeProxyConfiguration",
        "mode": host.kube_proxy_mode,
        "clusterCIDR": pods,
    }
    if KUBE_PROXY_METRICS_PORT in scraped:
        has_ipv6 = any(net.version == 6 for net in plan.pod_cidr or ())
        document["metricsBindAddress"] = f"{'[::]' if has_ipv6 else '0.0.0.0'}:{KUBE_PROXY_METRICS_PORT}"
    return merged(
        document,
        host.extras.kube_proxy,
        "kube_proxy_configuration",
        {
            "apiVersion": Owned(KUBE_PROXY_API, ""),
            "kind": Owned("KubeProxyConfiguration", ""),
            "clusterCIDR": Owned(pods, "network_plan.pod_cidr"),
            "mode": Owned(host.kube_proxy_mode, "kube_proxy_mode"),
        },
    )


def _refuse_release(release: str, plan: Plan) -> None:
    match = _RELEASE.fullmatch(release)
    if not match:
        raise Refusal("release", repr(release), "a full version like 1.36.4", "Write the patch version too, without v.")
    minor = (int(match.group(1)), int(match.group(2)))
    if minor != plan.kubernetes_version:
        planned = ".".join(map(str, plan.kubernetes_version or ()))
        raise Refusal("release", release, f"a release of {planned}, as in network_plan.kubernetes_version", "Change one of the two.")
    if minor < FIRST_VERSION_OF_KUBEADM_API:
        raise Refusal("release", release, "1.31 or newer: older releases have no kubeadm.k8s.io/v1beta4", "Choose a newer release.")


def _scraped_ports(plan: Plan) -> frozenset[int]:
    """Return the TCP ports that the plan opens on the control plane.

    A component that listens on loopback only by default must listen on other addresses for these.
    """
    opened = open_ports(plan, "control_plane", ())
    return frozenset(port.ports.first for port in opened if port.ports is not None and port.fact.protocol == "tcp")


def _address(text: str, name: str) -> Address:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        raise Refusal(
            f"host {name}", repr(text), "an IPv4 or IPv6 address", "Correct `address` or `ansible_host` in the inventory."
        ) from None


def _host_of(endpoint: str) -> str:
    return endpoint.rpartition(":")[0].strip("[]")


def _loopback(address: str) -> str:
    return "::1" if ":" in address else "127.0.0.1"


def _texts(entries: Optional[Iterable[object]]) -> str:
    return ",".join(map(str, entries or ()))
