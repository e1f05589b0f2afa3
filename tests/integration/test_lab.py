# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab itself: hosts that are really down, power that listens, and nothing left behind."""

from __future__ import annotations

from tests.lab import Lab


def test_a_module_reaches_a_host_through_ansible(lab: Lab) -> None:
    host = lab.start("pinged", address="192.168.4.91", mac="02:00:c0:a8:04:5b")
    assert lab.module(host, "ansible.builtin.ping")["ping"] == "pong"
    lab.remove(host)
