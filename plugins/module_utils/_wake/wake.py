# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One call: probe all hosts at once, send to those that sleep, send again, wait for all together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ansible_collections.vmstation.cluster.plugins.module_utils._io.clock import Clock
from ansible_collections.vmstation.cluster.plugins.module_utils._wake.packet import magic_packet
from ansible_collections.vmstation.cluster.plugins.module_utils._wake.request import Request, Target
from ansible_collections.vmstation.cluster.plugins.module_utils._wake.vigil import Heard, HostState, Vigil

FIRST_PROBE = 2.0  # seconds until silence means sleep: time for one repetition of a lost SYN (RFC 6298: after 1 s)
NEXT_PROBES = 1.0
BREATH = 0.25  # the least time from one probe to the next, also when all refuse at once


class Lan(Protocol):
    """The network, as far as waking needs it."""

    def probe(self, targets: Sequence[Target], seconds: float) -> Mapping[str, Heard]:
        """Ask all targets at once whether they are up; an entry for each by name. Ends when all accept, at the latest after ``seconds``."""

    def send(self, payloads: Sequence[bytes]) -> None:
        """Broadcast one datagram each."""


@dataclass(frozen=True)
class Outcome:
    """What a call came to. hosts: what the module returns of each. waited: whether the hosts were given time to come up."""

    request: Request
    states: tuple[HostState, ...]
    hosts: tuple[Mapping[str, Any], ...]
    waited: bool

    @property
    def changed(self) -> bool:
        return not all(state.was_up for state in self.states)

    @property
    def diff(self) -> Mapping[str, Mapping[str, str]]:
        """Who slept and who is awake; what was predicted counts as done when nobody waited for it."""
        before = {state.target.name: "awake" if state.was_up else "asleep" for state in self.states}
        after = {state.target.name: "awake" if state.is_up or not self.waited else "asleep" for state in self.states}
        return {"before": before, "after": after}

    @property
    def missing(self) -> tuple[HostState, ...]:
        return tuple(state for state in self.states if not state.is_ready) if self.waited else ()


def wake(request: Request, lan: Lan, clock: Clock, *, predict_only: bool) -> Outcome:
    """Wake the hosts of ``request`` that sleep. With ``predict_only`` only the first probe takes place."""
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


def failure_message(outcome: Outcome) -> str:
    """What a person needs to know when hosts did not come up in time."""
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
            lines.append(f"- {state.target}: {sent}; no answer ({state.detail or 'timed out'})")
    if any(not state.is_up for state in missing):
        lines.append(
            "Check, for each that does not answer: its firmware setup (wake on LAN on; deep sleep, ErP and fast startup off), "
            "`ethtool INTERFACE` on it while it is up (`Wake-on: g`; the module vmstation.cluster.nic_wake_on_lan makes it last), "
            "its MAC address, and the switch (same broadcast domain, port still linked while the host sleeps). "
            "A firewall that rejects the probe looks like sleep."
        )
    if any(state.is_up for state in missing):
        lines.append("Check, for each that refuses: whether its service has started and whether `port` is the one it listens on.")
    return "\n".join(lines)
