# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user asks for, read whole before the first packet: every problem of it in one refusal."""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional, TypeVar, Union

from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._wake.mac import station_mac
from ansible_collections.vmstation.cluster.plugins.module_utils._wake.packet import secure_on_password

SHORTEST_TIME = 0.5  # seconds; a probe needs about that long to tell silence from sleep
INTERFACE_NAME_LIMIT = 15  # IFNAMSIZ of linux/if.h, without the closing zero
T = TypeVar("T")


@dataclass(frozen=True)
class Target:
    """A host to wake: its name, its interface's MAC, and the TCP ``address:port`` that says whether it is up."""

    name: str
    mac: str
    address: str
    port: int = 22

    @property
    def endpoint(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"

    def __str__(self) -> str:
        return f"{self.name} ({self.mac}, {self.endpoint})"


@dataclass(frozen=True)
class Request:
    """One call. repeat_every, timeout: seconds. password: the SecureOn bytes, kept out of every text."""

    targets: tuple[Target, ...]
    broadcast: str
    port: int = 9
    interface: str = ""
    password: bytes = field(default=b"", repr=False)
    repeat_every: float = 5.0
    wait: bool = True
    timeout: float = 300.0


def read_request(options: Mapping[str, Any]) -> Request:
    """The options of ``wake_on_lan`` as a Request. Raises one Refusal that names everything that is wrong with them."""
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
        raise Refusal(subject, f"{value!r}", "a name that can be printed", "Give the host the name that reports shall show.")
    return value


def _address(value: object, subject: str) -> str:
    required = "an IPv4 or IPv6 address"
    next_step = "Write the address that the host has when it is up, not a name: a name service may be asleep too."
    try:
        address: Union[ipaddress.IPv4Address, ipaddress.IPv6Address] = ipaddress.ip_address(_ascii(value))
    except ValueError:
        raise Refusal(subject, f"{value!r}", required, next_step) from None
    if address.is_multicast or address.is_unspecified or address == ipaddress.IPv4Address("255.255.255.255"):
        raise Refusal(subject, f"{value}, which is no single host's", required, next_step)
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
    """Two hosts with one MAC would both wake; with one address, one would answer for the other."""
    refusals = []
    for kind in ("name", "mac", "address"):
        first: dict[str, Target] = {}
        for target in targets:
            value = getattr(target, kind)
            if value in first:
                refusals.append(
                    Refusal(
                        f"host {target.name}: {kind}",
                        f"{value}, which host {first[value].name} has too",
                        f"a {kind} of its own",
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
        "none of them",
        "Nothing was sent.",
    )
