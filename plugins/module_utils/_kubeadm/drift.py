# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a running cluster is configured otherwise than it would be now."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._findings import Finding

RULE = "the_cluster_is_configured_as_planned"
# what a running cluster keeps for good
_FOR_GOOD = ("networking.", "clusterName", "controlPlaneEndpoint")
_FIX = {
    "good": "A running cluster keeps it: put the setting back, or reset the hosts and make the cluster anew.",
    "version": "Upgrade the cluster to it, one minor version at a time, or put the version back.",
    "other": "Put the setting back, or change the cluster: `kubeadm init phase {phase} --config /etc/kubernetes/vmstation-kubeadm.yaml`.",
}
_PHASES = {
    "ClusterConfiguration": "upload-config kubeadm` and `kubeadm init phase control-plane all",
    "KubeletConfiguration": "upload-config kubelet` and `kubeadm init phase kubelet-start",
    "KubeProxyConfiguration": "addon kube-proxy",
}
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_NOWHERE = object()


def drift(wanted: Mapping[str, Any], live: Optional[Mapping[str, Any]], where: str) -> list[Finding]:
    """Settings of ``wanted`` that the live document does not have. What the live one has beyond them is kubeadm's own."""
    kind = str(wanted.get("kind"))
    if live is None:
        return []
    return [
        Finding(
            RULE,
            "warning",
            f"{where}: {kind}.{path}",
            _shown(found),
            _shown(value),
            _fix(kind, path),
        )
        for path, value, found in _differences(wanted, live, "")
        if path not in ("apiVersion", "kind")
    ]


def _differences(wanted: object, live: object, path: str) -> Iterator[tuple[str, object, object]]:
    if isinstance(wanted, Mapping) and isinstance(live, Mapping):
        for key, value in wanted.items():
            yield from _differences(value, live.get(key, _NOWHERE), f"{path}.{key}" if path else str(key))
    elif _arguments(wanted) is not None and _arguments(live) is not None:
        yield from _differences(_arguments(wanted), _arguments(live), path)
    elif path.endswith("certSANs") and isinstance(wanted, list) and isinstance(live, list):
        if not set(wanted) <= set(live):
            yield path, wanted, live
    elif not _same(wanted, live):
        yield path, wanted, live


def _arguments(value: object) -> Optional[dict[str, list[str]]]:
    """A list of names and values, as kubeadm writes arguments, by name."""
    if not isinstance(value, list) or not value or not all(isinstance(one, Mapping) and set(one) == {"name", "value"} for one in value):
        return None
    found: dict[str, list[str]] = {}
    for one in value:
        found.setdefault(one["name"], []).append(one["value"])
    return found


def _same(wanted: object, live: object) -> bool:
    if live is _NOWHERE:
        # kubeadm leaves out what is empty
        return wanted in ({}, [], "", None)
    return bool(wanted == live) or (_seconds(wanted) is not None and _seconds(wanted) == _seconds(live))


def _seconds(value: object) -> Optional[int]:
    match = _DURATION.fullmatch(value) if isinstance(value, str) and value else None
    if match is None:
        return None
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds


def _shown(value: object) -> str:
    return "nothing" if value is _NOWHERE else str(value)


def _fix(kind: str, path: str) -> str:
    if kind == "ClusterConfiguration" and path.startswith(_FOR_GOOD):
        return _FIX["good"]
    if path == "kubernetesVersion":
        return _FIX["version"]
    return _FIX["other"].format(phase=_PHASES.get(kind, "all"))
