# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubelets are asked at once, and none is waited for longer than was said."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._cluster.proxied import KUBELETS_AT_ONCE, KubeletVisitor
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal, Unavailable


def test_each_node_has_its_own_answer() -> None:
    refusal = Refusal("node b", "HTTP status 403", "a permission", "Get it.")

    def read(path: str) -> dict[str, Any]:
        if path == "/api/v1/nodes/b/proxy/configz":
            raise refusal
        return {"path": path}

    names = ["a", "b", *(f"c{number}" for number in range(3 * KUBELETS_AT_ONCE))]
    answers = KubeletVisitor(read).ask(names, 60)
    assert list(answers) == names
    assert answers["b"] is refusal
    assert answers["c7"] == {"path": "/api/v1/nodes/c7/proxy/configz"}


def test_they_are_asked_at_once() -> None:
    together = threading.Barrier(KUBELETS_AT_ONCE)

    def read(_path: str) -> dict[str, Any]:
        together.wait(30)
        return {"together": True}

    answers = KubeletVisitor(read).ask([f"n{number}" for number in range(KUBELETS_AT_ONCE)], 60)
    assert all(answer == {"together": True} for answer in answers.values())


def test_one_that_never_answers_is_not_waited_for() -> None:
    ended = threading.Event()

    def read(path: str) -> dict[str, Any]:
        if "/mute/" in path:
            ended.wait(60)
        return {"path": path}

    answers = KubeletVisitor(read).ask(["mute", "well"], 2)
    ended.set()
    assert isinstance(answers["mute"], Unavailable)
    assert answers["mute"].found == "no answer within 2 s"
    assert isinstance(answers["well"], dict)


@pytest.mark.parametrize("seconds", [1, 60])
def test_nobody_is_asked(seconds: float) -> None:
    assert KubeletVisitor(lambda _path: pytest.fail("asked")).ask([], seconds) == {}
