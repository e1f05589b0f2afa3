# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of a pod network, and what came back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._findings import Finding, failures
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.model import DeclaredPort
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.port_facts import PORT_FACTS
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.reading import read_cluster
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

Object = dict[str, Any]
Kind = Literal["pod", "service", "dns"]
State = Literal["awake", "asleep", "not_ready", "not_started", "started"]

# each pod's answers must fit into the 4096 bytes that the kubelet passes on of a container
MOST_NODES = 100
MOST_NAMES = 20
# how long pods ask at most, with what it takes to hand them the questions and to fetch the answers
ASKING_SECONDS = 25.0
LEAST_SECONDS, MOST_SECONDS = 30.0, 600.0
_NEEDED = ("dns_service_ip", "dns_domain", "encapsulation", "pod_cidr")


@dataclass(frozen=True)
class Request:
    """What the module is asked. nodes: all of them, in the user's order. dns: addresses. names: to be resolved.

    ports: what hosts must let in from each other for the pods' packets, in words. seconds: for everything but removing.
    """

    nodes: tuple[str, ...]
    asleep: frozenset[str]
    dns: tuple[str, ...]
    names: tuple[str, ...]
    ports: tuple[str, ...]
    image: str
    seconds: float


@dataclass(frozen=True)
class Check:
    """One thing that a pod asks. source, target: nodes, or for DNS a node and a name. url: of pods and Services. server: of DNS."""

    source: str
    target: str
    kind: Kind
    url: str = ""
    server: str = ""


@dataclass(frozen=True)
class Row:
    """A line of the matrix. ok: None is unknown. seconds: what the last try took."""

    source: str
    target: str
    kind: Kind
    ok: Optional[bool]
    detail: str
    seconds: float = 0.0


@dataclass
class NodeSeen:
    """A node. reason, fix: why it has no probe pod that runs, and the next step. nameservers: what the kubelet gave its pod."""

    name: str
    state: State
    reason: str = ""
    fix: str = ""
    address: str = ""
    nameservers: tuple[str, ...] = ()


@dataclass
class Outcome:
    """Everything that was seen and done. refusal: what ended the probing early. left: what of it could not be removed."""

    nodes: dict[str, NodeSeen]
    rows: list[Row] = field(default_factory=list)
    placed: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    refusal: Optional[Refusal] = None
    left: Optional[Refusal] = None
    seconds: float = 0.0

    @property
    def is_changed(self) -> bool:
        """Whether the cluster is another one than before."""
        return bool(self.removed or self.left)

    def of_state(self, state: State) -> list[NodeSeen]:
        return [one for one in self.nodes.values() if one.state == state]


def request(params: Mapping[str, Any]) -> Request:
    """The module's options, read."""
    seconds = float(params["timeout"])
    if not LEAST_SECONDS <= seconds <= MOST_SECONDS:
        raise Refusal("timeout", f"{seconds:g}", f"{LEAST_SECONDS:g} to {MOST_SECONDS:g} seconds", "Leave it out for 60 seconds.")
    nodes = tuple(dict.fromkeys(str(one["name"]) for one in params["nodes"]))
    _at_most(MOST_NODES, nodes, "nodes", "Check them in groups.")
    cluster, findings = read_cluster(params["plan"])
    _refuse_if_unreadable(findings)
    plan = cluster.plan
    names = (f"kubernetes.default.svc.{plan.dns_domain}", *(str(one).rstrip(".") for one in params["names"]))
    _at_most(MOST_NAMES, names[1:], "names", "Leave out some.")
    for name in names:
        if not name or any(letter.isspace() or letter == "/" for letter in name) or name.startswith("-"):
            raise Refusal("names", repr(name), "a DNS name", "Correct it.")
    dns = tuple(str(one) for one in plan.dns_service_ip or ())
    asleep = frozenset(str(one) for one in params["asleep"])
    ports = tuple(str(DeclaredPort(fact.protocol, fact.ports)) for fact in PORT_FACTS if fact.carries_pods and fact.when(plan))
    return Request(nodes, asleep, dns, tuple(dict.fromkeys(names)), ports, str(params["image"]), seconds)


def _at_most(most: int, given: Sequence[str], option: str, fix: str) -> None:
    if len(given) > most:
        raise Refusal(option, f"{len(given)} entries", f"at most {most}", fix)


def _refuse_if_unreadable(findings: Sequence[Finding]) -> None:
    for finding in failures(findings, "error"):
        field_name = finding.subject.removeprefix("network_plan.")
        if finding.rule == "the_plan_is_a_mapping" or field_name.startswith(_NEEDED):
            raise Refusal(
                finding.subject, finding.found, finding.expected, f"{finding.fix} vmstation.cluster.network_plan_check says more."
            )
