# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Anything at all in the place of a plan and of hosts gives findings and plain data, never a traceback."""

from __future__ import annotations

import json
import random

from ansible_collections.vmstation.cluster.plugins.module_utils._findings import as_dicts
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.check import RULES, judge
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.reading import (
    SYNTAX_RULES,
    hosts_of,
    ports_for,
    trusted_networks,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

from tests.unit.network_plan.plans import DUAL, HOSTS, SPECIFICATION, extra

ROUNDS = 2000
SCALARS = [
    None,
    True,
    False,
    0,
    1,
    -1,
    22,
    65536,
    10**500,
    -(10**500),
    0.0,
    1.36,
    float("inf"),
    float("nan"),
    "",
    " ",
    "\x00",
    "\ud800",
    "\uff11\uff10.0.0.0/8",
]
SCALARS += [
    "0.0.0.0/0",
    "::/0",
    "255.255.255.255/32",
    "10.0.0.0/31",
    "::1/128",
    "0.0.0.0",
    "::",
    "ff02::1",
    "10.96.0.0/12",
    "fd00::/48",
    "%",
    "/",
    "-",
    "1-65535",
]
SCALARS += [
    "1-65535/tcp",
    "protocol 0",
    "protocol 255",
    "None",
    "IPIP",
    "1.0",
    "1.99",
    "control_plane",
    "worker",
    "a" * 70_000,
    "{{ x }}",
    "00:00:00:00:00:00",
]
KEYS = [
    *SPECIFICATION,
    "local_port_range",
    "extra_ports",
    "roles",
    "sources",
    "reason",
    *HOSTS[1],
    "node_port",
    "sources",
    "admin_sources",
    "host_sources",
    "unlisted_node_ports",
    "typha",
    "api_vip",
    "dhcp_range",
    "port",
    "protocol",
    "type",
    "health",
    "namespace",
    "workers",
    "control_plane",
    7,
    None,
    "x",
]
RULE_NAMES = {rule.name for rule in (*RULES, *SYNTAX_RULES)}


def anything(source, depth=4):
    kind = source.random()
    if depth == 0 or kind < 0.6:
        return source.choice(SCALARS)
    if kind < 0.8:
        return [anything(source, depth - 1) for _round in range(source.randint(0, 4))]
    return {source.choice(KEYS): anything(source, depth - 1) for _round in range(source.randint(0, 6))}


def damaged(source, value):
    """The value with one place of it replaced by anything."""
    if isinstance(value, dict) and value and source.random() < 0.85:
        key = source.choice(list(value))
        return {**value, key: damaged(source, value[key])}
    if isinstance(value, list) and value and source.random() < 0.85:
        at = source.randrange(len(value))
        return [*value[:at], damaged(source, value[at]), *value[at + 1 :]]
    return anything(source)


def assert_plain(verdict):
    json.dumps(verdict.derived)
    for finding in as_dicts(verdict.findings):
        assert finding["rule"] in RULE_NAMES
        assert finding.pop("hosts") == []
        assert all(isinstance(text, str) and text for text in finding.values())
        assert all(len(text) < 3000 for text in finding.values())
    (item,) = verdict.looked_at
    assert item.facts


def test_arbitrary_values_give_findings():
    source = random.Random(30_000)
    for _round in range(ROUNDS):
        assert_plain(judge(anything(source), anything(source)))


def test_damaged_plans_give_findings():
    source = random.Random(32_767)
    for at in range(ROUNDS):
        one_plan, some_hosts = {**(SPECIFICATION if at % 2 else DUAL), "extra_ports": extra()}, HOSTS
        for _round in range(source.randint(1, 4)):
            one_plan, some_hosts = damaged(source, one_plan), damaged(source, some_hosts)
        assert_plain(judge(one_plan, some_hosts))


def test_filters_answer_or_refuse():
    source, refused = random.Random(6_443), 0
    for _round in range(ROUNDS):
        one_plan, some_hosts = damaged(source, {**SPECIFICATION, "extra_ports": extra()}), damaged(source, HOSTS)
        for ask in (
            lambda one_plan=one_plan, some_hosts=some_hosts: ports_for(one_plan, "worker", some_hosts, anything(source)),
            lambda one_plan=one_plan: trusted_networks(one_plan),
            lambda: hosts_of(anything(source), anything(source)),
        ):
            try:
                json.dumps(ask())
            except Refusal as refusal:
                refused += 1
                assert len(str(refusal)) < 3000
    assert refused


def test_a_list_within_itself_is_a_finding():
    endless = []
    endless.append(endless)
    assert_plain(judge({**SPECIFICATION, "pod_cidr": endless}, endless))
