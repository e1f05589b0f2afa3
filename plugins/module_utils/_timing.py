# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The system's clock, for everything that waits; and many questions asked in parallel, with a limit of time for all together."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Sequence
from typing import Callable, Optional, TypeVar, Union

from ._refusal import Refusal


class SystemClock:
    """Seconds that do not jump when the time of day is set."""

    def now(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


Q = TypeVar("Q")
A = TypeVar("A")


def ask_all(questions: Sequence[Q], ask: Callable[[Q], A], seconds: float, at_once: int) -> list[Optional[Union[A, Refusal]]]:
    """The answers in the order of the questions; None for one that has not come by the end. seconds: for all together."""
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    answers: queue.SimpleQueue[tuple[int, Union[A, Refusal]]] = queue.SimpleQueue()
    for index in range(len(questions)):
        waiting.put(index)

    def work() -> None:
        while True:
            try:
                index = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                answers.put((index, ask(questions[index])))
            except Refusal as refusal:
                answers.put((index, refusal))

    # who is never answered ends with this process
    for _worker in range(min(at_once, len(questions))):
        threading.Thread(target=work, daemon=True).start()
    deadline = time.monotonic() + seconds
    found: list[Optional[Union[A, Refusal]]] = [None] * len(questions)
    for _answer in questions:
        try:
            index, answer = answers.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            break
        found[index] = answer
    return found
