# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is sent a packet when, and until when it is waited for whom. It knows no clock: each step is told the time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._wake.request import Request, Target

Answer = Literal["accepted", "refused", "silent"]


@dataclass(frozen=True)
class Heard:
    """What one probe of a host's port brought.

    answer: ``refused`` is an answer too, of a host that is up while nothing listens on that port; ``silent`` is none.
    detail: for ``silent``, what the network said (``timed out``, ``No route to host``). after: seconds since the probe's start.
    """

    answer: Answer
    after: float = 0.0
    detail: str = ""


@dataclass(frozen=True)
class HostState:
    """What is known of one host. answered_at, accepted_at, last_packet_at: seconds of the caller's clock; None: not yet."""

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
        """It has answered since this call began, and did not fall silent again."""
        return self.last_answer != "silent"

    @property
    def is_ready(self) -> bool:
        return self.last_answer == "accepted"


class Vigil:
    """The watch over all hosts of one call, from the first probe to the last."""

    def __init__(self, request: Request, started: float) -> None:
        self._request = request
        self._started = started
        self._deadline = started + request.timeout
        self._states = {target.name: HostState(target) for target in request.targets}

    @property
    def states(self) -> tuple[HostState, ...]:
        return tuple(self._states.values())

    def first_heard(self, heard: Mapping[str, Heard], probed_at: float, now: float) -> None:
        """The probe before the first packet; the time that the hosts have to come up begins at its end."""
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
        """The hosts whose port is not open yet: a host that refuses gets no packets, but nobody can work on it either."""
        return tuple(state.target for state in self.states if not state.is_ready)

    def due(self, now: float) -> tuple[Target, ...]:
        """The sleeping hosts whose next packet is to be sent."""
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
        """How many seconds a probe may take without missing the next packet or the deadline, but at least ``shortest``.

        A probe of no time at all would find everybody silent.
        """
        next_packets = [
            state.last_packet_at + self._request.repeat_every
            for state in self.states
            if not state.is_up and state.last_packet_at is not None
        ]
        return max(shortest, min(longest, self._deadline - now, *(at - now for at in next_packets)))

    def seconds(self, state: HostState, now: float) -> float:
        """From the call's start until the host's port was open; until its first answer or until now if it never was."""
        until = state.accepted_at if state.accepted_at is not None else state.answered_at
        return round((now if until is None else until) - self._started, 3)
