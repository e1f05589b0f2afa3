# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one table of port facts: which ports a cluster needs, where, from whom, why, and the document that says so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Literal, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.model import (
    ROLES,
    DeclaredPort,
    Plan,
    PortRange,
    Role,
)

Sources = Literal["anyone", "hosts", "control_plane", "node_network", "ipv4_node_network"]

KUBERNETES_PORTS = "https://kubernetes.io/docs/reference/networking/ports-and-protocols/"
CALICO_REQUIREMENTS = "https://docs.tigera.io/calico/latest/getting-started/kubernetes/requirements"
FELIX_METRICS = "https://docs.tigera.io/calico/latest/operations/monitor/monitor-component-metrics"
ETCD_METRICS = "https://etcd.io/docs/latest/op-guide/monitoring/"
KUBE_PROXY = "https://kubernetes.io/docs/reference/config-api/kube-proxy-config.v1alpha1/"
NODE_PORTS = "https://kubernetes.io/docs/concepts/services-networking/service/#type-nodeport"
NODE_EXPORTER = "https://github.com/prometheus/node_exporter"
OPENSSH = "https://man.openbsd.org/sshd_config#Port"

SSH_PORT = 22


@dataclass(frozen=True)
class PortFact:
    """A port of the cluster, in one place.

    name: how people call it. ports: None for an IP protocol; a string names where the number comes from (`ssh`, `node_port_range`).
    roles: hosts that listen there. sources: who may reach it. when: whether a plan needs it; wording: the same, in words.
    carries_pods: whether packets between pods of two nodes, or the routes for them, travel there.
    """

    name: str
    protocol: str
    ports: Optional[PortRange]
    roles: tuple[Role, ...]
    sources: Sources
    reason: str
    document: str
    when: Callable[[Plan], bool] = lambda plan: True
    wording: str = "always"
    ports_from: Literal["fact", "ssh", "node_port_range"] = "fact"
    carries_pods: bool = False


def uses_ipip(plan: Plan) -> bool:
    return (plan.encapsulation or "").startswith("IPIP") and any(net.version == 4 for net in plan.pod_cidr or ())


def uses_vxlan(plan: Plan) -> bool:
    return (plan.encapsulation or "").startswith("VXLAN")


def uses_bgp(plan: Plan) -> bool:
    """Calico's VXLAN, cross-subnet or not, does not use BGP; IP-in-IP and unencapsulated pools do.

    Source: https://docs.tigera.io/calico/latest/networking/configuring/vxlan-ipip
    """
    return plan.encapsulation is not None and not uses_vxlan(plan)


def _says_enough(plan: Plan) -> bool:
    return plan.encapsulation is not None and plan.pod_cidr is not None


def has_service_over(plan: Plan, transport: str) -> bool:
    return any(service.protocol == transport and service.type != "ClusterIP" for service in plan.services or ())


_CONTROL_PLANE: tuple[Role, ...] = ("control_plane",)
PORT_FACTS = (
    PortFact("SSH", "tcp", None, ROLES, "anyone", "Ansible and its owner reach the host", OPENSSH, ports_from="ssh"),
    PortFact(
        "Kubernetes API",
        "tcp",
        PortRange(6443, 6443),
        _CONTROL_PLANE,
        "anyone",
        "nodes, pods and kubectl talk to the API server",
        KUBERNETES_PORTS,
    ),
    PortFact(
        "etcd",
        "tcp",
        PortRange(2379, 2380),
        _CONTROL_PLANE,
        "control_plane",
        "API servers and etcd members, only of the control plane",
        KUBERNETES_PORTS,
    ),
    PortFact(
        "etcd metrics",
        "tcp",
        PortRange(2381, 2381),
        _CONTROL_PLANE,
        "hosts",
        "Prometheus scrapes its metrics, and nothing else answers there",
        ETCD_METRICS,
    ),
    PortFact(
        "kubelet",
        "tcp",
        PortRange(10250, 10250),
        ROLES,
        "hosts",
        "the API server fetches logs and runs exec, Prometheus scrapes",
        KUBERNETES_PORTS,
    ),
    PortFact(
        "kube-controller-manager",
        "tcp",
        PortRange(10257, 10257),
        _CONTROL_PLANE,
        "hosts",
        "Prometheus scrapes its metrics",
        KUBERNETES_PORTS,
    ),
    PortFact(
        "kube-scheduler",
        "tcp",
        PortRange(10259, 10259),
        _CONTROL_PLANE,
        "hosts",
        "Prometheus scrapes its metrics",
        KUBERNETES_PORTS,
    ),
    PortFact(
        "kube-proxy metrics",
        "tcp",
        PortRange(10249, 10249),
        ROLES,
        "hosts",
        "Prometheus scrapes its metrics",
        KUBE_PROXY,
    ),
    PortFact(
        "Calico Felix metrics",
        "tcp",
        PortRange(9091, 9091),
        ROLES,
        "hosts",
        "Prometheus scrapes its metrics",
        FELIX_METRICS,
    ),
    PortFact(
        "Calico BGP",
        "tcp",
        PortRange(179, 179),
        ROLES,
        "node_network",
        "nodes tell each other their pod routes",
        CALICO_REQUIREMENTS,
        uses_bgp,
        "encapsulation IPIP, IPIPCrossSubnet or None",
        carries_pods=True,
    ),
    PortFact(
        "Calico IP-in-IP",
        "4",
        None,
        ROLES,
        "ipv4_node_network",
        "packets between pods of two nodes travel inside IP protocol 4",
        CALICO_REQUIREMENTS,
        uses_ipip,
        "encapsulation IPIP or IPIPCrossSubnet",
        carries_pods=True,
    ),
    PortFact(
        "Calico VXLAN",
        "udp",
        PortRange(4789, 4789),
        ROLES,
        "node_network",
        "packets between pods of two nodes travel inside VXLAN",
        CALICO_REQUIREMENTS,
        uses_vxlan,
        "encapsulation VXLAN or VXLANCrossSubnet",
        carries_pods=True,
    ),
    PortFact(
        "NodePorts",
        "tcp",
        None,
        ROLES,
        "anyone",
        "Services answer on every node",
        NODE_PORTS,
        ports_from="node_port_range",
    ),
    PortFact(
        "NodePorts over UDP",
        "udp",
        None,
        ROLES,
        "anyone",
        "a Service of the plan uses UDP",
        NODE_PORTS,
        lambda plan: has_service_over(plan, "udp"),
        "a service with protocol udp",
        "node_port_range",
    ),
    PortFact(
        "NodePorts over SCTP",
        "sctp",
        None,
        ROLES,
        "anyone",
        "a Service of the plan uses SCTP",
        NODE_PORTS,
        lambda plan: has_service_over(plan, "sctp"),
        "a service with protocol sctp",
        "node_port_range",
    ),
    PortFact("node exporter", "tcp", PortRange(9100, 9100), ROLES, "hosts", "Prometheus scrapes the host's own figures", NODE_EXPORTER),
)


@dataclass(frozen=True)
class StaleFact:
    """A port that people still open and that nothing of this cluster uses. when: under which plan it is stale."""

    port: DeclaredPort
    what: str
    instead: str
    when: Callable[[Plan], bool] = lambda plan: True


STALE_FACTS = (
    StaleFact(
        DeclaredPort("udp", PortRange(8472, 8472)),
        "Flannel's VXLAN; this cluster runs Calico",
        "protocol 4 and 179/tcp under IPIP, 4789/udp under VXLAN",
    ),
    StaleFact(
        DeclaredPort("udp", PortRange(8285, 8285)),
        "Flannel's UDP backend; this cluster runs Calico",
        "protocol 4 and 179/tcp under IPIP, 4789/udp under VXLAN",
    ),
    StaleFact(
        DeclaredPort("tcp", PortRange(10251, 10251)), "the kube-scheduler's port of former years; nothing listens there", "10259/tcp"
    ),
    StaleFact(
        DeclaredPort("tcp", PortRange(10252, 10252)),
        "the kube-controller-manager's port of former years; nothing listens there",
        "10257/tcp",
    ),
    StaleFact(DeclaredPort("tcp", PortRange(10255, 10255)), "the kubelet's read-only port, off under kubeadm", "10250/tcp"),
    StaleFact(DeclaredPort("94"), "what Debian's name ipip stands for; IP-in-IP is another protocol", "protocol 4"),
    StaleFact(
        DeclaredPort("4"),
        "IP-in-IP, which this encapsulation does not use",
        "what the encapsulation needs",
        lambda plan: _says_enough(plan) and not uses_ipip(plan),
    ),
    StaleFact(
        DeclaredPort("tcp", PortRange(179, 179)),
        "BGP, which Calico's VXLAN does not use",
        "4789/udp",
        lambda plan: _says_enough(plan) and not uses_bgp(plan),
    ),
    StaleFact(
        DeclaredPort("udp", PortRange(4789, 4789)),
        "VXLAN, which this encapsulation does not use",
        "what the encapsulation needs",
        lambda plan: _says_enough(plan) and not uses_vxlan(plan),
    ),
)
