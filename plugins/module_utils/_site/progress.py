# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run is waiting for, and how long its plays took."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Callable

SLOWEST = 5
SHOWN_HOSTS = 5


class Progress:
    """The plays, tasks and hosts of a run, as Ansible reports them. clock: seconds that only increase."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began = clock()
        self._plays: list[tuple[str, float]] = []
        self._task = ("", self._began)
        # replaced as a whole, because another thread reads it
        self._hosts: frozenset[str] = frozenset()

    def play_starts(self, name: str) -> None:
        self._plays.append((name, self._clock()))

    def task_starts(self, name: str) -> None:
        self._task = (name, self._clock())
        self._hosts = frozenset()

    def host_starts(self, name: str) -> None:
        self._hosts |= {name}

    def host_ends(self, name: str) -> None:
        self._hosts -= {name}

    def waiting(self, least: float) -> str:
        """Return a line about the task that runs, or nothing if it has run for less than ``least`` seconds or no host runs it."""
        name, since = self._task
        hosts, seconds = sorted(self._hosts), self._clock() - since
        if seconds < least or not hosts:
            return ""
        more = f" and {len(hosts) - SHOWN_HOSTS} more" if len(hosts) > SHOWN_HOSTS else ""
        return f"still running after {duration(seconds)}: {name} ({', '.join(hosts[:SHOWN_HOSTS])}{more})"

    def summary(self, playbook: str) -> str:
        """Return one line: how long the run took, and its slowest plays."""
        now = self._clock()
        ends = [began for _name, began in self._plays[1:]] + [now]
        took: dict[str, float] = {}
        for (name, began), end in zip(self._plays, ends):
            took[name] = took.get(name, 0) + end - began
        slowest = sorted(took.items(), key=lambda one: -one[1])[:SLOWEST]
        return f"{playbook} took {duration(now - self._began)}. Slowest plays: {_listed(slowest)}."


def _listed(plays: Iterable[tuple[str, float]]) -> str:
    return ", ".join(f"{name} {duration(seconds)}" for name, seconds in plays) or "none"


def duration(seconds: float) -> str:
    """Return ``12 s``, or ``3 min 05 s``."""
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60:02} s"
