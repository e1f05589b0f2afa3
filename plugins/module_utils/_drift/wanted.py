# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a cluster would be told if it were made from the plan now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.vmstation.cluster.plugins.module_utils._calico.pools import read_plan
from ansible_collections.vmstation.cluster.plugins.module_utils._dns.model import DnsPlan, dns_plan
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.configuration import (
    ControlPlane,
    document_of,
    extra_service_cidrs,
    init_documents,
    node_addresses,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.model import Plan
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal


@dataclass(frozen=True)
class Host:
    """A host of the inventory. addresses: those that its node must have."""

    name: str
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class Wanted:
    """cluster, kubelet, kube_proxy: kubeadm's documents. extra_ranges: service ranges beyond service_cidr.

    ask_kubelets: whether each kubelet is asked; seconds: how long that may take for all of them together.
    """

    plan: Plan
    dns: DnsPlan
    cluster: Mapping[str, Any]
    kubelet: Mapping[str, Any]
    kube_proxy: Mapping[str, Any]
    extra_ranges: tuple[str, ...]
    hosts: tuple[Host, ...]
    asleep: frozenset[str] = frozenset()
    ask_kubelets: bool = True
    seconds: float = 15.0

    @property
    def version(self) -> tuple[int, int]:
        return self.plan.kubernetes_version or (0, 0)


def read_wanted(params: Mapping[str, Any]) -> Wanted:
    """The module's options, read. A plan that does not say what is compared is refused."""
    plan = read_plan(params["plan"], "cluster_drift_check")
    if params["timeout"] <= 0:
        raise Refusal("timeout", f"{params['timeout']:g}", "a number of seconds above 0", "Leave it out for 15 seconds.")
    # nothing that depends on a host is compared in these documents
    anywhere = ControlPlane("anywhere", ("127.0.0.1", "::1"), "{}.{}.0".format(*plan.kubernetes_version or (0, 0)))
    documents = init_documents(params["plan"], anywhere)
    # it is read again for each host: without what no address depends on
    of_addresses = {key: value for key, value in params["plan"].items() if key not in ("services", "declared_ports")}
    return Wanted(
        plan=plan,
        dns=dns_plan(params["plan"]),
        cluster=document_of(documents, "ClusterConfiguration"),
        kubelet=document_of(documents, "KubeletConfiguration"),
        kube_proxy=document_of(documents, "KubeProxyConfiguration"),
        extra_ranges=tuple(extra_service_cidrs(params["plan"])),
        hosts=tuple(_host(of_addresses, one) for one in params["nodes"]),
        asleep=frozenset(name.lower() for name in params["asleep"]),
        ask_kubelets=params["kubelets"],
        seconds=float(params["timeout"]),
    )


def _host(plan: object, entry: Mapping[str, Any]) -> Host:
    given = entry["address"]
    addresses = [str(one) for one in (given if isinstance(given, (list, tuple)) else [given])]
    return Host(entry["name"].lower(), tuple(node_addresses(plan, addresses, entry["name"])))
