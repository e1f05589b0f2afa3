# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks the kubelets of many nodes through the API server for their real configuration, at once and in bounded time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Union

from .._refusal import Refusal, Unavailable
from .._timing import ask_all

AT_ONCE = 10

Answer = Union[dict[str, Any], Refusal]


class KubeletVisitor:
    """read: asks the API server at a path."""

    def __init__(self, read: Callable[[str], dict[str, Any]]) -> None:
        self._read = read

    def ask(self, nodes: Sequence[str], seconds: float) -> Mapping[str, Answer]:
        """What ``/configz`` of each answers. seconds: for all together; a node without an answer by then is Unavailable."""
        # the API server waits longer for a node that is gone than anyone here would
        answers = ask_all(nodes, lambda node: self._read(f"/api/v1/nodes/{node}/proxy/configz"), seconds, AT_ONCE)
        return {node: _no_answer(node, seconds) if answer is None else answer for node, answer in zip(nodes, answers)}


def _no_answer(node: str, seconds: float) -> Refusal:
    return Unavailable(f"node {node}, its kubelet", f"no answer within {seconds:g} s", "an answer", f"Check the kubelet of {node}.")
