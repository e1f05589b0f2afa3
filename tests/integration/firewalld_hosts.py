# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts behind firewalld with rules of others, and what its tests have in common."""

from __future__ import annotations

import re

import pytest

from tests.integration.firewall_managed import OnManaged, prepare

ZONE = "/etc/firewalld/zones/public.xml"
# one of each kind of thing that a rewrite would lose or move: a comment, odd spacing, an attribute with single quotes, a foreign rule
# No <forward/>, which would let packets pass from the interface to itself without us.
HAND_WRITTEN = """\
<?xml version="1.0" encoding="utf-8"?>
<!-- <service name="vmstation-worker"/> -->
<zone>
  <short>Public</short>
  <service name='ssh' />
    <service   name="dhcpv6-client"/>
  <port protocol="tcp" port="7000-7010"/>
  <rule family="ipv4"><source address="10.66.0.0/16"/><drop/></rule>
</zone>
"""
MADE_BY_HAND = """
firewall-cmd -q --state
iptables -t nat -F
iptables -F
iptables -t nat -X
iptables -X
iptables -t nat -N KUBE-SERVICES
iptables -t nat -A PREROUTING -m comment --comment 'kubernetes service portals' -j KUBE-SERVICES
iptables -N cali-INPUT
iptables -I INPUT -m comment --comment 'cali:Cz_u1IQiXIMmKD4c' -j cali-INPUT
nft add table inet by-hand
"""
EMPTY_POLICY = re.compile(r"\tchain \S*vm-\S* \{\n(?:\t\t(?:jump \S*vm-\S*|drop)\n)*\t\}\n\n?|\t\t(?:[io]ifname \S+ )*jump \S*vm-\S*\n")


@pytest.fixture(scope="module", params=["debian12", pytest.param("debian13", marks=pytest.mark.thorough)])
def hosts(request, lab):
    made = prepare(lab, "fwd", 110 if request.param == "debian12" else 114, request.param)
    host = made[0]
    host.write(ZONE, HAND_WRITTEN)
    host.run(["sh", "-ec", "systemctl enable -q --now firewalld" + MADE_BY_HAND], timeout=300)
    yield made
    for each in made:
        lab.remove(each)


class OnFirewalld(OnManaged):
    files = ("/etc/firewalld", "/etc/systemd/system")
    reload = ("firewall-cmd", "--reload")
    unit = "firewalld"
    backend = "firewalld"
    made_by_hand = MADE_BY_HAND
    loses_rules_made_by_hand = (
        "reboot",
        "kubernetes",
        "reload",
        "node_port",
        "runtime_only",
        "cost_others",
        "harm",
        "over_iptables",
        "firewalld_shows",
        "without_a_reload",
        "in_any_order",
        "moves_from_zone",
        "stays_there",
        "keeps_its_denials",
        "limit_of_a_rich_rule",
    )

    def standing(self, host):
        """Without policies of ours that have no rules: they stay until a reload, which nobody asked for where it costs rules."""
        files, rules = super().standing(host)
        return files, "\n".join(line for line in EMPTY_POLICY.sub("", rules).splitlines() if line)
