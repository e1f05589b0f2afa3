# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What speaks against an upgrade.

Facts: Kubernetes' version skew policy (https://kubernetes.io/releases/version-skew-policy/): kubeadm upgrades one minor version at a
time, and a kubelet may be three minor versions older than the API server and never newer. Nobody supports a way back to an older release.
"""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.vmstation.cluster.plugins.module_utils._findings import Finding
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.release import minor_text, release_of
from ansible_collections.vmstation.cluster.plugins.module_utils._nodes.judge import finding_of_stranger
from ansible_collections.vmstation.cluster.plugins.module_utils._preflight.software import (
    CONTAINERD_WITH_RUNTIME_CONFIG,
    KUBELET_REFUSES,
    OLDEST_KUBELET,
    PACKAGE_VERSION,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._upgrade.model import Host, Node, Release, Request, Sight

_WANTED = "node_kubernetes_release and network_plan.kubernetes_version"
_BACK = f"Set {_WANTED} to what runs, or newer. The way back to an older release is a backup: playbooks/restore.yml."


def judge(request: Request, seen: Sight) -> list[Finding]:
    """The API server first, then the nodes in the order of the inventory, then nodes that it does not name."""
    found = list(_of_api_server(request, seen))
    for host in request.hosts:
        node = seen.nodes.get(host.name)
        found += _of_absence(host) if node is None else _of_node(request, host, node)
    known = {host.name for host in request.hosts}
    return found + [finding_of_stranger(name) for name in seen.nodes if name not in known]


def _of_api_server(request: Request, seen: Sight) -> Iterator[Finding]:
    serving = release_of(seen.api_server)
    if serving is None:
        yield Finding(
            "the_api_server_tells_its_release", "error", "API server", repr(seen.api_server), "a release such as v1.36.4",
            "Ask it with `kubectl version`.",
        )  # fmt: skip
    elif request.wanted < serving:
        yield Finding("releases_go_forward", "error", "API server", seen.api_server, f"{request.release} or older", _BACK)
    elif _minor(request.wanted) not in (_minor(serving), (serving[0], serving[1] + 1)):
        following = minor_text((serving[0], serving[1] + 1))
        yield Finding(
            "one_minor_version_at_a_time", "error", "API server", f"{seen.api_server}, and {request.release} is wanted",
            f"the next minor version, {following}, or a later release of its own",
            f"Set {_WANTED} to a release of {following} first, upgrade, and go on from there.",
        )  # fmt: skip
    elif seen.configured is not None and release_of(seen.configured) != serving:
        yield Finding(
            "kubeadm_knows_the_release", "info", "ConfigMap kube-system/kubeadm-config", seen.configured, seen.api_server,
            "An upgrade that was interrupted; this one takes it to its end.",
        )  # fmt: skip


def _of_absence(host: Host) -> Iterator[Finding]:
    yield Finding(
        "hosts_are_nodes", "error" if host.is_control_plane else "warning", f"host {host.name}", "no Node", "a node of the cluster",
        "Run site.yml, which lets it join, with the release that runs now.",
    )  # fmt: skip


def _of_node(request: Request, host: Host, node: Node) -> Iterator[Finding]:
    subject, kubelet, wanted = f"node {node.name}", release_of(node.kubelet), request.wanted
    if not node.ready:
        asleep = host.name in request.asleep and not host.is_control_plane
        yield Finding(
            "nodes_are_ready", "info" if asleep else "error", subject, "asleep" if asleep else "not ready", "ready",
            "It is left for the next run." if asleep else f"See what keeps it: `kubectl describe node {node.name}`.",
        )  # fmt: skip
    if kubelet is None:
        yield Finding(
            "kubelets_tell_their_release", "error", subject, f"kubelet {node.kubelet!r}", "a release such as v1.36.4",
            f"Look at its kubelet: `kubelet --version` on {node.name}.",
        )  # fmt: skip
    elif kubelet > wanted:
        yield Finding("releases_go_forward", "error", subject, f"kubelet {node.kubelet}", f"{request.release} or older", _BACK)
    elif kubelet[0] != wanted[0] or wanted[1] - kubelet[1] > OLDEST_KUBELET:
        yield Finding(
            "kubelets_are_not_too_old", "error", subject, f"kubelet {node.kubelet}",
            f"at most {OLDEST_KUBELET} minor versions older than the API server, which is to be {request.release}",
            "Wake it, and upgrade it to the release that the API server has now first.",
        )  # fmt: skip
    yield from _of_runtime(request, node)
    if not node.schedulable and node.ready:
        yield Finding(
            "nodes_take_pods", "info", subject, "cordoned", "schedulable",
            "It stays so, unless a playbook of this collection has cordoned it.",
        )  # fmt: skip


def _of_runtime(request: Request, node: Node) -> Iterator[Finding]:
    kind, _colon, version = node.runtime.partition("://")
    found = PACKAGE_VERSION.match(version)
    too_old = found is not None and (int(found[1]), int(found[2])) < CONTAINERD_WITH_RUNTIME_CONFIG
    if kind == "containerd" and too_old and _minor(request.wanted) >= KUBELET_REFUSES:
        yield Finding(
            "containerd_suits_the_kubelet", "error", f"node {node.name}", f"containerd {version}",
            f"2.0 or later: kubelet {minor_text(_minor(request.wanted))} refuses to start with an older one",
            "Set node_containerd_package to containerd.io, of Docker's package repository, and run site.yml with the release that runs "
            "now. It names the packages that must be removed first.",
        )  # fmt: skip


def _minor(release: Release) -> tuple[int, int]:
    return release[:2]
