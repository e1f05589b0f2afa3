# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Service ranges beyond those of the API server's flag, as ServiceCIDR objects: made and waited for, never changed or deleted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.vmstation.cluster.plugins.module_utils._findings import Finding

PATH = "/apis/networking.k8s.io/v1/servicecidrs"
# the API server's own, of its flag
DEFAULT_NAME = "kubernetes"


@dataclass(frozen=True)
class ServiceRanges:
    """missing: ranges to make. waiting: ranges that are there and not ready, with the reason. findings: objects that nobody asked for."""

    missing: tuple[str, ...]
    waiting: Mapping[str, str]
    findings: tuple[Finding, ...]


def judge(wanted: Sequence[str], objects: Sequence[Mapping[str, Any]]) -> ServiceRanges:
    """What of the wanted ranges is there, in whatever object."""
    ready: dict[str, str] = {}
    unasked = []
    for one in objects:
        name, cidrs = one["metadata"]["name"], [str(cidr) for cidr in one["spec"].get("cidrs", [])]
        ready.update(dict.fromkeys(cidrs, _why_not_ready(one)))
        if name != DEFAULT_NAME and not set(cidrs) & set(wanted):
            unasked.append(_unasked(name, cidrs, wanted))
    return ServiceRanges(
        missing=tuple(cidr for cidr in wanted if cidr not in ready),
        waiting={cidr: ready[cidr] for cidr in wanted if ready.get(cidr)},
        findings=tuple(unasked),
    )


def manifest(cidr: str) -> dict[str, Any]:
    """A ServiceCIDR of one range, named after it."""
    name = "vmstation-" + cidr.replace("/", "-").replace(".", "-").replace("::", "-x").replace(":", "-")
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "ServiceCIDR",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/managed-by": "vmstation.cluster"}},
        "spec": {"cidrs": [cidr]},
    }


def _why_not_ready(thing: Mapping[str, Any]) -> str:
    if thing["metadata"].get("deletionTimestamp"):
        return "it is being deleted: Services still use addresses of it"
    for condition in thing.get("status", {}).get("conditions", []):
        if condition.get("type") == "Ready":
            return "" if condition.get("status") == "True" else str(condition.get("message") or condition.get("reason") or "not Ready")
    return "no condition Ready yet"


def _unasked(name: str, cidrs: Sequence[str], wanted: Sequence[str]) -> Finding:
    return Finding(
        "service_ranges_are_the_plans",
        "warning",
        f"ServiceCIDR {name}",
        ", ".join(cidrs),
        ", ".join(wanted) or "no range beyond service_cidr",
        f"Services without a clusterIP may get an address of it. If nothing uses it, remove it with `kubectl delete servicecidr {name}`.",
    )
