# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was seen of the cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional, TypeVar, Union

from ansible_collections.vmstation.cluster.plugins.module_utils._calico.pools import LivePool
from ansible_collections.vmstation.cluster.plugins.module_utils._dns.coredns_state import Service
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

Object = Mapping[str, Any]

T = TypeVar("T")
# what was read, or why it could not be
Seen = Union[T, Refusal]


@dataclass(frozen=True)
class Sight:
    """Everything that was read, in the order of reading.

    Configurations are {} when there is none. programs: the commands of the control plane's Pods, by component and then by Pod.
    service_ranges: the ServiceCIDR objects, None when the API server knows no such kind. corefile: None without one.
    kubelets: the real configuration of those that were asked, by node.
    """

    nodes: Seen[Sequence[Object]]
    server_version: Seen[str]
    cluster_configuration: Seen[Object]
    kubelet_configuration: Seen[Object]
    kube_proxy_configuration: Seen[Object]
    corefile: Seen[Optional[str]]
    programs: Seen[Mapping[str, Mapping[str, Sequence[str]]]]
    service_ranges: Seen[Optional[Sequence[Object]]]
    dns_services: Seen[Sequence[Service]]
    pools: Seen[Sequence[LivePool]]
    kubelets: Mapping[str, Seen[Object]] = field(default_factory=dict)
