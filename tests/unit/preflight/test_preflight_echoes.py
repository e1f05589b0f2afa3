# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Echo requests on a host that other hosts send ICMP packets to without a pause."""

from __future__ import annotations

import select
import time
from itertools import count
from typing import Any, cast

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._preflight import io as edge

MOST_PACKETS = 100


class Flooded:
    """A raw socket that always has a packet of another program."""

    def __init__(self) -> None:
        self.received = 0

    def sendto(self, data: bytes, address: tuple[str, int]) -> int:
        return len(data)

    def recvfrom(self, size: int) -> tuple[bytes, tuple[str, int]]:
        self.received += 1
        assert self.received < MOST_PACKETS, "the wait has no limit"
        return bytes([0x45, *bytes(27)]), ("192.168.4.7", 0)


def test_the_wait_for_an_answer_ends_although_packets_keep_coming(monkeypatch: pytest.MonkeyPatch) -> None:
    tenths = count()
    monkeypatch.setattr(time, "monotonic", lambda: next(tenths) / 10)
    monkeypatch.setattr(select, "select", lambda *waiting: waiting[:3])
    assert edge._answering(cast(Any, Flooded()), ["192.168.4.62"], 64) == set()
