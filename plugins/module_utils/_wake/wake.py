# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wake hosts: their MAC addresses and magic packets, and how they are sent, sent again, and waited for in parallel."""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Optional, Protocol, TypeVar, Union

from .._json import read_json
from .._notation import in_url
from .._refusal import Refusal
from .._waiting import Clock

# Parsing of MAC addresses, for the whole collection

SIX_OCTETS = re.compile(
    r"""(?: [0-9a-f]{2} (?P<separator>[:-]) (?:[0-9a-f]{2} (?P=separator)){4} [0-9a-f]{2}
          | [0-9a-f]{4} \. [0-9a-f]{4} \. [0-9a-f]{4}
          | [0-9a-f]{12} )""",
    re.ASCII | re.IGNORECASE | re.VERBOSE,
)
SEPARATORS = re.compile(r"[:.-]")
NOTATIONS = "12 hexadecimal digits, as aa:bb:cc:dd:ee:ff, aa-bb-cc-dd-ee-ff, aabb.ccdd.eeff or aabbccddeeff"


def six_octets(text: str) -> bytes:
    """Return the 6 bytes of a MAC address; empty if it is invalid. ASCII digits only, one style of separator, no blanks."""
    if SIX_OCTETS.fullmatch(text) is None:
        return b""
    return bytes.fromhex(SEPARATORS.sub("", text))


def station_mac(value: object, subject: str) -> str:
    """Return the address of one network interface, as ``aa:bb:cc:dd:ee:ff``.

    Raises Refusal about ``subject`` for a malformed address, the broadcast address, a group address (the lowest bit of the first octet,
    IEEE Std 802-2014, 8.2) and all zeros.
    """
    if not isinstance(value, str):
        raise _refusal(subject, f"{value!a}, which is not a string ({type(value).__name__})", NOTATIONS)
    octets = six_octets(value)
    if not octets:
        raise _refusal(subject, _description(value), NOTATIONS)
    if octets == b"\xff" * 6:
        raise _refusal(subject, f"{value}, the broadcast address", "the address of one network interface")
    if octets[0] & 1:
        raise _refusal(subject, f"{value}, a multicast address", "the address of one network interface (an even first octet)")
    if not any(octets):
        raise _refusal(subject, f"{value}, all zeros", "the address of one network interface")
    return octets.hex(":")


def octets_of(mac: str) -> bytes:
    """Return the 6 bytes of an address that ``station_mac`` returned."""
    return bytes.fromhex(mac.replace(":", ""))


def _description(value: str) -> str:
    if not value:
        return "an empty string"
    if value.isascii() and value.isdigit():
        # YAML 1.1 reads 52:54:00:12:34:56 as a base 60 number
        return f"{value!r}, a number; YAML reads a MAC address of decimal digits alone as one: put quotes around it"
    if not value.isascii():
        return f"{value!a}, which has characters other than ASCII"
    return repr(value)


def _refusal(subject: str, found: str, required: str) -> Refusal:
    return Refusal(subject, found, required, "See `ip link` on that host or the label of its network card.")


# The magic packet
#
# Its format is that of AMD's white paper "Magic Packet Technology" (publication 20213, November 1995): six bytes of 0xff, then the
# address of the sleeping interface sixteen times without a gap. A SecureOn password of six bytes (four on some cards) follows.

SYNCHRONIZATION = b"\xff" * 6
REPETITIONS = 16


def magic_packet(mac: str, password: bytes = b"") -> bytes:
    """Return the UDP payload that wakes ``mac`` (from ``station_mac``): 102 bytes and 0, 4 or 6 bytes of the password."""
    return SYNCHRONIZATION + octets_of(mac) * REPETITIONS + password


def secure_on_password(text: str) -> bytes:
    """Return the password's bytes: 6 for the notation of a MAC address, 4 for that of an IPv4 address. Empty: no password.

    The error does not contain the password, as it may be logged.
    """
    if not text:
        return b""
    octets = six_octets(text)
    if octets:
        return octets
    try:
        # int() accepts digits of any script
        return ipaddress.IPv4Address(text).packed if text.isascii() else _refuse(text)
    except ipaddress.AddressValueError:
        return _refuse(text)


def _refuse(text: str) -> bytes:
    raise Refusal(
        "password",
        f"a string of {len(text)} characters in neither form (not shown)",
        "6 bytes as aa:bb:cc:dd:ee:ff or 4 bytes as 192.168.4.1",
        "Write it as in the network card's setup.",
    )


# The local network that a magic packet is sent through, from ``ip -json address``

LIMITED_BROADCAST = "255.255.255.255"  # RFC 919: every host of the link; the route decides which link
LONGEST_PREFIX = 30  # RFC 3021: a /31 has no broadcast address


@dataclass(frozen=True)
class LocalNetwork:
    """An IPv4 network of this host on an interface that can broadcast. up: whether the interface is up."""

    interface: str
    network: str
    broadcast: str
    up: bool

    def __str__(self) -> str:
        return f"{self.network} on {self.interface} (broadcast {self.broadcast}{'' if self.up else ', interface is down'})"


def local_networks(ip_json_address: str) -> tuple[LocalNetwork, ...]:
    """Return the networks in ``ip -json -4 address show``. Without ``brd`` the prefix gives the broadcast address, as in the kernel."""
    networks = []
    for link in read_json(ip_json_address or "[]"):
        flags = link.get("flags", [])
        if "BROADCAST" not in flags:
            continue
        for entry in link.get("addr_info", []):
            if entry.get("family") != "inet" or entry["prefixlen"] > LONGEST_PREFIX:
                continue
            network = ipaddress.IPv4Interface(f"{entry['local']}/{entry['prefixlen']}").network
            broadcast = entry.get("broadcast", str(network.broadcast_address))
            networks.append(LocalNetwork(link["ifname"], str(network), broadcast, "UP" in flags))
    return tuple(networks)


def outgoing_network(broadcast: str, interface: str, networks: Sequence[LocalNetwork]) -> LocalNetwork:
    """Return the network of ``broadcast``, on ``interface`` if it is set. Raises Refusal if there is none or more than one."""
    listed = "; ".join(map(str, networks)) or "none"
    candidates = [network for network in networks if interface in ("", network.interface)]
    if interface and not candidates:
        raise Refusal(
            f"interface {interface}",
            f"no such interface with an IPv4 network; this host has: {listed}",
            "an interface of this host that can broadcast",
            "Set one of these, or run the task on a host of the sleeping hosts' LAN (delegate_to).",
        )
    matching = [network for network in candidates if broadcast in (network.broadcast, LIMITED_BROADCAST)]
    if not matching:
        raise Refusal(
            f"broadcast {broadcast}",
            f"on no local network{' of ' + interface if interface else ''}; this host has: {listed}",
            "the broadcast address of a network that this host is on: routers do not forward magic packets",
            "Correct `broadcast`, or run the task on a host of the sleeping hosts' LAN (delegate_to).",
        )
    usable = [network for network in matching if network.up]
    if not usable:
        raise Refusal(f"interface {matching[0].interface}", "down", "up", f"Run `ip link set {matching[0].interface} up`.")
    if len({network.interface for network in usable}) > 1:
        raise Refusal(
            f"broadcast {broadcast}",
            f"on several local networks: {listed}",
            "one network to send through",
            "Set the option `interface` (in the playbooks: wake_interface).",
        )
    return usable[0]


def device_to_bind(broadcast: str, interface: str, network: LocalNetwork) -> str:
    """Return the interface to bind the socket to; empty if the route to the broadcast address selects it."""
    return network.interface if interface or broadcast == LIMITED_BROADCAST else ""


SHORTEST_TIME = 0.5  # seconds; a probe needs about that long to distinguish silence from sleep
INTERFACE_NAME_LIMIT = 15  # IFNAMSIZ of linux/if.h, without the terminating zero
T = TypeVar("T")


@dataclass(frozen=True)
class Target:
    """A host to wake: its name, its interface's MAC address, and the TCP ``address:port`` that shows whether it is up."""

    name: str
    mac: str
    address: str
    port: int = 22

    @property
    def endpoint(self) -> str:
        return f"{in_url(self.address)}:{self.port}"

    def __str__(self) -> str:
        return self.with_vendor("")

    def with_vendor(self, vendor: str) -> str:
        return f"{self.name} ({', '.join(part for part in (self.mac, vendor, self.endpoint) if part)})"


@dataclass(frozen=True)
class Request:
    """One call. repeat_every, timeout: seconds. password: the SecureOn bytes, never shown."""

    targets: tuple[Target, ...]
    broadcast: str
    port: int = 9
    interface: str = ""
    password: bytes = field(default=b"", repr=False)
    repeat_every: float = 5.0
    wait: bool = True
    timeout: float = 300.0


def read_request(options: Mapping[str, Any]) -> Request:
    """Validate the options of ``wake_on_lan``. Raises one Refusal with all problems."""
    refusals: list[Refusal] = []

    def read(reader: Callable[..., T], *arguments: object) -> Optional[T]:
        try:
            return reader(*arguments)
        except Refusal as refusal:
            refusals.append(refusal)
            return None

    hosts: Sequence[Mapping[str, Any]] = options["hosts"]
    targets = [target for target in (_target(index, host, read) for index, host in enumerate(hosts)) if target is not None]
    refusals += _duplicates(targets)
    request = Request(
        targets=tuple(targets),
        broadcast=read(_broadcast, options["broadcast"]) or "",
        port=read(_port, options.get("port", 9), "port") or 0,
        interface=read(_interface, options.get("interface") or "") or "",
        password=read(secure_on_password, options.get("password") or "") or b"",
        repeat_every=read(_seconds, options.get("repeat_every", 5), "repeat_every", SHORTEST_TIME) or 0,
        wait=bool(options.get("wait", True)),
        timeout=read(_seconds, options.get("timeout", 300), "timeout", SHORTEST_TIME) or 0,
    )
    if refusals:
        raise _together(refusals)
    return request


def _target(index: int, host: Mapping[str, Any], read: Callable[..., Any]) -> Optional[Target]:
    name = read(_name, host.get("name"), f"hosts[{index}].name")
    subject = f"host {name}" if name else f"hosts[{index}]"
    mac = read(station_mac, host.get("mac"), f"{subject}: mac")
    address = read(_address, host.get("address"), f"{subject}: address")
    port = read(_port, host.get("port", 22), f"{subject}: port")
    if name is None or mac is None or address is None or port is None:
        return None
    return Target(name, mac, address, port)


def _name(value: object, subject: str) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise Refusal(subject, f"{value!r}", "a printable name", "Set the name that reports show.")
    return value


def _address(value: object, subject: str) -> str:
    required = "an IPv4 or IPv6 address"
    next_step = "Write the address that the host has when it is up, not a name: the DNS server may be asleep too."
    try:
        address: Union[ipaddress.IPv4Address, ipaddress.IPv6Address] = ipaddress.ip_address(_ascii(value))
    except ValueError:
        raise Refusal(subject, f"{value!r}", required, next_step) from None
    if address.is_multicast or address.is_unspecified or address == ipaddress.IPv4Address("255.255.255.255"):
        raise Refusal(subject, f"{value}, which is not a single host's", required, next_step)
    if isinstance(address, ipaddress.IPv6Address) and address.is_link_local and not address.scope_id:
        raise Refusal(subject, f"{value}, which exists on every link", "an address with its interface", f"Write {value}%INTERFACE.")
    return str(address)


def _broadcast(value: object) -> str:
    try:
        return str(ipaddress.IPv4Address(_ascii(value)))
    except ValueError:
        raise Refusal(
            "broadcast",
            f"{value!r}",
            "the IPv4 broadcast address of a local network",
            "Write the `brd` address that `ip address` shows for that network, for example 192.168.4.255.",
        ) from None


def _ascii(value: object) -> str:
    if not isinstance(value, str) or not value.isascii():
        raise ValueError(value)
    return value


def _port(value: object, subject: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 65535:
        raise Refusal(subject, f"{value!r}", "a port number from 1 to 65535", "Correct it.")
    return value


def _interface(value: str) -> str:
    if value and (len(value.encode()) > INTERFACE_NAME_LIMIT or "/" in value or not value.isprintable() or " " in value):
        raise Refusal(
            "interface",
            f"{value!r}",
            f"the name of a network interface, at most {INTERFACE_NAME_LIMIT} bytes",
            "See `ip link` for the names.",
        )
    return value


def _seconds(value: object, subject: str, least: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < least:
        raise Refusal(subject, f"{value!r}", f"a number of seconds, at least {least:g}", "Correct it.")
    return float(value)


def _duplicates(targets: Sequence[Target]) -> list[Refusal]:
    """Report duplicates: hosts with the same MAC address would all wake, and with the same address one would answer for another."""
    refusals = []
    for kind in ("name", "mac", "address"):
        first: dict[str, Target] = {}
        for target in targets:
            value = getattr(target, kind)
            if value in first:
                refusals.append(
                    Refusal(
                        f"host {target.name}: {kind}",
                        f"{value}, which host {first[value].name} uses too",
                        f"a unique {kind}",
                        "Correct one of the two or remove it from the list.",
                    )
                )
            first.setdefault(value, target)
    return refusals


def _together(refusals: Sequence[Refusal]) -> Refusal:
    if len(refusals) == 1:
        return refusals[0]
    return Refusal(
        "options of wake_on_lan",
        "".join([f"{len(refusals)} problems:", *(f"\n- {refusal}" for refusal in refusals), "\n"]).rstrip("\n"),
        "no problems",
        "Nothing was sent.",
    )


# When to send packets to which hosts, and how long to wait. It has no clock: each step gets the time.

Answer = Literal["accepted", "refused", "silent"]


@dataclass(frozen=True)
class Heard:
    """The result of one probe of a host's port.

    answer: ``refused`` means that the host is up, but nothing listens on the port; ``silent`` means no answer.
    detail: for ``silent``, the error (``timed out``, ``No route to host``). after: seconds since the start of the probe.
    """

    answer: Answer
    after: float = 0.0
    detail: str = ""


@dataclass(frozen=True)
class HostState:
    """The state of one host. answered_at, accepted_at, last_packet_at: seconds of the caller's clock; None: not yet."""

    target: Target
    was_up: bool = False
    packets_sent: int = 0
    last_packet_at: Optional[float] = None
    answered_at: Optional[float] = None
    accepted_at: Optional[float] = None
    last_answer: Answer = "silent"
    detail: str = ""

    @property
    def is_up(self) -> bool:
        """Whether the last probe was answered."""
        return self.last_answer != "silent"

    @property
    def is_ready(self) -> bool:
        return self.last_answer == "accepted"


class Vigil:
    """The state of all hosts of one call, from the first probe to the last."""

    def __init__(self, request: Request, started: float) -> None:
        self._request = request
        self._started = started
        self._deadline = started + request.timeout
        self._states = {target.name: HostState(target) for target in request.targets}

    @property
    def states(self) -> tuple[HostState, ...]:
        return tuple(self._states.values())

    def first_heard(self, heard: Mapping[str, Heard], probed_at: float, now: float) -> None:
        """Record the probe before the first packet; the timeout starts at its end."""
        self.heard(heard, probed_at)
        for name, state in self._states.items():
            self._states[name] = replace(state, was_up=state.is_up)
        self._deadline = now + self._request.timeout

    def heard(self, heard: Mapping[str, Heard], probed_at: float) -> None:
        for name, one in heard.items():
            state = self._states[name]
            at = probed_at + one.after
            if one.answer != "silent" and state.answered_at is None:
                state = replace(state, answered_at=at)
            if one.answer == "accepted" and state.accepted_at is None:
                state = replace(state, accepted_at=at)
            self._states[name] = replace(state, last_answer=one.answer, detail=one.detail)

    def asleep(self) -> tuple[Target, ...]:
        return tuple(state.target for state in self.states if not state.is_up)

    def waiting_for(self) -> tuple[Target, ...]:
        """Return the hosts whose port is not open yet. One that refuses connections gets no packets, but is not usable either."""
        return tuple(state.target for state in self.states if not state.is_ready)

    def due(self, now: float) -> tuple[Target, ...]:
        """Return the sleeping hosts that are due for a packet."""
        return tuple(
            state.target
            for state in self.states
            if not state.is_up and (state.last_packet_at is None or now - state.last_packet_at >= self._request.repeat_every)
        )

    def sent(self, target: Target, now: float) -> None:
        state = self._states[target.name]
        self._states[target.name] = replace(state, packets_sent=state.packets_sent + 1, last_packet_at=now)

    def is_over(self, now: float) -> bool:
        return not self.waiting_for() or now >= self._deadline

    def patience(self, now: float, shortest: float, longest: float) -> float:
        """Return how many seconds a probe may take before the next packet or the deadline, but at least ``shortest``.

        A probe that is too short would find all hosts silent.
        """
        next_packets = [
            state.last_packet_at + self._request.repeat_every
            for state in self.states
            if not state.is_up and state.last_packet_at is not None
        ]
        return max(shortest, min(longest, self._deadline - now, *(at - now for at in next_packets)))

    def seconds(self, state: HostState, now: float) -> float:
        """Return the seconds from the call's start until the port was open; else until the first answer; else until now."""
        until = state.accepted_at if state.accepted_at is not None else state.answered_at
        return round((now if until is None else until) - self._started, 3)


# One call: probe all hosts, send packets to sleeping ones, repeat, and wait for all in parallel

FIRST_PROBE = 2.0  # seconds until silence means sleep: enough for one retransmission of a lost SYN (RFC 6298: after 1 s)
NEXT_PROBES = 1.0
BREATH = 0.25  # the minimum time from one probe to the next, also if all hosts refuse connections immediately


class Lan(Protocol):
    """The network access that waking needs."""

    def probe(self, targets: Sequence[Target], seconds: float) -> Mapping[str, Heard]:
        """Probe all targets in parallel; return the result by name. Ends when all have answered, at the latest after ``seconds``."""

    def send(self, payloads: Sequence[bytes]) -> None:
        """Broadcast one datagram for each payload."""


@dataclass(frozen=True)
class Outcome:
    """The result of a call. hosts: return values of each host. waited: whether the call waited for the hosts."""

    request: Request
    states: tuple[HostState, ...]
    hosts: tuple[Mapping[str, Any], ...]
    waited: bool

    @property
    def changed(self) -> bool:
        return not all(state.was_up for state in self.states)

    @property
    def diff(self) -> Mapping[str, Mapping[str, str]]:
        """Return which hosts were and are awake; without waiting, the predicted state."""
        before = {state.target.name: "awake" if state.was_up else "asleep" for state in self.states}
        after = {state.target.name: "awake" if state.is_up or not self.waited else "asleep" for state in self.states}
        return {"before": before, "after": after}

    @property
    def missing(self) -> tuple[HostState, ...]:
        return tuple(state for state in self.states if not state.is_ready) if self.waited else ()


def wake(request: Request, lan: Lan, clock: Clock, *, predict_only: bool) -> Outcome:
    """Wake the sleeping hosts of ``request``. With ``predict_only``, only run the first probe."""
    started = clock.now()
    vigil = Vigil(request, started)
    vigil.first_heard(lan.probe(request.targets, FIRST_PROBE), started, clock.now())
    if not predict_only:
        _wake_sleeping(vigil, request, lan, clock)
    now = clock.now()
    hosts = tuple(
        {
            "name": state.target.name,
            "mac": state.target.mac,
            "was_up": state.was_up,
            "packets_sent": state.packets_sent,
            "is_up": state.is_up,
            "seconds": vigil.seconds(state, now),
        }
        for state in vigil.states
    )
    return Outcome(request, vigil.states, hosts, waited=request.wait and not predict_only)


def _wake_sleeping(vigil: Vigil, request: Request, lan: Lan, clock: Clock) -> None:
    while not vigil.is_over(clock.now()):
        due = vigil.due(clock.now())
        if due:
            lan.send([magic_packet(target.mac, request.password) for target in due])
            for target in due:
                vigil.sent(target, clock.now())
        if not request.wait:
            return
        began = clock.now()
        patience = vigil.patience(began, BREATH, NEXT_PROBES)
        vigil.heard(lan.probe(vigil.waiting_for(), patience), began)
        spent = clock.now() - began
        if spent < BREATH and not vigil.is_over(clock.now()):
            clock.sleep(BREATH - spent)


def failure_message(outcome: Outcome, vendor_of: Callable[[str], str] = lambda _mac: "") -> str:
    """Return the error message for hosts that did not come up in time. vendor_of: the vendor of the card with a MAC address, or empty."""
    request, missing = outcome.request, outcome.missing
    through = f" through {request.interface}" if request.interface else ""
    lines = [
        f"{len(missing)} of {len(request.targets)} hosts did not come up within {request.timeout:g} s "
        f"(magic packets to {request.broadcast}:{request.port}{through}, every {request.repeat_every:g} s):"
    ]
    for state in missing:
        sent = f"{state.packets_sent} packet{'' if state.packets_sent == 1 else 's'} sent"
        if state.is_up:
            lines.append(f"- {state.target}: {sent}; it is awake but refuses connections on port {state.target.port}")
        else:
            lines.append(f"- {state.target.with_vendor(vendor_of(state.target.mac))}: {sent}; no answer ({state.detail or 'timed out'})")
    if any(not state.is_up for state in missing):
        lines.append(
            "Check, for each that does not answer: its firmware setup (wake on LAN on; deep sleep, ErP and fast startup off), "
            "`ethtool INTERFACE` on it while it is up (`Wake-on: g`; the module vmstation.cluster.nic_wake_on_lan makes it permanent), "
            "its MAC address, and the switch (same broadcast domain, port still linked while the host sleeps). "
            "A firewall that rejects the probe looks like sleep."
        )
    if any(state.is_up for state in missing):
        lines.append("For each that refuses connections, check that its service has started and listens on `port`.")
    return "\n".join(lines)
