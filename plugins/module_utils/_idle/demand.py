# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is asked for while asleep: a counter for each NodePort that only a sleeping worker could answer, in a table of our own."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.vmstation.cluster.plugins.module_utils._io.command import Commands
from ansible_collections.vmstation.cluster.plugins.module_utils._sleep.model import Sight
from ansible_collections.vmstation.cluster.plugins.module_utils._sleep.places import why_not

Object = Mapping[str, Any]

TABLE = "vmstation_idle_watch"
# before dstnat, -100, where kube-proxy translates or refuses, and after connection tracking, -200
PRIORITY = -110
# by which an EndpointSlice names its Service
OF_SERVICE = "kubernetes.io/service-name"
# of the taints that the cluster gives a node by itself, as it does one that is cordoned, or silent
OF_THE_CLUSTER = "node.kubernetes.io/"


@dataclass(frozen=True)
class Wanted:
    """A Service's NodePort, and the worker that would answer it."""

    service: str
    protocol: str
    port: int
    worker: str

    @property
    def counter(self) -> str:
        return f"{self.protocol}_{self.port}"

    def __str__(self) -> str:
        return f"Service {self.service}, port {self.port}/{self.protocol}"


def wanted(services: Iterable[Object], slices: Iterable[Object], seen: Sight, asleep: Sequence[str]) -> dict[str, Wanted]:
    """By counter: the NodePorts of Services that nobody answers, and that a Pod on one of ``asleep`` would."""
    answered = {_service_of(one) for one in slices if any(_is_ready(endpoint) for endpoint in one.get("endpoints") or ())}
    found = {}
    for service in services:
        spec, key = service["spec"], (service["metadata"]["namespace"], service["metadata"]["name"])
        selector = spec.get("selector") or {}
        ports = [port for port in spec.get("ports") or () if port.get("nodePort") and port.get("protocol", "TCP") in ("TCP", "UDP")]
        if key in answered or not selector or not ports:
            continue
        worker = next(
            (name for name in asleep if any(_selects(selector, key[0], pod) and _takes(name, pod, seen) for pod in seen.pods)), ""
        )
        for port in ports if worker else ():
            one = Wanted("/".join(key), port.get("protocol", "TCP").lower(), port["nodePort"], worker)
            found[one.counter] = one
    return found


def counted(commands: Commands) -> dict[str, int]:
    """The packets of each counter since the last call; empty without our table."""
    answer = commands.run(["nft", "-j", "reset", "counters", "table", "inet", TABLE], check=False)
    if answer.status != 0:
        return {}
    listed = [one["counter"] for one in json.loads(answer.stdout)["nftables"] if "counter" in one]
    return {one["name"]: int(one["packets"]) for one in listed}


def keep(commands: Commands, counters: Mapping[str, Wanted], standing: Iterable[str]) -> None:
    """Count for these, and nobody else; without any, the table goes. standing: the counters that there are."""
    if set(counters) == set(standing):
        return
    # the first line is for the second, which fails without a table
    rules = f"add table inet {TABLE}\ndelete table inet {TABLE}\n{table(counters) if counters else ''}"
    commands.run(["nft", "-f", "-"], stdin=rules)


def table(counters: Mapping[str, Wanted]) -> str:
    lines = [f"table inet {TABLE} {{"]
    lines += [f"  counter {name} {{ }}" for name in sorted(counters)]
    lines += ["  chain prerouting {", f"    type filter hook prerouting priority {PRIORITY}; policy accept;"]
    lines += [f"    {one.protocol} dport {one.port} ct state new counter name {name}" for name, one in sorted(counters.items())]
    return "\n".join([*lines, "  }", "}"]) + "\n"


def _service_of(one: Object) -> tuple[str, str]:
    return one["metadata"]["namespace"], (one["metadata"].get("labels") or {}).get(OF_SERVICE, "")


def _is_ready(endpoint: Object) -> bool:
    # absent means ready: discovery.k8s.io/v1, EndpointConditions
    return (endpoint.get("conditions") or {}).get("ready") is not False


def _selects(selector: Mapping[str, str], namespace: str, pod: Object) -> bool:
    labels = pod["metadata"].get("labels") or {}
    return pod["metadata"]["namespace"] == namespace and all(labels.get(key) == value for key, value in selector.items())


def _takes(name: str, pod: Object, seen: Sight) -> bool:
    """Whether the Pod is on this node, or waits and could be, once it is awake."""
    bound = pod["spec"].get("nodeName")
    if bound or name not in seen.nodes:
        return bool(bound == name)
    node = seen.nodes[name]
    taints = [one for one in (node["spec"].get("taints") or ()) if not one["key"].startswith(OF_THE_CLUSTER)]
    return not why_not(pod, {**node, "spec": {**node["spec"], "taints": taints}}, seen)
