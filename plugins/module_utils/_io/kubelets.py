# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks the kubelets of many nodes through the API server for their real configuration, at once and in bounded time."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Union

from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal, Unavailable

AT_ONCE = 10

Answer = Union[dict[str, Any], Refusal]


class KubeletVisitor:
    """read: asks the API server at a path."""

    def __init__(self, read: Callable[[str], dict[str, Any]]) -> None:
        self._read = read

    def ask(self, nodes: Sequence[str], seconds: float) -> Mapping[str, Answer]:
        """What ``/configz`` of each answers. seconds: for all together; a node without an answer by then is Unavailable."""
        waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
        answers: queue.SimpleQueue[tuple[str, Answer]] = queue.SimpleQueue()
        for node in nodes:
            waiting.put(node)
        # the API server waits longer for a node that is gone than anyone here would: such a thread ends with this process
        for _worker in range(min(AT_ONCE, len(nodes))):
            threading.Thread(target=self._answer, args=(waiting, answers), daemon=True).start()
        deadline = time.monotonic() + seconds
        found: dict[str, Answer] = {}
        while len(found) < len(nodes):
            try:
                node, answer = answers.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                break
            found[node] = answer
        return {node: found[node] if node in found else _no_answer(node, seconds) for node in nodes}

    def _answer(self, waiting: queue.SimpleQueue[str], answers: queue.SimpleQueue[tuple[str, Answer]]) -> None:
        while True:
            try:
                node = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                answers.put((node, self._read(f"/api/v1/nodes/{node}/proxy/configz")))
            except Refusal as refusal:
                answers.put((node, refusal))


def _no_answer(node: str, seconds: float) -> Refusal:
    return Unavailable(f"node {node}, its kubelet", f"no answer within {seconds:g} s", "an answer", f"Look at the kubelet of {node}.")
