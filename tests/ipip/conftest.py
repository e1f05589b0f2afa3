# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two hosts with a kernel that has ipip, on the bridge of a lab of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab import Lab
from tests.lab.emulated import EmulatedHost
from tests.lab.say import step


@pytest.fixture(scope="session")
def pair() -> Iterator[tuple[EmulatedHost, EmulatedHost]]:
    """A neighbour without a firewall, and the host whose firewall is tested."""
    lab = Lab("ipip")
    lab.down()
    lab.prepare()
    hosts = (
        EmulatedHost(lab, "neighbour", "192.168.4.61", "02:00:c0:a8:04:3d"),
        EmulatedHost(lab, "guarded", "192.168.4.62", "02:00:c0:a8:04:3e"),
    )
    try:
        with step("two hosts with kernels of their own"):
            for host in hosts:
                host.start()
            for host in hosts:
                host.wait_until_up()
        yield hosts
    finally:
        for host in hosts:
            host.end()
        lab.down()
