# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The IP pools of a plan, and the pools that stand in a cluster."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any, Literal, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._calico.documents import Document
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import failures
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.model import Encapsulation, Network, Plan
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.ranges import Pool, pools
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.reading import read_cluster
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

Overlay = Literal["IPIP", "VXLAN", "None"]
Mode = Literal["Always", "CrossSubnet", "Never"]

API_VERSION = "crd.projectcalico.org/v1"
# as Calico names the pools that it makes by itself
DEFAULT_NAMES = {4: "default-ipv4-ippool", 6: "default-ipv6-ippool"}
DEFAULT_USES = ("Workload", "Tunnel")
EVERY_NODE = "all()"
_NEEDED = ("node_cidr", "pod_cidr", "encapsulation", "block_size", "kubernetes_version")


def read_plan(plan: object, who: str) -> Plan:
    """The plan, if it says all that Calico depends on; its other faults are for network_plan_check to tell."""
    cluster, findings = read_cluster(plan)
    for finding in failures(findings, "error"):
        if finding.rule == "the_plan_is_a_mapping" or finding.subject.removeprefix("network_plan.").startswith(_NEEDED):
            fix = f"{finding.fix} Run vmstation.cluster.network_plan_check and follow its findings.".strip()
            raise Refusal(f"{who}: {finding.subject}", finding.found, finding.expected, fix)
    return cluster.plan


def overlay_of(word: Encapsulation) -> Overlay:
    return "IPIP" if word.startswith("IPIP") else "VXLAN" if word.startswith("VXLAN") else "None"


def modes_of(word: Encapsulation) -> tuple[Mode, Mode]:
    """ipipMode and vxlanMode."""
    scope: Mode = "CrossSubnet" if word.endswith("CrossSubnet") else "Always"
    return (scope if overlay_of(word) == "IPIP" else "Never", scope if overlay_of(word) == "VXLAN" else "Never")


def leaves_by_nat(cidr: Network, wanted: bool) -> bool:
    """Whether pods reach the world under their node's address. IPv6 pods with addresses of their own in the world do without."""
    return wanted and (cidr.version == 4 or cidr.is_private)


@dataclass(frozen=True)
class LivePool:
    """An IPPool as it stands. cidr: None when it cannot be read."""

    name: str
    cidr: Optional[Network]
    block_size: int
    ipip: str
    vxlan: str
    nat_outgoing: bool
    disabled: bool
    node_selector: str
    allowed_uses: tuple[str, ...]
    assignment: str

    @property
    def overlay(self) -> Overlay:
        return "IPIP" if self.ipip != "Never" else "VXLAN" if self.vxlan != "Never" else "None"

    @property
    def scope(self) -> str:
        return self.ipip if self.ipip != "Never" else self.vxlan

    @property
    def serves_pods(self) -> bool:
        return not self.disabled and "Workload" in self.allowed_uses


def read_pools(resources: object) -> tuple[LivePool, ...]:
    """IPPool objects of the Kubernetes API; what they leave out is what Calico takes for it."""
    if not isinstance(resources, (list, tuple)):
        raise Refusal("pools", type(resources).__name__, "a list of IPPool objects", "Pass the resources of kubernetes.core.k8s_info.")
    return tuple(_live(resource) for resource in resources)


def _live(resource: object) -> LivePool:
    spec: Mapping[str, Any] = (resource.get("spec") or {}) if isinstance(resource, Mapping) else {}
    name = (resource.get("metadata") or {}).get("name") if isinstance(resource, Mapping) else None
    if not name or not spec.get("cidr"):
        raise Refusal("pools", "an object without name or spec.cidr", "IPPool objects", "Pass the resources of kubernetes.core.k8s_info.")
    try:
        cidr: Optional[Network] = ip_network(str(spec["cidr"]), strict=False)
    except ValueError:
        cidr = None
    return LivePool(
        name=str(name),
        cidr=cidr,
        block_size=int(spec.get("blockSize") or (122 if cidr is not None and cidr.version == 6 else 26)),
        ipip=spec.get("ipipMode") or "Never",
        vxlan=spec.get("vxlanMode") or "Never",
        nat_outgoing=bool(spec.get("natOutgoing")),
        disabled=bool(spec.get("disabled")),
        node_selector=spec.get("nodeSelector") or EVERY_NODE,
        allowed_uses=tuple(spec.get("allowedUses") or DEFAULT_USES),
        assignment=spec.get("assignmentMode") or "Automatic",
    )


def standing(pool: Pool, live: Iterable[LivePool]) -> Optional[LivePool]:
    """The live pool of a planned one: that of its network, whatever its name, as after a migration."""
    return next((one for one in live if one.cidr == pool.cidr), None)


def pool_documents(plan: Plan, live: Sequence[LivePool], nat_outgoing: bool) -> list[Document]:
    return [_document(pool, standing(pool, live), nat_outgoing) for pool in pools(plan)]


def _document(pool: Pool, live: Optional[LivePool], nat_outgoing: bool) -> Document:
    ipip, vxlan = modes_of(pool.encapsulation)
    return {
        "apiVersion": API_VERSION,
        "kind": "IPPool",
        "metadata": {"name": live.name if live else DEFAULT_NAMES[pool.cidr.version]},
        "spec": {
            "cidr": str(pool.cidr),
            "blockSize": pool.block_size,
            "ipipMode": ipip,
            "vxlanMode": vxlan,
            "natOutgoing": leaves_by_nat(pool.cidr, nat_outgoing),
            "nodeSelector": EVERY_NODE,
            "allowedUses": list(DEFAULT_USES),
        },
    }
