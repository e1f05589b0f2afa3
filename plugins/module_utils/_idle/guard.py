# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs on a worker when the control plane's idle watch knocks: it answers two words, and refuses every other.

Who counts as somebody who uses the host. A TCP connection does that reaches the host or one of its Pods, unless

- it began at the host itself or in one of its Pods: kubelet's probes, and what Pods ask of each other. Who uses those Pods from elsewhere
  is seen there;
- it comes from a Pod that the watch names, of namespaces whose Pods ask all others by themselves, as Prometheus does;
- it comes from a node to a port of the host that the cluster itself needs: kubelet, metrics, BGP;
- no packet has passed for as long as a host must be idle: conntrack remembers for days who has just gone away.

Everything else is somebody, tunnel addresses and addresses of nodes among it: that is where a client comes from whom another node's
NodePort has answered.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Callable, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._idle import readings
from ansible_collections.vmstation.cluster.plugins.module_utils._idle.readings import Flow
from ansible_collections.vmstation.cluster.plugins.module_utils._io.command import Commands
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.port_facts import PORT_FACTS
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

WORDS = ("status", "sleep")
UNITS = ("poweroff.target", "suspend.target", "hibernate.target")
LONGEST = "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established"
CLUSTER_PORTS = frozenset(
    fact.ports.first for fact in PORT_FACTS if fact.ports and fact.protocol == "tcp" and "worker" in fact.roles
)  # fmt: skip


@dataclass(frozen=True)
class Knock:
    """What somebody asks. command: the words as SSH brings them. connection: SSH_CONNECTION. asked: a Question as JSON."""

    command: str
    connection: str
    asked: str


@dataclass(frozen=True)
class Question:
    """quiet: seconds without a packet after which a connection is nobody's. pods, nodes: addresses, see above."""

    quiet: float
    pods: frozenset[str]
    nodes: frozenset[str]

    def as_text(self) -> str:
        return json.dumps({"quiet": self.quiet, "pods": sorted(self.pods), "nodes": sorted(self.nodes)})


@dataclass(frozen=True)
class Status:
    """uptime: seconds. load: of the last five minutes. sessions, ssh, clients: who is there, each in words."""

    uptime: float
    load: float
    sessions: tuple[str, ...]
    ssh: tuple[str, ...]
    clients: tuple[str, ...]

    @property
    def somebody(self) -> list[str]:
        return [
            *(f"login session: {one}" for one in self.sessions),
            *(f"SSH connection from {one}" for one in self.ssh),
            *(f"client {one}" for one in self.clients),
        ]


def answer(knock: Knock, unit: str, commands: Commands, read_text: Callable[[str], Optional[str]]) -> dict[str, Any]:
    """A Status as data. After ``sleep``, ``told`` says whether the host was told to start ``unit``: only if nobody is there."""
    if knock.command not in WORDS:
        raise Refusal("what was asked", repr(knock.command), " or ".join(WORDS), "Nothing else is answered with this key.")
    if unit not in UNITS:
        raise Refusal("unit", repr(unit), " or ".join(UNITS), "Run the role idle_watch again.")
    status = _look(_question(knock.asked), knock.connection, commands, read_text)
    told = knock.command == "sleep" and not status.somebody
    if told:
        commands.run(["systemctl", "start", "--no-block", unit])
    return {**status.__dict__, "told": told}


def read_status(data: Mapping[str, Any]) -> Status:
    lists = {name: tuple(str(one) for one in data[name]) for name in ("sessions", "ssh", "clients")}
    return Status(float(data["uptime"]), float(data["load"]), **lists)


def _question(asked: str) -> Question:
    try:
        data = json.loads(asked)
        return Question(
            float(data["quiet"]), frozenset(map(readings.address, data["pods"])), frozenset(map(readings.address, data["nodes"]))
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Refusal("the question", f"no JSON of ours ({error})", "quiet, pods and nodes", "Run the role idle_watch again.") from error


def _look(question: Question, connection: str, commands: Commands, read_text: Callable[[str], Optional[str]]) -> Status:
    caller, caller_port = [*connection.split(), "", ""][:2]
    own = (readings.address(caller), int(caller_port))
    peers = readings.ssh_peers(commands.run(["ss", "-Htnp", "state", "established"]).stdout)
    seen = list(readings.flows(commands.run(["conntrack", "-L", "-p", "tcp", "--state", "ESTABLISHED", "-o", "extended"]).stdout))
    if own not in {(flow.source, flow.source_port) for flow in seen}:
        found = f"not the connection from {caller} that asks"
        raise Refusal("conntrack", found, "every connection", "Nobody can say who uses the host: leave it out (`sleeps: false`).")
    addresses = readings.own_addresses(commands.run(["ip", "-json", "address"]).stdout)
    pods = readings.own_pods(*(commands.run(["ip", "-json", family, "route"]).stdout for family in ("-4", "-6")))
    longest = int(read_text(LONGEST) or 0)
    clients = {
        f"{flow.source} of {flow.destination} port {flow.port}"
        for flow in seen
        if (flow.source, flow.source_port) not in {own, *peers}
        and not flow.is_silent(question.quiet, longest)
        and _uses(flow, question, addresses, pods)
    }
    return Status(
        uptime=float((read_text("/proc/uptime") or "").split()[0]),
        load=float((read_text("/proc/loadavg") or "").split()[1]),
        sessions=tuple(readings.local_sessions(commands.run(["who"]).stdout)),
        ssh=tuple(sorted({host for host, port in peers if (host, port) != own})),
        clients=tuple(sorted(clients)),
    )


def _uses(flow: Flow, question: Question, addresses: frozenset[str], pods: frozenset[str]) -> bool:
    if flow.destination not in addresses | pods or flow.source in addresses | pods | question.pods:
        return False
    return not (flow.destination in addresses and flow.source in question.nodes and flow.port in CLUSTER_PORTS)
