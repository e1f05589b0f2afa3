# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""firewalld's zones drop and block are lists of bans, unless they are the host's own."""

from __future__ import annotations

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall import firewalld_files, firewalld_shut


class Bus:
    def __init__(self, default, active):
        self.answers = {"getDefaultZone": default, "getActiveZones": active}

    def ask(self, interface, method, *words):
        return self.answers[method]


@pytest.mark.parametrize(
    ("default", "active", "shut"),
    [
        ("public", {}, ["block", "drop"]),
        ("public", {"drop": {"sources": ["203.0.113.7"]}, "block": {"sources": ["ipset:bans"]}}, ["block", "drop"]),
        ("drop", {}, ["block"]),
        ("public", {"drop": {"interfaces": ["eth0"], "sources": ["203.0.113.7"]}}, ["block"]),
    ],
)
def test_a_zone_that_shuts_is_a_list_of_bans_unless_it_has_an_interface(default, active, shut):
    assert firewalld_shut.zones(Bus(default, active)) == shut


def test_a_policy_that_opens_has_one_before_it_that_shuts():
    files = firewalld_shut.files("worker", ["block", "drop"], {"in": ["a rule"], "fw": []})
    path = firewalld_files.policy_path("worker", "no")
    assert firewalld_files.parse_policy(path, files[path]) == ([], ["block", "drop"], ["HOST"], "DROP", "1")
    assert files[firewalld_files.policy_path("worker", "nf")] is None
    assert set(firewalld_shut.files("worker", [], {"in": ["a rule"], "fw": []}).values()) == {None}
