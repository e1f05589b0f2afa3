# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waits with a limit, by a clock that tests can replace."""

from __future__ import annotations

from typing import Callable, Protocol, TypeVar

S = TypeVar("S")


class Clock(Protocol):
    """What the core is given to wait with; tests pass one that jumps."""

    def now(self) -> float:
        """Seconds since some fixed moment, never going back."""

    def sleep(self, seconds: float) -> None:
        """Let time pass."""


def look_until(look: Callable[[], S], is_done: Callable[[S], bool], clock: Clock, seconds: float, pause: float) -> S:
    """Look every ``pause`` seconds until what is seen is done, or ``seconds`` have passed; returns what was seen last."""
    end = clock.now() + seconds
    while not is_done(seen := look()) and clock.now() < end:
        clock.sleep(pause)
    return seen
