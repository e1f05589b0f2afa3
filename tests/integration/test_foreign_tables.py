# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of nftables in the tables of iptables: real nft and iptables on a host."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._preflight.software import foreign_rules, shared_tables

from tests.lab import Lab
from tests.lab.hosts import Host

# the gate has the tables of others in the tests of each backend
pytestmark = pytest.mark.thorough

INCOMPATIBLE = "is incompatible, use 'nft' tool."
CHAIN = "nft 'add table ip filter; add chain ip filter INPUT { type filter hook input priority 0; }'"
CASES = {
    "nothing": ("", {}),
    "what kube-proxy writes": (
        "iptables-nft -t nat -N KUBE-MARK; iptables-nft -t nat -A KUBE-MARK -j MARK --or-mark 0x4000; "
        "iptables-nft -t nat -A POSTROUTING -m comment --comment x -m mark ! --mark 0x4000/0x4000 -j RETURN; "
        "iptables-nft -t nat -A POSTROUTING -j MASQUERADE --random-fully; "
        "iptables-nft -t nat -A PREROUTING -m addrtype --dst-type LOCAL -m statistic --mode random --probability 0.5 -j KUBE-MARK; "
        "iptables-nft -t nat -A PREROUTING -d 10.96.0.1/32 -p tcp -m tcp --dport 443 -j DNAT --to-destination 10.244.0.3:6443; "
        "iptables-nft -t filter -A FORWARD -m conntrack --ctstate INVALID -j DROP; "
        "iptables-nft -t filter -A INPUT -p tcp -m multiport --dports 1,2 -j REJECT; iptables-nft -t filter -A INPUT -m limit -j LOG",
        {},
    ),
    "what Tailscale writes": (
        "nft add table ip nat; nft 'add chain ip nat ts-postrouting'; "
        "nft 'add rule ip nat ts-postrouting meta mark & 0x0000ff00 == 0x00000400 counter masquerade'",
        {"ip nat": "masquerade in chain ts-postrouting"},
    ),
    "a set": (
        f"{CHAIN}; nft 'add set ip filter bad {{ type ipv4_addr; }}'; nft 'add rule ip filter INPUT ip saddr @bad drop'",
        {},
    ),
    "states": (f"{CHAIN}; nft 'add rule ip filter INPUT ct state established accept'", {"ip filter": "ct in chain INPUT"}),
    "reject": (f"{CHAIN}; nft 'add rule ip filter INPUT tcp dport 25 reject'", {"ip filter": "reject in chain INPUT"}),
    "simple rules": (f"{CHAIN}; nft 'add rule ip filter INPUT iifname \"lo\" accept; add rule ip filter INPUT tcp dport 22 accept'", {}),
    "another table": ("nft 'add table inet mine'; nft 'add chain inet mine c'; nft 'add rule inet mine c counter masquerade'", {}),
}


@pytest.fixture(scope="module")
def host(lab: Lab) -> Iterator[Host]:
    made = lab.start("tables", address="192.168.4.239", mac="02:00:c0:a8:04:ef")
    yield made
    lab.remove(made)


@pytest.mark.parametrize("case", CASES)
def test_a_table_that_iptables_cannot_read_is_named_and_no_other(host: Host, case: str) -> None:
    rules, expected = CASES[case]
    host.run(["sh", "-ec", f"nft flush ruleset; {rules}"])
    shared = shared_tables(host.run(["nft", "--json", "list", "tables"]).stdout)
    named: dict[str, str] = {}
    for family, table in shared:
        named.update(foreign_rules(host.run(["nft", "--json", "list", "table", family, table]).stdout))
    assert named == expected
    saved = {table: host.run(["iptables-nft-save", "-t", table], check=False) for table in ("filter", "nat")}
    assert {f"ip {table}" for table, said in saved.items() if INCOMPATIBLE in said.stdout + said.stderr} == set(expected)


def test_a_text_that_is_no_ruleset_names_nothing() -> None:
    assert (foreign_rules("Error: No such file"), shared_tables(json.dumps({"x": 1}))) == ({}, [])
