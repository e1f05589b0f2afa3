# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The idle watch's files on the control plane, and its guard on workers: how both are installed, and what the guard answers."""

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
from .._programs import Host, Timed, ensure_answering, ensure_timed, key_line, known_hosts, refuse_missing, remove_timed, with_known_keys
from .._refusal import Refusal
from .._wake.wake import Request, Target, read_request

T = TypeVar("T")

# Where the idle watch keeps what it is made of.

GUARD = "/usr/local/lib/vmstation/idle-guard.pyz"

PROGRAM = "/usr/local/lib/vmstation/idle-watch.pyz"
CONFIGURATION = "/etc/vmstation/idle-watch.json"
KNOWN_HOSTS = "/etc/vmstation/idle-watch.known_hosts"
KEY = "/etc/vmstation/idle-watch.key"
STATE_DIRECTORY = "/var/lib/vmstation/idle-watch"
STATE = f"{STATE_DIRECTORY}/state.json"

# kubectl keeps what the API serves below the home directory, which a service of systemd does not have
KUBECTL_CACHE = f"{STATE_DIRECTORY}/kubectl"
KUBECONFIG = "/etc/kubernetes/admin.conf"
# the cordon that is ours: playbooks/tasks/uncordon.yml takes any value of it away
CORDONED_BY = "vmstation.cluster/cordoned-by"
US = "idle-watch"
# the counters of nftables, for NodePorts that only a sleeping worker could answer
TABLE = "vmstation_idle_watch"
TIMED = Timed(
    name="vmstation-idle-watch",
    key=KEY,
    state=STATE_DIRECTORY,
    files=(PROGRAM, CONFIGURATION, KNOWN_HOSTS),
    private=frozenset({CONFIGURATION}),
)
SUBJECT = "programs of the idle watch"


# The configuration of the watch: the file that the module idle_watch writes.


@dataclass(frozen=True)
class Configuration:
    """workers: that the watch may put to sleep. minutes: for which a worker must have been unused. load: that it must not exceed.

    asking_namespaces: whose Pods connect to all others by themselves. may_stop: workloads, as namespace/name. timeout: seconds for each of
    a drain, a host that goes down, one that comes up, and a node that gets ready.
    """

    workers: tuple[Target, ...]
    broadcast: str
    minutes: float
    load: float
    asking_namespaces: frozenset[str]
    may_stop: frozenset[str]
    timeout: int

    @property
    def quiet(self) -> float:
        """Seconds."""
        return self.minutes * 60

    def request(self, *workers: Target) -> Request:
        return Request(workers, self.broadcast, timeout=float(self.timeout))


def as_text(options: Mapping[str, Any]) -> str:
    """The file for options of the module. Everything that is wrong with them is a Refusal."""
    request = read_request({"hosts": options["workers"], "broadcast": options["broadcast"]})
    wrong = [name for name in ("minutes", "load", "timeout") if options[name] <= 0]
    if wrong:
        found = ", ".join(f"{name} {options[name]:g}" for name in wrong)
        raise Refusal("the idle watch", found, "numbers above 0", "Correct them, or remove them.")
    data = {
        "workers": [target.__dict__ for target in request.targets],
        "broadcast": request.broadcast,
        **{name: options[name] for name in ("minutes", "load", "timeout")},
        **{name: sorted(options[name]) for name in ("asking_namespaces", "may_stop")},
    }
    return json.dumps(data, indent=1) + "\n"


def read_configuration(text: Optional[str]) -> Configuration:
    try:
        data = read_json(text or "")
        workers = tuple(Target(**one) for one in data["workers"])
        sets = {name: frozenset(data[name]) for name in ("asking_namespaces", "may_stop")}
        return Configuration(**{**data, **sets, "workers": workers})
    except (ValueError, KeyError, TypeError) as error:
        raise Refusal(CONFIGURATION, f"not what this collection writes ({error})", "the idle watch's own file", "Run site.yml.") from error


# The guard on a worker: a program, and the one line by which the watch's key starts it and nothing else.

GUARD_TOOLS = {"conntrack": "conntrack", "ss": "iproute2", "ip": "iproute2", "who": "coreutils", "systemctl": "systemd"}


def ensure_guard(host: Host, options: Mapping[str, Any], entry: str, *, check_mode: bool) -> dict[str, Any]:
    """The module's result."""
    line = ""
    if options["state"] == "present":
        if not check_mode:
            refuse_missing(host, SUBJECT, GUARD_TOOLS)
        command = [host.python, "-I", GUARD, options["unit"]]
        line = key_line(command, options["public_key"], options["from_addresses"], TIMED.name, check_mode=check_mode)
    return ensure_answering(host, GUARD, entry, options["authorized_keys"], line, check_mode=check_mode)


# The watch on the control plane: program, configuration, key pair and timer.

TOOLS = {
    "nft": "nftables",
    "kubectl": "kubectl",
    "ssh": "openssh-client (Debian) or openssh-clients",
    "ssh-keygen": "openssh-client (Debian) or openssh-clients",
    "ss": "iproute2",
    "ip": "iproute2",
    "who": "coreutils",
    "systemctl": "systemd",
}
SERVICE_UNIT = """\
[Unit]
Description=Suspend unused workers, and wake those that clients connect to
After=network-online.target
ConditionPathExists={configuration}

[Service]
Type=oneshot
ExecStart={python} -I {program}
# a drain, a host that goes down, one that comes up, and its node, each with a bound of its own
TimeoutStartSec={longest}
"""
TIMER_UNIT = f"""\
[Unit]
Description=Start {TIMED.service} every minute

[Timer]
OnCalendar=minutely
AccuracySec=1s

[Install]
WantedBy=timers.target
"""


def ensure_watch(host: Host, options: Mapping[str, Any], entry: str, *, check_mode: bool) -> dict[str, Any]:
    """The module's result."""
    return _absent(host, check_mode) if options["state"] == "absent" else _present(host, options, entry, check_mode)


def _present(host: Host, options: Mapping[str, Any], entry: str, check_mode: bool) -> dict[str, Any]:
    if not check_mode:
        refuse_missing(host, SUBJECT, TOOLS)
    # a worker that cannot be asked cannot be put to sleep
    workers = [one for one in with_known_keys(options["workers"], host.read_text(KNOWN_HOSTS)) if one["host_keys"]]
    service = SERVICE_UNIT.format(
        configuration=CONFIGURATION, python=host.python, program=PROGRAM, longest=6 * options["timeout"]
    )  # fmt: skip
    wanted: dict[str, Optional[str]] = {
        PROGRAM: host.program(entry),
        CONFIGURATION: as_text({**options, "workers": workers}),
        KNOWN_HOSTS: known_hosts(workers),
        **dict(zip(TIMED.units, (service, TIMER_UNIT))),
    }
    return ensure_timed(host, TIMED, wanted, check_mode=check_mode)


def _absent(host: Host, check_mode: bool) -> dict[str, Any]:
    table = ["nft", "list", "table", "inet", TABLE]
    has_table = host.commands.has("nft") and host.commands.run(table, check=False).status == 0
    result = remove_timed(host, TIMED, has_table, check_mode=check_mode)
    if has_table and not check_mode:
        host.commands.run(["nft", "delete", "table", "inet", TABLE], check=False)
    return result


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
    found = _json(ip_json_address, lambda link: [address_of(entry["local"]) for entry in link.get("addr_info", ()) if "local" in entry])
    return frozenset(address for addresses in found for address in addresses)


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
    def users(self) -> list[str]:
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
    is_asked = knock.command == "sleep" and not status.users
    if is_asked:
        commands.run(["systemctl", "start", "--no-block", unit])
    # the key of all releases: a worker that sleeps has the guard of an earlier one
    return {**status.__dict__, "told": is_asked}


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
