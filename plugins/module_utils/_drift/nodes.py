# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts of the inventory beside the nodes of the cluster."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.vmstation.cluster.plugins.module_utils._drift.comparing import NOTHING, Comparison, Point, minor_version
from ansible_collections.vmstation.cluster.plugins.module_utils._drift.model import Object, Sight
from ansible_collections.vmstation.cluster.plugins.module_utils._drift.wanted import Host, Wanted
from ansible_collections.vmstation.cluster.plugins.module_utils._nodes.judge import IN_INVENTORY, how_to_leave
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

# https://kubernetes.io/releases/version-skew-policy/
_KUBELET_MAY_BE_BEHIND = 3
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
            yield Point(IN_INVENTORY, f"node {name}", "inventory", how_to_leave(name)).compare("a host of it", NOTHING)


def _membership(host: Host, *, asleep: bool) -> Point:
    when = "When it is awake, run" if asleep else "Run"
    fix = f"{when} site.yml, which joins it, or take {host.name} out of the inventory."
    return Point("hosts_are_nodes", f"node {host.name}", "Node", fix, "warning" if asleep else "error")


def _of_node(wanted: Wanted, host: Host, node: Object) -> Iterator[Comparison]:
    subject = f"node {host.name}"
    found = [one["address"] for one in node["status"].get("addresses") or () if one.get("type") == "InternalIP"]
    fix = (
        "Correct the host's address in the inventory. If that is right, set --node-ip in /var/lib/kubelet/kubeadm-flags.env on "
        f"{host.name}, and `systemctl restart kubelet`."
    )
    yield Point("nodes_have_the_inventorys_addresses", subject, "InternalIP", fix).compare(sorted(host.addresses), sorted(found))
    if host.name not in wanted.asleep:
        live = "cordoned" if node["spec"].get("unschedulable") else "schedulable"
        fix = f"No Pod comes to it. If nobody wants it so, `kubectl uncordon {host.name}`."
        yield Point("nodes_that_are_awake_are_not_cordoned", subject, "spec.unschedulable", fix).compare("schedulable", live)
    yield _of_version(wanted, host, node)


def _of_version(wanted: Wanted, host: Host, node: Object) -> Comparison:
    """A kubelet may be some minor versions behind the API server, never ahead."""
    live = (node["status"].get("nodeInfo") or {}).get("kubeletVersion")
    major, minor = minor_version(live)
    bearable = major == wanted.version[0] and 0 < wanted.version[1] - minor <= _KUBELET_MAY_BE_BEHIND
    fix = f"Upgrade {host.name} with upgrade.yml, or correct network_plan.kubernetes_version."
    point = Point("kubelets_have_the_planned_version", f"node {host.name}", "kubelet's version", fix, "warning" if bearable else "error")
    return point.judged(".".join(map(str, wanted.version)), live, (major, minor) == wanted.version)
