# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guard on a worker: answers two commands of the idle watch, and rejects all others."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Callable, Optional, TypeVar

from .._host.commands import Commands
from .._json import read_json
from .._network_plan.ports import PORT_FACTS
from .._refusal import Refusal

T = TypeVar("T")

# Reads what a host's own tools report about those who use it. Addresses are canonical, IPv4 in IPv6's notation as IPv4.

# A flow with data that is not acknowledged, and one that is sent again, has this many seconds left, whatever it had before
# (net.netfilter.nf_conntrack_tcp_timeout_unacknowledged, ..._max_retrans): it may have moved just now.
UNACKNOWLEDGED = 300

# Calico gives the interface of each Pod on a node a name that begins so, and a route of its own
POD_INTERFACE = "cali"

# who's `(host)` of a session that came over the network; a display, a tmux or a mosh looks otherwise
_REMOTE = re.compile(r"\([0-9A-Za-z][0-9A-Za-z_.:%@-]*\)$")
_SSHD = re.compile(r'"sshd')


@dataclass(frozen=True)
class Flow:
    """A TCP connection as conntrack knows it: its client, and the server that it reaches, behind any translation of addresses.

    left: seconds until conntrack forgets it.
    """

    source: str
    source_port: int
    destination: str
    port: int
    left: int

    def is_silent(self, quiet: float, longest: int) -> bool:
        """Whether no packet has passed for ``quiet`` seconds. longest: the seconds that a packet gives a flow."""
        return self.left > UNACKNOWLEDGED and longest - self.left >= quiet


def address_of(text: str) -> str:
    """An address without brackets and zone."""
    try:
        found = ipaddress.ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        raise Refusal("an address", repr(text), "an IPv4 or IPv6 address", "Report this to the authors of vmstation.cluster.") from None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped or found)


def flows(conntrack: str) -> Iterator[Flow]:
    """Lines of ``conntrack -L -p tcp --state ESTABLISHED -o extended``: what began, then how it is answered."""
    for line in conntrack.splitlines():
        words = line.split()
        pairs = [word.partition("=")[::2] for word in words if "=" in word]
        sources = [value for name, value in pairs if name == "src"]
        try:
            (source, destination), (source_port, port) = sources, [int(value) for name, value in pairs if name == "sport"]
            left = int(words[words.index("ESTABLISHED") - 1])
        except ValueError:
            raise _unread("conntrack", line) from None
        yield Flow(address_of(source), source_port, address_of(destination), port, left)


def ssh_peers(ss: str) -> list[tuple[str, int]]:
    """The other ends of connections that an SSH server holds: lines of ``ss -Htnp state established``."""
    peers = []
    for line in ss.splitlines():
        if not _SSHD.search(line):
            continue
        try:
            host, _colon, port = line.split()[3].rpartition(":")
            peers.append((address_of(host), int(port)))
        except (IndexError, ValueError):
            raise _unread("ss", line) from None
    return peers


def local_sessions(who: str) -> list[str]:
    """Logins at the host itself, in a tmux or over mosh. Those over SSH are known by their connections."""
    return [" on ".join(line.split()[:2]) for line in who.splitlines() if line.strip() and not _REMOTE.search(line.strip())]


def own_addresses(ip_json_address: str) -> frozenset[str]:
    found = _json(ip_json_address, lambda link: [entry["local"] for entry in link.get("addr_info", ()) if "local" in entry])
    return frozenset(address_of(local) for locals_ in found for local in locals_)


def own_pods(*ip_json_routes: str) -> frozenset[str]:
    """The addresses of this node's Pods: those with a route to an interface of theirs."""

    def destination(route: dict[str, Any]) -> str:
        return str(route["dst"].partition("/")[0]) if route.get("dev", "").startswith(POD_INTERFACE) else ""

    return frozenset(address_of(found) for routes in ip_json_routes for found in _json(routes, destination) if found)


def _json(text: str, read: Callable[[dict[str, Any]], T]) -> list[T]:
    """What is read of each entry that ``ip -json`` printed."""
    try:
        return [read(entry) for entry in read_json(text or "[]")]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise _unread("ip -json", text[:200]) from None


def _unread(tool: str, line: str) -> Refusal:
    return Refusal(f"output of {tool}", repr(line), "a readable line", "Report this to the authors of vmstation.cluster.")


# What runs on a worker when the control plane's idle watch knocks: it answers two words, and rejects every other.
#
# Who counts as a user of the host. A TCP connection does that reaches the host or one of its Pods, unless
#
# - it began at the host itself or in one of its Pods: kubelet's probes, and requests between Pods. A client of those Pods on another host
#   is seen there;
# - it comes from a Pod that the watch names, of namespaces whose Pods ask all others by themselves, as Prometheus does;
# - it comes from a node to a port of the host that the cluster itself needs: kubelet, metrics, BGP;
# - no packet has passed for as long as a host must be idle: conntrack remembers a client for days after it has gone.
#
# Everything else is a client. That includes tunnel addresses and addresses of nodes, because a client that uses the NodePort of another
# node arrives from these.

WORDS = ("status", "sleep")
# of a worker's answer
MOST_VISITORS, LONGEST_VISITOR = 50, 200
UNITS = ("poweroff.target", "suspend.target", "hibernate.target")
LONGEST = "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established"
CLUSTER_PORTS = frozenset(
    fact.ports.first for fact in PORT_FACTS if fact.ports and fact.protocol == "tcp" and "worker" in fact.roles
)  # fmt: skip


@dataclass(frozen=True)
class Knock:
    """A request. command: the words as SSH brings them. connection: SSH_CONNECTION. asked: a Question as JSON."""

    command: str
    connection: str
    asked: str


@dataclass(frozen=True)
class Question:
    """quiet: seconds without a packet after which a connection counts as unused. pods, nodes: addresses, see above."""

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
    """A Status as data. After ``sleep``, ``told`` is whether the host was asked to start ``unit``: only if no client is there."""
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
    """A worker's answer. It goes into this host's journal: what is not printable is quoted, and of what is long a part is left out."""
    try:
        lists = {name: tuple(_printable(str(one)) for one in data[name][:MOST_VISITORS]) for name in ("sessions", "ssh", "clients")}
        return Status(float(data["uptime"]), float(data["load"]), **lists)
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise Refusal(
            "the guard's answer",
            f"not what a guard answers ({type(error).__name__})",
            "uptime, load, sessions, ssh and clients",
            "Run site.yml, which installs the guard again.",
        ) from error


def _printable(text: str) -> str:
    return text[:LONGEST_VISITOR] if text.isprintable() else repr(text[:LONGEST_VISITOR])


def _question(asked: str) -> Question:
    try:
        data = read_json(asked)
        return Question(float(data["quiet"]), frozenset(map(address_of, data["pods"])), frozenset(map(address_of, data["nodes"])))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Refusal(
            "the question", f"not the guard's JSON ({error})", "quiet, pods and nodes", "Run the role idle_watch again."
        ) from error


def _look(question: Question, connection: str, commands: Commands, read_text: Callable[[str], Optional[str]]) -> Status:
    caller, caller_port = [*connection.split(), "", ""][:2]
    own = (address_of(caller), int(caller_port))
    peers = ssh_peers(commands.run(["ss", "-Htnp", "state", "established"]).stdout)
    seen = list(flows(commands.run(["conntrack", "-L", "-p", "tcp", "--state", "ESTABLISHED", "-o", "extended"]).stdout))
    if own not in {(flow.source, flow.source_port) for flow in seen}:
        found = f"not the connection from {caller} that asks"
        raise Refusal("conntrack", found, "every connection", "The users of the host cannot be determined: exclude it (`sleeps: false`).")
    addresses = own_addresses(commands.run(["ip", "-json", "address"]).stdout)
    pods = own_pods(*(commands.run(["ip", "-json", family, "route"]).stdout for family in ("-4", "-6")))
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
        sessions=tuple(local_sessions(commands.run(["who"]).stdout)),
        ssh=tuple(sorted({host for host, port in peers if (host, port) != own})),
        clients=tuple(sorted(clients)),
    )


def _uses(flow: Flow, question: Question, addresses: frozenset[str], pods: frozenset[str]) -> bool:
    if flow.destination not in addresses | pods or flow.source in addresses | pods | question.pods:
        return False
    return not (flow.destination in addresses and flow.source in question.nodes and flow.port in CLUSTER_PORTS)
