# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is there already: leftovers of an earlier cluster, other networks of the host, and the other hosts of the cluster.

A host with a running kubelet, or an interrupted run of ours, has no leftovers. The preflight checks of kubeadm 1.36
(``cmd/kubeadm/app/preflight/checks.go``) reject existing kubelet configurations, static pods, etcd data and used ports. libcni uses the
first file of /etc/cni/net.d in sort order.

The kernel takes the most specific route. A host network inside the cluster's diverts packets to Pods; one that covers it loses the
addresses that Pods and Services use. Docker takes new networks from its pools (``default-address-pools``, daemon/libnetwork/ipamutils of
moby), and looks at the routes of that moment only.
"""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from ipaddress import ip_address
from typing import Any, Optional

from .._findings import Finding
from .._host.commands import Commands
from .._host.files import HostFiles
from .._host.mark import MARKER
from .._json import read_json
from .._network_plan.model import Network
from .._network_plan.ranges import DOCKER_POOLS, meets, relation
from .._x509 import KUBELET_PKI
from .model import CniConfiguration, Expectations, HostNetwork, HostState, Listener

KUBELET_FILES = (
    "/etc/kubernetes/kubelet.conf",
    "/etc/kubernetes/bootstrap-kubelet.conf",
    "/etc/kubernetes/admin.conf",
    "/etc/kubernetes/super-admin.conf",
    "/etc/kubernetes/controller-manager.conf",
    "/etc/kubernetes/scheduler.conf",
)
CERTIFICATES = (
    "/etc/kubernetes/pki/ca.crt",
    "/etc/kubernetes/pki/etcd/ca.crt",
    "/etc/kubernetes/pki/front-proxy-ca.crt",
)
CLUSTER_FILES = KUBELET_FILES + CERTIFICATES
OUR_MARK = MARKER

CALICO_FILE = "10-calico.conflist"
INTERFACE_OWNERS = {
    "cni0": "the bridge plugin (Flannel's)",
    "flannel.1": "Flannel",
    "flannel-v6.1": "Flannel",
    "cilium_host": "Cilium",
    "cilium_net": "Cilium",
    "cilium_vxlan": "Cilium",
    "weave": "Weave Net",
    "kube-bridge": "kube-router",
    "antrea-gw0": "Antrea",
}

NODE_PORTS = {
    179: ("bird",),
    9091: ("calico-node", "calico"),
    9099: ("calico-node", "calico"),
    10248: ("kubelet",),
    10249: ("kube-proxy",),
    10250: ("kubelet",),
    10256: ("kube-proxy",),
}
MONITORING_PORTS = {9100: ("node_exporter",)}
CONTROL_PLANE_PORTS = {
    2379: ("etcd",),
    2380: ("etcd",),
    2381: ("etcd",),
    6443: ("kube-apiserver",),
    10257: ("kube-controller",),
    10259: ("kube-scheduler",),
}
"""Port -> the command names that may use it, truncated to the kernel's 15 characters."""

START_OR_RESET = "Start the kubelet if this host is a node of a running cluster; else remove it with `kubeadm reset`"


def watched_ports(role: str, *, monitoring: bool = False) -> dict[int, tuple[str, ...]]:
    of_the_role = CONTROL_PLANE_PORTS if role == "control_plane" else {}
    return {**NODE_PORTS, **of_the_role, **(MONITORING_PORTS if monitoring else {})}


def kubelet_files_belong_to_a_running_kubelet(state: HostState, _expected: Expectations) -> Iterator[Finding]:
    if state.has_a_node:
        return
    for file in KUBELET_FILES:
        if file in state.cluster_files:
            yield Finding(
                "kubelet_files_belong_to_a_running_kubelet",
                "error",
                file,
                "left by an earlier cluster: no kubelet is running on this host",
                "no such file, or a running kubelet",
                f"{START_OR_RESET}, or `rm {file}`.",
            )


def certificates_belong_to_a_running_kubelet(state: HostState, _expected: Expectations) -> Iterator[Finding]:
    if state.has_a_node:
        return
    for file in CERTIFICATES:
        if file in state.cluster_files:
            # kubeadm uses a prepared CA, so this may be intended
            yield Finding(
                "certificates_belong_to_a_running_kubelet",
                "warning",
                file,
                "a CA certificate, and no kubelet is running on this host",
                "no such file, unless you prepared a CA for this cluster",
                f"Remove it with `rm {file}` if an earlier cluster left it; kubeadm join rejects it.",
            )


def static_pods_belong_to_a_running_kubelet(state: HostState, _expected: Expectations) -> Iterator[Finding]:
    if state.manifests and not state.has_a_node:
        yield Finding(
            "static_pods_belong_to_a_running_kubelet",
            "error",
            "/etc/kubernetes/manifests",
            f"{', '.join(state.manifests)}, and no kubelet is running on this host",
            "an empty directory, or a running kubelet",
            f"{START_OR_RESET}: these pods would start with the next kubelet.",
        )


def etcd_data_belongs_to_a_running_etcd(state: HostState, _expected: Expectations) -> Iterator[Finding]:
    if state.etcd_entries and "etcd" not in state.processes and not state.has_a_node:
        yield Finding(
            "etcd_data_belongs_to_a_running_etcd",
            "error",
            "/var/lib/etcd",
            f"{', '.join(state.etcd_entries)}, and no etcd runs on this host",
            "an empty directory, or a running etcd",
            "Back it up if it is the only copy of a cluster's state, then empty /var/lib/etcd.",
        )


def interfaces_belong_to_no_other_cni(state: HostState, _expected: Expectations) -> Iterator[Finding]:
    if state.kubelet_is_live:
        return
    for interface in state.interfaces:
        if interface in INTERFACE_OWNERS:
            yield Finding(
                "interfaces_belong_to_no_other_cni",
                "error",
                f"network interface {interface}",
                f"left by {INTERFACE_OWNERS[interface]}; its routes divert pod traffic from Calico",
                "no such interface",
                f"Remove it with `ip link delete {interface}`.",
            )


def cni_configuration_is_calicos(state: HostState, _expected: Expectations) -> Iterator[Finding]:
    if state.kubelet_is_live:
        return
    for configuration in state.cni_configurations:
        path = f"/etc/cni/net.d/{configuration.file}"
        if "calico" in configuration.types:
            if state.is_ours:
                continue
            yield Finding(
                "cni_configuration_is_calicos",
                "warning",
                path,
                "Calico's, of an earlier cluster: its credentials are no longer valid",
                "no such file before Calico writes it",
                f"Remove it with `rm {path}`; until Calico replaces it, pods fail to start on this host.",
            )
        else:
            first = configuration.file < CALICO_FILE
            yield Finding(
                "cni_configuration_is_calicos",
                "error" if first else "warning",
                path,
                f"{_kind(configuration)}, which sorts {'before' if first else 'after'} Calico's {CALICO_FILE}",
                "Calico's configuration alone",
                f"Remove it with `rm {path}`; "
                + (
                    "pods would get that network instead of Calico's." if first else "pods that start before Calico would get that network."
                ),
            )


def ports_are_free(state: HostState, expected: Expectations) -> Iterator[Finding]:
    owners = watched_ports(expected.role, monitoring=expected.monitoring)
    for listener in state.listeners:
        component = owners.get(listener.port)
        is_monitored = listener.port in MONITORING_PORTS
        if component is None or (state.has_a_node and (listener.in_pod if is_monitored else listener.process in component)):
            continue
        exporter = " Without monitoring in the cluster (monitoring_state: absent), it can stay." if is_monitored else ""
        yield Finding(
            "ports_are_free",
            "error",
            f"port {listener.port}/tcp",
            f"used by {_holder(listener)}",
            f"free for {component[0]}",
            f"Stop it (`ss -Hltnp sport = :{listener.port}` shows it), or move it to another port.{exporter}",
        )


def _kind(configuration: CniConfiguration) -> str:
    return f"a configuration of {', '.join(configuration.types)}" if configuration.types else "a file that is not a CNI configuration"


def _holder(listener: Listener) -> str:
    return f"{listener.process} (pid {listener.pid})" if listener.process else "a process that is not visible from here"


# Names and addresses of the cluster's hosts


def the_host_is_the_planned_one(state: HostState, expected: Expectations) -> Iterator[Finding]:
    """Report another host of the cluster at this host's address. No other rule may then advise anything for this host."""
    hostname = (state.identity.hostname or "").lower().split(".")[0]
    own = expected.name.lower().split(".")[0]
    if hostname != own and hostname in {name.lower().split(".")[0] for name in expected.hosts}:
        at = ", ".join(expected.addresses) or "its address"
        yield Finding(
            "the_host_is_the_planned_one",
            "error",
            f"host {expected.name}",
            f"the host that answers at {at} is named {hostname}, which is another host of the inventory",
            f"{expected.name}. Nothing else was checked, because it would be about {hostname}",
            f"Do not rename it. On {hostname}, see `ip address`: if it has {at} besides its own address, remove it there. Otherwise "
            f"correct the address of {expected.name} in the inventory.",
        )


def addresses_belong_to_one_host(state: HostState, expected: Expectations) -> Iterator[Finding]:
    for name, addresses in expected.hosts.items():
        for address in addresses if name != expected.name else ():
            if address in (state.addresses or ()) and address not in expected.addresses:
                yield Finding(
                    "addresses_belong_to_one_host",
                    "error",
                    f"address {address}",
                    f"on {expected.name}, too",
                    f"only on {name}: packets for {name} reach the wrong host",
                    f"`ip address` shows its interface, `ip address delete {address}/PREFIX dev INTERFACE` removes it. Remove it from the "
                    f"network settings of {expected.name}, too.",
                )


def hosts_file_has_the_planned_addresses(state: HostState, expected: Expectations) -> Iterator[Finding]:
    planned = {name.lower(): (name, addresses) for name, addresses in expected.hosts.items()}
    for address, names in state.member.hosts_file:
        for word in names:
            name, addresses = planned.get(word.lower(), ("", ()))
            # a host may have its own name at a loopback address
            if not name or address in addresses or (name == expected.name and ip_address(address).is_loopback):
                continue
            yield Finding(
                "hosts_file_has_the_planned_addresses",
                "error",
                f"/etc/hosts, {word}",
                address,
                " or ".join(addresses),
                f"Remove {word} from this line of /etc/hosts. If it is in the block of vmstation.cluster, `ansible-playbook site.yml "
                f"--limit {expected.name}` restores that block.",
            )


# The network of Pods on this host

NEIGHBOURS = 4  # hosts to which a large packet is sent
# bytes that an encapsulation adds, by Calico's interface (https://docs.tigera.io/calico/latest/networking/configuring/mtu)
OVERHEADS = {"tunl0": 20, "vxlan.calico": 50, "vxlan-v6.calico": 70}


def pods_packets_fit_the_interface(state: HostState, expected: Expectations) -> Iterator[Finding]:
    links = state.member.links
    name = next((state.member.interfaces[one] for one in expected.addresses if one in state.member.interfaces), "")
    for tunnel, overhead in OVERHEADS.items():
        if name and tunnel in links and links[tunnel] + overhead > links[name]:
            needed = links[tunnel] + overhead
            yield Finding(
                "pods_packets_fit_the_interface",
                "error",
                f"interface {name}",
                f"MTU {links[name]}, and the Pods' packets of up to {links[tunnel]} bytes need {overhead} more",
                f"MTU {needed} or more: larger packets between Pods are lost, although ping works",
                f"`ip link set {name} mtu {needed}`, and set it in the network settings of the host. If the network carries only "
                f"{links[name]}, restart Calico instead, which reduces its MTU: `kubectl --namespace kube-system rollout restart daemonset "
                "calico-node`, then recreate the Pods.",
            )


def largest_packet(expected: Expectations, interfaces: Mapping[str, str], links: Mapping[str, int]) -> int:
    """Return the size of the largest packet that this host sends to another one for its Pods; 0 if it cannot send it."""
    own = next((links[interfaces[one]] for one in expected.addresses if one in interfaces), 0)
    size = max((links[tunnel] + overhead for tunnel, overhead in OVERHEADS.items() if tunnel in links), default=own)
    return size if size <= own else 0


def neighbours(expected: Expectations) -> list[str]:
    """Return the IPv4 addresses of the hosts that follow this one in the plan: together, the hosts try every path of a small cluster."""
    names = list(expected.hosts)
    start = names.index(expected.name) + 1 if expected.name in names else 0
    others = [name for name in (*names[start:], *names[:start]) if name != expected.name][:NEIGHBOURS]
    return [one for name in others for one in expected.hosts[name] if ip_address(one).version == 4]


def large_packets_reach_other_hosts(state: HostState, expected: Expectations) -> Iterator[Finding]:
    names = {address: name for name, addresses in expected.hosts.items() for address in addresses}
    for address, arrives in state.member.paths.items():
        if not arrives:
            size = state.member.largest_packet
            yield Finding(
                "large_packets_reach_other_hosts",
                "error",
                f"path to {names[address]}",
                f"packets of {size} bytes are not answered, small ones are",
                "an answer: the Pods of this host send packets of this size",
                f"Compare the MTU of the interfaces on both hosts (`ip link`), and of what is between them: each must carry {size} bytes. "
                f"`ping -M do -s {size - 28} {address}` shows whether it does.",
            )


def packets_are_forwarded(state: HostState, expected: Expectations) -> Iterator[Finding]:
    for version, key in ((4, "net.ipv4.ip_forward"), (6, "net.ipv6.conf.all.forwarding")):
        is_needed = any(ip_address(one).version == version for one in expected.addresses)
        if is_needed and state.kubelet_is_live and state.member.forwards.get(version) is False:
            yield Finding(
                "packets_are_forwarded",
                "error",
                key,
                "0",
                "1: without it, no packet passes between this host's Pods and other hosts",
                f"`ansible-playbook site.yml --limit {expected.name}` sets it. At once: `sysctl --write {key}=1`.",
            )


# Certificates that only the host has

LAST_DAYS = 7
_RENEW = "`ansible-playbook site.yml` renews it, and restarts what uses it."
_EXTERNAL = (
    "The key of its CA is not on this host, so site.yml cannot renew it. Issue it again with your CA, put it and its key in the same "
    "place, and restart the Pod that uses it: move its manifest out of /etc/kubernetes/manifests for 20 s, and back."
)
_CA = "kubeadm does not renew a CA. Plan its replacement: https://kubernetes.io/docs/tasks/tls/manual-rotation-of-ca-certificates/"


def certificates_stay_valid(state: HostState, expected: Expectations) -> Iterator[Finding]:
    if not expected.certificate_days:
        return
    now = datetime.fromtimestamp(state.clock, timezone.utc)
    ending: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for path, end in state.member.certificates.items():
        left = -1e9 if end is None else (end - now).total_seconds() / 86400
        if left < max(expected.certificate_days, LAST_DAYS):
            ending[_next_step(path, expected.name, left, path in state.member.external)].append((left, path))
    for fix, several in ending.items():
        left, path = min(several)
        more = f", and {len(several) - 1} more" if len(several) > 1 else ""
        what = "cannot be read" if left < -1e8 else "has expired" if left <= 0 else f"expires in {left:.1f} days"
        severity = "error" if left < LAST_DAYS else "warning"
        expected_days = f"valid for {expected.certificate_days} days or more"
        yield Finding("certificates_stay_valid", severity, f"certificate {path}{more}", what, expected_days, fix)  # type: ignore[arg-type]


def _next_step(path: str, name: str, left: float, is_external: bool) -> str:
    if path.endswith("/ca.crt") or path.endswith("-ca.crt"):
        return _CA
    if not path.startswith(f"{KUBELET_PKI}/"):
        return _EXTERNAL if is_external else _RENEW
    if left > 0:
        return "kubelet renews it by itself and has not: see `journalctl -u kubelet`, then `systemctl restart kubelet`."
    return (
        f"On the control plane, `kubeadm kubeconfig user --org system:nodes --client-name system:node:{name} > kubelet.conf`. On {name}, "
        f"put that file at /etc/kubernetes/kubelet.conf, delete {KUBELET_PKI}/kubelet-client*, then `systemctl restart kubelet`."
    )


DOCKER_CONFIGURATION = "/etc/docker/daemon.json"
# Calico's devices, and those on which kube-proxy and a DNS cache hold Service addresses
_CLUSTERS_DEVICES = ("cali", "tunl", "vxlan.calico", "vxlan-v6.calico", "wireguard.cali", "wg-v6.cali", "kube-ipvs", "nodelocaldns")
# BIRD's and Felix's routes: names or numbers of rtnetlink(7)
_CLUSTERS_PROTOCOLS = frozenset({"bird", "12", "80"})
_NO_NETWORKS = frozenset({"broadcast", "multicast", "anycast"})
RULE = "host_networks_are_apart_from_the_clusters"


def look_at_networks(commands: Commands) -> Optional[tuple[HostNetwork, ...]]:
    """Return the host's own networks; None if they are unknown."""
    if not commands.has("ip"):
        return None
    return host_networks(commands.run(["ip", "-json", "route", "show", "table", "all"], timeout=10.0, check=False).stdout)


def host_networks(text: str) -> Optional[tuple[HostNetwork, ...]]:
    """Parse ``ip -json route show table all``: routes of both IP versions, and the host's own addresses as local routes."""
    try:
        routes = [route for route in read_json(text) if route and not _is_the_clusters(route)]
        found = {HostNetwork(ipaddress.ip_network(route["dst"]), _device(route)): None for route in routes}
    except (ValueError, KeyError, AttributeError, TypeError):
        return None
    # an address inside a network of the same interface is no other network
    return tuple(one for one in found if not any(_contains(other, one) for other in found))


def _is_the_clusters(route: Mapping[str, Any]) -> bool:
    device = _device(route)
    return (
        route["dst"] == "default"
        or route.get("type") in _NO_NETWORKS
        or str(route.get("protocol")) in _CLUSTERS_PROTOCOLS
        or device.startswith(_CLUSTERS_DEVICES)
        or device in INTERFACE_OWNERS
    )


def _device(route: Mapping[str, Any]) -> str:
    first: Mapping[str, Any] = (route.get("nexthops") or [route])[0]
    return str(first.get("dev", ""))


def _contains(outer: HostNetwork, inner: HostNetwork) -> bool:
    return (
        outer != inner
        and outer.device == inner.device
        and meets(outer.network, inner.network)
        and relation(outer.network, inner.network) == "covers"
    )


def docker_pools(files: HostFiles, commands: Commands) -> tuple[Network, ...]:
    """Return the networks from which Docker takes those of its bridges; () if there is no Docker. An unreadable file counts as none."""
    if not commands.has("dockerd"):
        return ()
    try:
        pools = read_json(files.read(DOCKER_CONFIGURATION) or "{}").get("default-address-pools") or []
        return tuple(ipaddress.ip_network(pool["base"], strict=False) for pool in pools) or DOCKER_POOLS
    except (ValueError, KeyError, AttributeError, TypeError):
        return DOCKER_POOLS


def host_networks_are_apart_from_the_clusters(state: HostState, expected: Expectations) -> Iterator[Finding]:
    if not expected.networks:
        return
    if state.networks is None:
        required = "networks that overlap neither Pods nor Services"
        yield Finding(RULE, "unknown", "networks of the host", "no routes from `ip -json`", required, "Install iproute2 (RHEL: iproute).")
    for one in state.networks or ():
        for name, network in expected.networks:
            if meets(one.network, network):
                covers = relation(one.network, network) == "covers"
                yield Finding(
                    RULE,
                    # a running cluster keeps its networks
                    "warning" if covers or state.kubelet_is_live else "error",
                    f"network {one.network} of {one.device or 'a route'}",
                    f"it {relation(one.network, network)} {name} {network}",
                    "a network that does not overlap it: this host cannot reach its addresses there"
                    if covers
                    else "a network that does not overlap it: this host sends packets for those Pods and Services there",
                    _way_out(one.device, name, state),
                )
    yield from _pools(state, expected.networks)


def _way_out(device: str, name: str, state: HostState) -> str:
    # an address of DNS moves alone; the ranges of a running cluster cannot be changed
    plan = f", or move {name} in the inventory" if not state.kubelet_is_live else ""
    if device == "docker0":
        return f"Give Docker another bridge (`bip` in {DOCKER_CONFIGURATION}), and restart it{plan}."
    if device.startswith("br-"):
        return (
            f"If it is Docker's (`docker network ls`), set `default-address-pools` in {DOCKER_CONFIGURATION}, restart Docker, and recreate "
            f"the network (`docker compose down`, then `up`){plan}."
        )
    if device.startswith("virbr"):
        return f"Give the network of libvirt another range with `virsh net-edit`, and restart it{plan}."
    if device.startswith(("wg", "tun", "tap", "tailscale", "ppp", "zt", "ipsec")):
        return f"Remove the range from what the VPN routes to this host (WireGuard: AllowedIPs; Tailscale: `--accept-routes=false`){plan}."
    return f"See it with `ip route show table all dev {device or 'DEVICE'}`, and give that network another range{plan}."


def _pools(state: HostState, networks: Sequence[tuple[str, Network]]) -> Iterator[Finding]:
    for pool in state.docker_pools:
        for name, network in networks:
            if meets(pool, network):
                yield Finding(
                    RULE,
                    "warning",
                    f"address pool {pool} of Docker",
                    f"it {relation(pool, network)} {name} {network}",
                    "pools that do not overlap it: Docker may create a network there at any time",
                    f"Set `default-address-pools` in {DOCKER_CONFIGURATION} to other networks, and restart Docker.",
                )
