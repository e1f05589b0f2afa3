# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what was asked to what stands: read, plan, apply, read back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._firewall import rollback, unfinished
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.apply import Change, carry_out, settle, standing_files, validate
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.backend import Backend
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.choose import choose
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.host import Host
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.model import NOTHING, PortSet, as_lines, for_families
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.node_ports import guard, notes
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.ports import check_owner, parse, parse_range
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.rollback import Rollback
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.ssh import (
    SshConnection,
    admit,
    made_by_ansible,
    running_connection,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

NO_FIREWALL = (
    "No firewall is in force on this host: every port is open, and nothing was changed. "
    "Switch on firewalld, ufw, nftables or iptables with a policy that refuses, then run this again."
)
LONGEST_WINDOW = 86400
# seconds that a removal of the way in waits for a new connection, if the task gives no confirm_within
REMOVAL_WINDOW = 60


@dataclass(frozen=True)
class Request:
    """What a task asks for. confirm_within: seconds, 0: no confirmation. node_ports: first and last of the node port range.

    is_local, operator: what the action plugin knows of the connection, see ssh.made_by_ansible.
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


@dataclass
class Outcome:
    """What a task reports: the return values, and the warnings beside them."""

    result: dict[str, Any]
    warnings: list[str] = field(default_factory=list)


def read_request(options: Mapping[str, Any], *, check: bool) -> Request:
    """The module's options, judged. Raises Refusal or BadEntries."""
    within = options["confirm_within"]
    if not 0 <= within <= LONGEST_WINDOW:
        raise Refusal("confirm_within", f"{within}", f"0 to {LONGEST_WINDOW} seconds", "Choose as long as a new connection may take.")
    ports = parse(options["ports"], options["trusted"])
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
    )


def ensure(request: Request, host: Host) -> Outcome:
    """Make the owner's set what was asked for. Raises Refusal; the old set stands then."""
    if request.confirm_within:
        rollback.check_systemd(host)
    with host.lock():
        connection = running_connection(host.environments())
        proof = made_by_ansible(connection, is_local=request.is_local, operator=request.operator)
        if not request.check:
            rollback.sweep(host, request.owner)
        waiting = rollback.pending(host, request.owner)
        confirmed = waiting is not None and not request.check and waiting.is_confirmed_by(proof)
        if confirmed:
            host.detached(lambda: rollback.disarm(host, request.owner))
            waiting = None
        client = connection.client if connection else ""
        undone = settle(host, request.owner, client, check=request.check)
        backend = choose(request.backend, host.commands, host.read_text, request.zone, client)
        if backend is None:
            return Outcome(_result(request, "none", NOTHING, NOTHING, changed=False, confirmed=confirmed), [NO_FIREWALL])
        with host.tool_lock(backend.lock_path):
            outcome = _ensure(request, host, backend, connection, waiting, is_proved=proof is not None)
        if not request.check:
            unfinished.end(host, request.owner)
        if undone:
            outcome.result.update(changed=True, repaired=[*undone, *outcome.result.get("repaired", ())])
        outcome.result["confirmed"] = confirmed
        return outcome


def _ensure(
    request: Request, host: Host, backend: Backend, connection: Optional[SshConnection], waiting: Optional[Rollback], *, is_proved: bool
) -> Outcome:
    asked = admit(request.ports, connection) if request.ports else NOTHING
    wanted = for_families(guard(asked, *request.node_ports), backend.families())
    before = backend.read(request.owner)
    changed = not before.is_already(wanted)
    if changed and waiting:
        raise Refusal(
            f"the change of {request.owner} before this one",
            f"waiting for a confirmation until it is undone in {_seconds_left(host, waiting)} s",
            "to be confirmed or undone first",
            "Confirm it by the same task over a new connection, or wait.",
        )
    takes_ssh = changed and _takes_ssh_away(before.runtime, wanted, connection)
    # whether other rules let SSH in, only a new connection can tell
    window = request.confirm_within or (REMOVAL_WINDOW if takes_ssh and host.has_systemd() else 0)
    if changed and not request.check:
        change = Change(backend, request.owner, backend.transaction(request.owner, wanted), before, wanted, request.zone)
        validate(host, change)
        waiting = _way_back(request, host, change, connection, window) if window else None
        host.detached(partial(_apply, host, change, waiting))
    result = _result(request, backend.name, before.runtime, wanted, changed=changed, confirmed=False)
    if changed and before.damage:
        result["repaired"] = list(before.damage)
    if waiting:
        result.update(confirmation_pending=True, rollback_in=_seconds_left(host, waiting))
    limits = [*before.warnings, *backend.limits(wanted), *_left_out(asked, backend.families())]
    return Outcome(result, [*limits, *_way_in(request, takes_ssh and not (window and is_proved))])


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
        rollback.arm(host, way_back)
        carry_out(host, change)
    except (Refusal, OSError):
        rollback.disarm(host, way_back.owner)
        raise


def _seconds_left(host: Host, waiting: Rollback) -> int:
    return max(0, round(waiting.until - host.now()))


def _left_out(asked: PortSet, families: frozenset[int]) -> list[str]:
    """The entries that have no meaning here, as this host's firewall does not judge their IP version."""
    named = {source for opening in asked.openings for source in opening.sources} | set(asked.trusted)
    missing = sorted(network for network in named if (6 if ":" in network else 4) not in families)
    if not missing:
        return []
    absent = ", ".join(f"IPv{family}" for family in sorted({4, 6} - families))
    return [f"This host's firewall does not judge {absent}, so these networks were left out: {', '.join(missing)}."]


def _takes_ssh_away(before: PortSet, wanted: PortSet, connection: Optional[SshConnection]) -> bool:
    """Whether the running connection's port was open by this set, and is not any more."""

    def opens(ports: PortSet, port: int) -> bool:
        return any(opening.protocol == "tcp" and opening.first <= port <= opening.last for opening in ports.openings)

    return connection is not None and opens(before, connection.port) and not opens(wanted, connection.port)


def _way_in(request: Request, is_at_risk: bool) -> list[str]:
    if not is_at_risk:
        return []
    return [f"The set {request.owner} let SSH in. If no other rule of this host does, no new connection gets in any more."]


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
