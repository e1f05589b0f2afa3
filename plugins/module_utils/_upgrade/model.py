# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked for, and what runs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._installation.release import release_of
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

Release = tuple[int, int, int]

_TAG = re.compile(r"[^@]*/[^/:@]+:([^@]+)(@.*)?")


@dataclass(frozen=True)
class Host:
    """A host of the inventory, under its node's name."""

    name: str
    is_control_plane: bool


@dataclass(frozen=True)
class Request:
    """release: as in 1.36.4. asleep: hosts that are known to sleep."""

    release: str
    hosts: tuple[Host, ...]
    asleep: frozenset[str] = frozenset()

    @property
    def wanted(self) -> Release:
        return release_of(self.release) or (0, 0, 0)


@dataclass(frozen=True)
class Node:
    """A Node object. kubelet: its release. runtime: as in containerd://1.6.20. takes_pods: no taint keeps ordinary Pods away."""

    name: str
    kubelet: str
    ready: bool
    schedulable: bool
    takes_pods: bool
    runtime: str = ""


@dataclass(frozen=True)
class Sight:
    """What runs. configured: of kubeadm's ConfigMap. kube_proxy, calico, coredns: tags of their images; None: not there."""

    api_server: str
    nodes: Mapping[str, Node]
    configured: Optional[str] = None
    kube_proxy: Optional[str] = None
    calico: Optional[str] = None
    coredns: Optional[str] = None


@dataclass(frozen=True)
class Plan:
    """lines: the steps in their order; none if there is nothing to do. control_plane: whether its components are to be upgraded.

    nodes: those whose kubelet is to be upgraded now, the control plane first.
    """

    lines: Sequence[str] = ()
    control_plane: bool = False
    nodes: Sequence[str] = field(default_factory=tuple)


def read_request(options: Mapping[str, Any]) -> Request:
    """Options of upgrade_plan_check, as Ansible has typed them."""
    if release_of(options["release"]) is None:
        raise Refusal("release", repr(options["release"]), "a whole release such as 1.36.4", "Set node_kubernetes_release to one.")
    hosts = tuple(Host(str(host["name"]).lower(), host.get("role") == "control_plane") for host in options["nodes"])
    if sum(host.is_control_plane for host in hosts) != 1:
        names = [host.name for host in hosts if host.is_control_plane]
        raise Refusal(
            "nodes",
            f"{', '.join(names) or 'no host'} of the control plane",
            "one host of it",
            "Pass what the filter cluster_hosts returns.",
        )
    return Request(options["release"].lstrip("v"), hosts, frozenset(name.lower() for name in options["asleep"]))


def tag_of(image: str) -> Optional[str]:
    """``v1.36.4`` of ``registry.k8s.io/kube-proxy:v1.36.4``; None of an image without a tag."""
    found = _TAG.fullmatch(image)
    return found[1] if found else None
