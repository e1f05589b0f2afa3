# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads what runs: a fixed number of requests, and one list of nodes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._io.cluster import ClusterReader
from ansible_collections.vmstation.cluster.plugins.module_utils._nodes.judge import judge
from ansible_collections.vmstation.cluster.plugins.module_utils._upgrade.model import Node, Sight, tag_of

Object = Mapping[str, Any]

SYSTEM = "kube-system"
# kubeadm writes this document by itself, a key on each line
CONFIGURED = re.compile(r"^kubernetesVersion:\s*(\S+)\s*$", re.MULTILINE)


def look(cluster: ClusterReader) -> Sight:
    nodes = [node_of(one) for one in cluster.items("v1", "Node")]
    configuration = ((cluster.get("v1", "ConfigMap", "kubeadm-config", SYSTEM) or {}).get("data") or {}).get("ClusterConfiguration", "")
    found = CONFIGURED.search(configuration)
    return Sight(
        api_server=str(cluster.read("/version").get("gitVersion", "")),
        nodes={node.name: node for node in nodes},
        configured=found[1] if found else None,
        kube_proxy=_tag(cluster.get("apps/v1", "DaemonSet", "kube-proxy", SYSTEM)),
        calico=_tag(cluster.get("apps/v1", "DaemonSet", "calico-node", SYSTEM)),
        coredns=_tag(cluster.get("apps/v1", "Deployment", "coredns", SYSTEM)),
    )


def node_of(one: Object) -> Node:
    verdict = judge(str(one["metadata"]["name"]), one, False)
    info = (one.get("status") or {}).get("nodeInfo") or {}
    taints = (one.get("spec") or {}).get("taints") or ()
    # a cordon is a taint, too
    effects = [taint["effect"] for taint in taints if taint["key"] != "node.kubernetes.io/unschedulable"]
    return Node(
        verdict.name,
        str(info.get("kubeletVersion") or ""),
        verdict.ready,
        verdict.schedulable,
        takes_pods=not {"NoSchedule", "NoExecute"}.intersection(effects),
        runtime=str(info.get("containerRuntimeVersion") or ""),
    )


def _tag(workload: Optional[Object]) -> Optional[str]:
    """Of the first container's image."""
    containers = ((((workload or {}).get("spec") or {}).get("template") or {}).get("spec") or {}).get("containers") or ()
    return tag_of(str(containers[0].get("image"))) if containers else None
