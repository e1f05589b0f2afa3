# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Open or close a set of ports: read, plan, apply, verify; and the findings about a host's firewall."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from ipaddress import IPv6Address, ip_address
from typing import Any, Optional

from .._findings import Finding, LookedAt, state_of
from .._refusal import Refusal
from . import apply
from .apply import Change, Rollback, carry_out, choose, inactive, settle, standing_files, validate
from .backend import Backend, ReadText
from .host import Host
from .model import (
    NOTHING,
    RESTRICTIONS,
    Opening,
    PortSet,
    SshConnection,
    admit,
    as_lines,
    check_owner,
    for_families,
    made_by_ansible,
    parse,
    parse_range,
    running_connection,
)
from .nftables import DIRECTORY, main_file, with_include

# Node ports. They are DNATed before the input chain, so ``sources`` must be checked before the DNAT.


def guard(ports: PortSet, first: int, last: int) -> PortSet:
    """Add ``guarded``: those rules with sources that lie in the node port range ``first`` to ``last``."""
    guarded = tuple(
        Opening(opening.protocol, max(opening.first, first), min(opening.last, last), opening.sources, opening.comment)
        for opening in ports.openings
        if opening.sources and _lies_in(opening, first, last)
    )
    return replace(ports, guarded=guarded)


def notes(ports: PortSet, first: int, last: int) -> list[str]:
    """Return a note for each rule that contains node ports."""
    said = []
    for opening in ports.openings:
        if not _lies_in(opening, first, last):
            continue
        what = f"{opening.ports}/{opening.protocol}"
        if opening.sources:
            effect = f"packets from sources other than {', '.join(opening.sources)} are dropped before the DNAT instead"
        else:
            effect = "it is open to everyone while a Service uses it; set sources to restrict it"
        said.append(f"{what} is in the node port range {first}-{last}: an input rule neither opens nor closes a NodePort; {effect}")
    return said


def _lies_in(opening: Opening, first: int, last: int) -> bool:
    return opening.has_ports and opening.first <= last and first <= opening.last


# Read, plan, apply, verify

NO_FIREWALL = (
    "No firewall is active on this host, and nothing was changed. Every device of the network reaches these ports: {exposed}. "
    "Enable firewalld, ufw, nftables or iptables with a policy that denies, then run this again. Or let it set one up: install: nftables, "
    "which is node_firewall_install of the role node."
)
LONGEST_WINDOW = 86400
# seconds to wait for a new connection after the SSH port is removed, if the task sets no confirm_within
REMOVAL_WINDOW = 60


@dataclass(frozen=True)
class Request:
    """What a task asks for. confirm_within: seconds, 0: no confirmation. node_ports: first and last of the node port range.

    is_local, operator: what the action plugin knows about the connection, see ssh.made_by_ansible.
    """

    owner: str
    ports: PortSet
    node_ports: tuple[int, int]
    backend: str = "auto"
    zone: str = ""
    confirm_within: int = 0
    check: bool = False
    is_local: bool = False
    operator: str = ""
    install: str = "none"

    @property
    def installs(self) -> bool:
        """Return whether a host without a firewall gets one."""
        return self.install == "nftables" and self.backend in {"auto", "nftables"} and bool(self.ports)


@dataclass
class Outcome:
    """What a task reports: return values and warnings."""

    result: dict[str, Any]
    warnings: list[str] = field(default_factory=list)


def read_request(options: Mapping[str, Any], *, check: bool) -> Request:
    """Validate the module's options. Raises Refusal or BadEntries."""
    within = options["confirm_within"]
    if not 0 <= within <= LONGEST_WINDOW:
        raise Refusal("confirm_within", f"{within}", f"0 to {LONGEST_WINDOW} seconds", "Set the time that a new connection may take.")
    ports = parse(options["ports"], options["trusted"], options["protected"], confined=options["trusted_ports"] == "listed")
    return Request(
        owner=check_owner(options["name"]),
        ports=ports if options["state"] == "present" else NOTHING,
        node_ports=parse_range("node_port_range", options["node_port_range"]),
        backend=options["backend"],
        zone=options["zone"] or "",
        confirm_within=within,
        check=check,
        is_local=options["_is_local"],
        operator=options["_operator"],
        install=options["install"],
    )


def ensure(request: Request, host: Host) -> Outcome:
    """Apply the owner's set. Raises Refusal; the old set is then in force."""
    if request.confirm_within:
        apply.check_systemd(host)
    with host.lock():
        connection = running_connection(host.environments())
        proof = made_by_ansible(connection, is_local=request.is_local, operator=request.operator)
        if not request.check:
            apply.sweep(host, request.owner)
        waiting = apply.pending(host, request.owner)
        confirmed = waiting is not None and not request.check and waiting.is_confirmed_by(proof)
        if confirmed:
            host.detached(lambda: apply.disarm(host, request.owner))
            waiting = None
        client = connection.client if connection else ""
        undone = settle(host, request.owner, client, check=request.check)
        backend = choose(request.backend, host.commands, host.read_text, request.zone, client)
        installed = backend is None and request.installs and inactive(request.owner, host.read_text) in {"", "nftables"}
        if installed:
            if request.check:
                return _not_installed_yet(request, host, connection)
            host.detached(lambda: _install_default_deny(host, _ssh_ports(connection)))
            backend = choose("nftables", host.commands, host.read_text, request.zone, client)
        if backend is None:
            result = _result(request, "none", NOTHING, NOTHING, changed=False, confirmed=confirmed)
            result.update(inactive=inactive(request.owner, host.read_text), exposed=exposed_ports(host.read_text))
            return Outcome(result, [NO_FIREWALL.format(exposed=", ".join(result["exposed"]) or "none")])
        with host.tool_lock(backend.lock_path):
            outcome = _ensure(request, host, backend, connection, waiting, is_confirmed=proof is not None)
        if not request.check:
            apply.end_change(host, request.owner)
        if undone:
            outcome.result.update(changed=True, repaired=[*undone, *outcome.result.get("repaired", ())])
        outcome.result["confirmed"] = confirmed
        if installed:
            outcome.result.update(changed=True, installed=True)
        return outcome


def _ssh_ports(connection: Optional[SshConnection]) -> list[int]:
    return [connection.port if connection else SSH_PORT]


def _not_installed_yet(request: Request, host: Host, connection: Optional[SshConnection]) -> Outcome:
    """Predict the first run on a host without a firewall."""
    wanted = guard(admit(request.ports, connection), *request.node_ports)
    result = _result(request, "nftables", NOTHING, wanted, changed=True, confirmed=False)
    return Outcome({**result, "installed": True, "exposed": exposed_ports(host.read_text)})


def _ensure(
    request: Request, host: Host, backend: Backend, connection: Optional[SshConnection], waiting: Optional[Rollback], *, is_confirmed: bool
) -> Outcome:
    asked = admit(request.ports, connection) if request.ports else NOTHING
    wanted = for_families(guard(asked, *request.node_ports), backend.families())
    before = backend.read(request.owner)
    changed = not before.is_already(wanted)
    if changed and waiting:
        raise Refusal(
            f"the previous change of {request.owner}",
            f"waiting for a confirmation until it is undone in {_seconds_left(host, waiting)} s",
            "a change that is confirmed or undone",
            "Run the same task over a new connection to confirm it, or wait.",
        )
    takes_ssh = changed and _takes_ssh_away(before.runtime, wanted, connection)
    # only a new connection can show whether other rules still allow SSH
    window = request.confirm_within or (REMOVAL_WINDOW if takes_ssh and host.has_systemd() else 0)
    if changed and not request.check:
        change = Change(backend, request.owner, backend.transaction(request.owner, wanted), before, wanted, request.zone)
        validate(host, change)
        waiting = _way_back(request, host, change, connection, window) if window else None
        host.detached(partial(_apply, host, change, waiting))
    result = _result(request, backend.name, before.runtime, wanted, changed=changed, confirmed=False)
    if changed and before.damage:
        result["repaired"] = list(before.damage)
    if before.runtime == wanted:
        saved, lines = as_lines(before.permanent), as_lines(wanted)
        result["unsaved"] = [line for line in lines if line not in saved] + [f"not {line}" for line in saved if line not in lines]
    result["limits"] = list(before.warnings)
    if waiting:
        result.update(confirmation_pending=True, rollback_in=_seconds_left(host, waiting))
    limits = [*before.warnings, *backend.limits(wanted), *_left_out(asked, backend.families())]
    return Outcome(result, [*limits, *_way_in(request, takes_ssh and not (window and is_confirmed))])


def _way_back(request: Request, host: Host, change: Change, connection: Optional[SshConnection], window: int) -> Rollback:
    return Rollback(
        owner=request.owner,
        backend=change.backend.name,
        zone=request.zone,
        ports=change.before.runtime,
        files=standing_files(host, change),
        made=change.transaction.files,
        connection=str(connection) if connection else "",
        until=host.now() + window,
    )


def _apply(host: Host, change: Change, way_back: Optional[Rollback]) -> None:
    if way_back is None:
        carry_out(host, change)
        return
    try:
        apply.arm(host, way_back)
        carry_out(host, change)
    except (Refusal, OSError):
        apply.disarm(host, way_back.owner)
        raise


def _seconds_left(host: Host, waiting: Rollback) -> int:
    return max(0, round(waiting.until - host.now()))


def _left_out(asked: PortSet, families: frozenset[int]) -> list[str]:
    """Return a warning for networks of an IP version that this host's firewall does not filter."""
    named = {source for opening in asked.openings for source in opening.sources} | set(asked.trusted)
    named |= {network for each in asked.protected for network in (each.network, *each.sources)}
    missing = sorted(network for network in named if (6 if ":" in network else 4) not in families)
    if not missing:
        return []
    absent = ", ".join(f"IPv{family}" for family in sorted({4, 6} - families))
    return [f"This host's firewall does not filter {absent}, so these networks were left out: {', '.join(missing)}."]


def _takes_ssh_away(before: PortSet, wanted: PortSet, connection: Optional[SshConnection]) -> bool:
    """Return whether the set opened the port of the running connection and does not any more."""

    def opens(ports: PortSet, port: int) -> bool:
        return any(opening.protocol == "tcp" and opening.first <= port <= opening.last for opening in ports.openings)

    return connection is not None and opens(before, connection.port) and not opens(wanted, connection.port)


def _way_in(request: Request, is_at_risk: bool) -> list[str]:
    if not is_at_risk:
        return []
    return [f"The set {request.owner} allowed SSH. If no other rule of this host does, new SSH connections fail from now on."]


def _result(request: Request, backend: str, before: PortSet, after: PortSet, *, changed: bool, confirmed: bool) -> dict[str, Any]:
    old, new = as_lines(before), as_lines(after)
    return {
        "changed": changed,
        "backend": backend,
        "added": [line for line in new if line not in old] if changed else [],
        "removed": [line for line in old if line not in new] if changed else [],
        "ports": [
            {"port": opening.ports, "protocol": opening.protocol, "sources": list(opening.sources), "comment": opening.comment}
            for opening in after.openings
        ],
        "trusted": list(after.trusted),
        "trusted_ports": "listed" if after.confined else "all",
        "protected": [{"network": each.network, "sources": list(each.sources)} for each in after.protected],
        "notes": notes(after, *request.node_ports),
        "confirmation_pending": False,
        "confirmed": confirmed,
        "diff": {
            "before_header": f"{request.owner} ({backend})",
            "after_header": f"{request.owner} ({backend})",
            "before": "".join(f"{line}\n" for line in old),
            "after": "".join(f"{line}\n" for line in new),
        },
    }


# Findings about a host's firewall, from a result of firewall_ports

_START = {
    "firewalld": "systemctl enable --now firewalld",
    "ufw": "ufw enable",
    "nftables": "systemctl enable --now nftables",
    "iptables": "systemctl enable --now netfilter-persistent",
}


def findings(result: Mapping[str, Any], host: str, *, check: bool) -> list[Finding]:
    """What is wrong after the run. host: its name in the inventory, or empty. check: nothing was corrected."""
    return list(_findings(result, host, check))


def looked_at(result: Mapping[str, Any], host: str, found: Sequence[Finding]) -> list[LookedAt]:
    ports = f"{len(result['ports'])} open ports, as in the plan" if not found else "not as in the plan"
    return [LookedAt(_subject(result, host), ports if _is_active(result) else "not active", state_of(found))]


def _findings(result: Mapping[str, Any], host: str, check: bool) -> Iterator[Finding]:
    subject, of_host = _subject(result, host), f" on {host}" if host else ""
    site = f"`ansible-playbook site.yml{f' --limit {host}' if host else ''}`"
    if not _is_active(result):
        inactive = result.get("inactive")
        reached = f"every device reaches {', '.join(result.get('exposed') or ()) or 'every port'}"
        if inactive:
            found = f"not active, so {reached}; {inactive} has the rules of the plan"
            yield Finding("the_firewall_is_active", "error", subject, found, "active", f"Run `{_START[inactive]}`{of_host}.")
        else:
            fix = f"Set `node_firewall_install: nftables`, or enable firewalld or ufw{of_host}, then {site}."
            yield Finding("the_firewall_is_active", "warning", subject, f"none is active, so {reached}", "a firewall", fix)
        return
    if check:
        yield from _differences(result, subject, f"{site} corrects it.")
    if result.get("limits"):
        fix = "Correct the host's firewall: `systemctl enable UNIT` enables a unit that is named here."
        yield Finding("rules_come_back", "error", subject, "; ".join(result["limits"]), "rules that come back after a reboot", fix)


def _differences(result: Mapping[str, Any], subject: str, fix: str) -> Iterator[Finding]:
    missing, extra, unsaved, repaired = (result.get(key) or () for key in ("added", "removed", "unsaved", "repaired"))
    closed, superfluous = ([line for line in lines if not line.startswith(RESTRICTIONS)] for lines in (missing, extra))
    loose, tight = ([line for line in lines if line.startswith(RESTRICTIONS)] for lines in (missing, extra))
    if closed:
        yield Finding("planned_ports_are_open", "error", subject, f"closed: {', '.join(closed)}", "open, as the plan requires", fix)
    if superfluous:
        found = f"open, but not needed by the plan: {', '.join(superfluous)}"
        yield Finding("other_ports_are_closed", "warning", subject, found, "closed", fix)
    if loose:
        found = f"open to more than these: {', '.join(loose)}"
        yield Finding("sources_are_restricted", "warning", subject, found, "restricted, as the plan requires", fix)
    if tight and not loose:
        found = f"restricted, but not by the plan: {', '.join(tight)}"
        yield Finding("sources_are_restricted", "warning", subject, found, "as in the plan", fix)
    if unsaved:
        found = f"a reboot or reload would change {', '.join(unsaved)}"
        yield Finding("rules_are_saved", "error", subject, found, "the same rules after a reboot", fix)
    if repaired:
        yield Finding("rules_are_unaltered", "error", subject, f"altered: {'; '.join(repaired)}", "the rules of the plan, unaltered", fix)


def _is_active(result: Mapping[str, Any]) -> bool:
    """In check mode, a firewall that would be installed is not there yet."""
    return result["backend"] != "none" and not ("exposed" in result and result.get("installed"))


def _subject(result: Mapping[str, Any], host: str) -> str:
    backend = f" ({result['backend']})" if _is_active(result) else ""
    return f"firewall{f' of {host}' if host else ''}{backend}"


# The ports that every device reaches if no firewall is active: what listens on other addresses than loopback

# the state of a socket that waits for packets, in /proc/net: TCP_LISTEN and, of UDP, TCP_CLOSE (include/net/tcp_states.h)
WAITING = {"tcp": "0A", "udp": "07"}
# above it are the ports that clients, such as a DNS resolver, get for one question
FIRST_LOCAL_PORT = 32768


def exposed_ports(read_text: ReadText) -> list[str]:
    """Return ports such as ``22/tcp``, in order."""
    found = {
        (protocol, port)
        for protocol, waiting in WAITING.items()
        for version in ("", "6")
        for address, port, state in _sockets(read_text(f"/proc/net/{protocol}{version}") or "")
        if state == waiting and not _is_loopback(address) and (protocol == "tcp" or port < FIRST_LOCAL_PORT)
    }
    return [f"{port}/{protocol}" for protocol, port in sorted(found)]


def _sockets(text: str) -> Iterator[tuple[str, int, str]]:
    """Yield address, port and state of each socket. The kernel writes an address as words of 32 bits in its own byte order."""
    for line in text.splitlines()[1:]:
        _number, local, _remote, state = line.split()[:4]
        address, _colon, port = local.partition(":")
        yield address, int(port, 16), state


def _is_loopback(shown: str) -> bool:
    words = [int(shown[at : at + 8], 16) for at in range(0, len(shown), 8)]
    address = ip_address(struct.pack(f"={len(words)}I", *words))
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


# A minimal nftables firewall for a host that has none: input is denied, except for SSH and what a host cannot do without.
# It is the host's own firewall from then on: our sets come and go in it as in one that the administrator wrote, and nothing removes it.
# Forwarded packets are not filtered, as a drop here would overrule what Docker and others accept.

DEFAULT_DENY = f"{DIRECTORY}/default-deny.nft"
DEFAULT_DENY_RULES = """\
# Made by vmstation.cluster.firewall_ports, as this host had no firewall. Edit it as you like.
table inet host_firewall {{
  chain input {{
    type filter hook input priority filter; policy drop;
  }}
}}
flush chain inet host_firewall input
table inet host_firewall {{
  chain input {{
    iif "lo" accept
    ct state established,related accept
    meta l4proto {{ icmp, ipv6-icmp }} accept
    udp sport 67 udp dport 68 accept comment "DHCP"
    udp sport 547 udp dport 546 accept comment "DHCPv6"
    tcp dport {{ {ssh} }} accept comment "SSH"
  }}
}}
"""
SSH_PORT = 22


def _install_default_deny(host: Host, ssh_ports: Iterable[int]) -> None:
    """Put the firewall in force and load it at boot. An existing file is kept. Raises Refusal; nothing is in force then."""
    if not host.commands.has("nft"):
        raise Refusal("nftables", "no program nft", "the package nftables", "Install nftables, then run again.")
    main, main_text = main_file(host.read_text)
    if not main:
        raise Refusal("nftables", "no /etc/nftables.conf", "the file of the package nftables", "Reinstall nftables, then run again.")
    text = host.read_text(DEFAULT_DENY) or DEFAULT_DENY_RULES.format(ssh=", ".join(map(str, sorted(ssh_ports))))
    host.commands.run(["nft", "-c", "-f", "-"], stdin=text)
    host.replace_all({DEFAULT_DENY: text, main: with_include(main_text, DEFAULT_DENY)})
    # not started: the host's own file may flush the rules of kube-proxy, Calico and Docker
    host.commands.run(["systemctl", "enable", "nftables.service"])
    host.commands.run(["nft", "-f", "-"], stdin=text)
