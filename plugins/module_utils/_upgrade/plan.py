# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of an upgrade, in their order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._installation.release import release_of
from ansible_collections.vmstation.cluster.plugins.module_utils._upgrade.model import Host, Plan, Request, Sight


def plan(request: Request, seen: Sight) -> Plan:
    """Control plane, its kubelet, then workers one by one; a host that sleeps is left for the next run."""
    behind = [host for host in _in_order(request) if _is_behind(request, host, seen)]
    now = [host for host in behind if host.is_control_plane or seen.nodes[host.name].ready]
    components = list(_components(request, seen))
    lines = [f"control plane: {', '.join(components)}; its certificates are renewed"] if components else []
    lines += [_line(host, request, seen) for host in behind]
    if components or now:
        runs = [f"{name} {tag}" for name, tag in (("Calico", seen.calico), ("CoreDNS", seen.coredns)) if tag]
        lines.append(f"all: site.yml, which brings {', '.join(runs) or 'Calico, CoreDNS'} and the workloads to the releases of their roles")
    return Plan(lines, bool(components), [host.name for host in now])


def as_data(request: Request, seen: Sight, planned: Plan) -> dict[str, dict[str, Any]]:
    """Each node of the inventory that is there."""
    return {
        host.name: {
            "release": seen.nodes[host.name].kubelet,
            "ready": seen.nodes[host.name].ready,
            "schedulable": seen.nodes[host.name].schedulable,
            "takes_pods": seen.nodes[host.name].takes_pods,
            "upgrade": host.name in planned.nodes,
        }
        for host in request.hosts
        if host.name in seen.nodes
    }


def _in_order(request: Request) -> list[Host]:
    return sorted(request.hosts, key=lambda host: not host.is_control_plane)


def _is_behind(request: Request, host: Host, seen: Sight) -> bool:
    return host.name in seen.nodes and release_of(seen.nodes[host.name].kubelet) != request.wanted


def _components(request: Request, seen: Sight) -> Iterator[str]:
    """What of the control plane has another release. What is not there is site.yml's to make."""
    running: tuple[tuple[str, Optional[str]], ...] = (
        ("API server", seen.api_server),
        ("kubeadm's configuration", seen.configured),
        ("kube-proxy", seen.kube_proxy),
    )
    for name, release in running:
        if release is not None and release_of(release) != request.wanted:
            yield f"{name} {release} -> v{request.release}"


def _line(host: Host, request: Request, seen: Sight) -> str:
    node = seen.nodes[host.name]
    if host.is_control_plane:
        return f"{host.name}: kubelet {node.kubelet} -> v{request.release}"
    if not node.ready:
        return f"{host.name}: asleep, its kubelet {node.kubelet} is left for the next run"
    return f"{host.name}: its Pods move to other nodes, kubelet {node.kubelet} -> v{request.release}"
