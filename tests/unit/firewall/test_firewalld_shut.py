# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""firewalld's zones drop and block are lists of bans, unless they are the host's own."""

from __future__ import annotations

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall import firewalld, firewalld_zones
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.model import Opening


class Bus:
    def __init__(self, default, active, settings=None):
        self.answers = {"getDefaultZone": default, "getActiveZones": active, "getZones": ["public", *(settings or {})]}
        self.settings = settings or {}

    def ask(self, interface, method, *words):
        return self.settings.get(words[-1], {}) if method == "getZoneSettings2" else self.answers[method]


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
    assert firewalld.shut_zones(Bus(default, active)) == shut


BANS = {"sources": ["203.0.113.7"]}
DENIES = {"target": "DROP", "services": [], "ports": [], "protocols": [], "source_ports": [], "rules_str": []}


@pytest.mark.parametrize(
    ("active", "settings", "is_list"),
    [
        (BANS, DENIES, True),
        ({}, DENIES, True),
        (BANS, {**DENIES, "target": "%%REJECT%%"}, True),
        (BANS, {**DENIES, "target": "default"}, False),
        ({"interfaces": ["eth0"]}, DENIES, False),
        # a zone that lets its sources in is no list of bans: what else it denies, it denies to all of them
        (BANS, {**DENIES, "services": ["ssh"]}, False),
        (BANS, {**DENIES, "rules_str": ['rule port port="22" protocol="tcp" accept']}, False),
    ],
)
def test_a_zone_of_the_owners_that_only_shuts_is_a_list_of_bans(active, settings, is_list):
    found = firewalld.shut_zones(Bus("public", {"public": {"interfaces": ["eth1"]}, "bans": active}, {"bans": settings}))
    assert found == ["bans"] * is_list + ["block", "drop"]


SSH = 'rule family="ipv4" service name="ssh" accept limit value="3/m"'
PORT = 'rule priority="-2" port port="22" protocol="tcp" log prefix="x" level="info" limit value="1/m" accept limit value="3/m"'


@pytest.mark.parametrize(
    ("rules", "found"),
    [
        ([SSH], [SSH]),
        ([PORT], [PORT]),
        ([PORT, 'rule priority="-1" port port="22" protocol="tcp" drop'], []),
        # too late, for another port, or before it
        ([PORT, 'rule port port="22" protocol="tcp" drop'], [PORT]),
        ([PORT, 'rule priority="-1" port port="23" protocol="tcp" drop'], [PORT]),
        ([PORT, 'rule priority="-3" port port="22" protocol="tcp" drop'], [PORT]),
        ([SSH.replace("ssh", "http"), PORT.replace("22", "23"), 'rule log limit value="3/m" accept'], []),
    ],
)
def test_a_rich_rule_with_a_rate_that_our_set_exceeds_is_named(rules, found):
    ports = {"ssh": [Opening("tcp", 22, 22)], "http": [Opening("tcp", 80, 80)]}
    assert firewalld_zones.exceeded(rules, [Opening("tcp", 20, 22)], ports.get) == found


def test_a_policy_that_opens_has_one_before_it_that_shuts():
    files = firewalld.shut_files("worker", ["block", "drop"], {"in": ["a rule"], "fw": []})
    path = firewalld_zones.policy_path("worker", "no")
    assert firewalld_zones.parse_policy(path, files[path]) == ([], ["block", "drop"], ["HOST"], "DROP", "1")
    assert files[firewalld_zones.policy_path("worker", "nf")] is None
    assert set(firewalld.shut_files("worker", [], {"in": ["a rule"], "fw": []}).values()) == {None}
