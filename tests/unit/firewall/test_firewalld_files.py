# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""firewalld's files and rich rules, and the table that guards node ports beside a managed firewall."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall import firewalld_zones, guard_table
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.firewalld_zones import RichRule, plain, settings_call
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.model import Opening, PortSet, Protected
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

SERVICE = "vmstation-worker"
OPENINGS = [Opening("tcp", 6443, 6443, (), "a < b & c"), Opening("sctp", 99, 100), Opening("4")]
FULL = PortSet(
    (Opening("tcp", 10250, 10250, ("10.0.0.0/8", "fd00::/8")), Opening("4", sources=("0.0.0.0/0",))), ("10.244.0.0/16", "fd00:1::/64")
)
ZONES = {
    "shipped": '<?xml version="1.0" encoding="utf-8"?>\n<zone>\n  <short>P</short>\n  <service name="ssh"/>\n  <forward/>\n</zone>\n',
    "one line": '<zone><service name="ssh"/></zone>',
    "our name in a comment": f'<zone>\n  <!-- <service name="{SERVICE}"/> </zone> -->\n</zone>\n',
    "our name in a rule": f'<zone>\n  <rule><service name="{SERVICE}"/><drop/></rule>\n</zone>\n',
    "another owner": f'<zone>\n  <service name="{SERVICE}-two"/>\n</zone>\n',
    "no last newline": "<zone>\n  <forward/></zone>",
    "not ASCII": "<zone>\n  <short>Größe ☃</short>\n</zone>\n<!-- Ende ü -->\n",
    "a brace in an attribute": '<zone>\n  <rule><log prefix="a &gt; > b"/><drop/></rule>\n</zone>\n',
    "dos line ends": '<zone>\r\n  <service name="ssh"/>\r\n</zone>\r\n',
}


@pytest.mark.parametrize("text", ZONES.values(), ids=ZONES)
def test_a_zone_changes_by_our_element_alone(text):
    after = firewalld_zones.with_service("zone.xml", text, SERVICE)
    assert firewalld_zones.has_service("zone.xml", after, SERVICE)
    assert after.replace(f'  <service name="{SERVICE}"/>\n</zone>', "</zone>", 1) in (text, text.replace("</zone>", "\n</zone>"))
    assert firewalld_zones.with_service("zone.xml", after, SERVICE) == after
    taken_out = firewalld_zones.without_service("zone.xml", after, SERVICE)
    assert not firewalld_zones.has_service("zone.xml", taken_out, SERVICE)
    # where the end tag did not begin a line, it does now
    assert taken_out in (text, text.replace("</zone>", "\n</zone>"))


@pytest.mark.parametrize(
    "element",
    [f"<service name='{SERVICE}'></service>", f'<service   name="{SERVICE}" />', f'<service name="{SERVICE}"><!-- x --></service>'],
)
def test_our_element_in_other_peoples_words_is_taken_out(element):
    assert (
        firewalld_zones.without_service("zone.xml", f"<zone>\n  {element}\n  <forward/>\n</zone>\n", SERVICE)
        == "<zone>\n  <forward/>\n</zone>\n"
    )
    assert firewalld_zones.without_service("zone.xml", f"<zone><forward/>{element}</zone>", SERVICE) == "<zone><forward/></zone>"


def test_an_empty_zone_gets_an_end():
    after = firewalld_zones.with_service("zone.xml", "<zone/>\n", SERVICE)
    assert after == f'<zone>\n  <service name="{SERVICE}"/>\n</zone>\n'


@pytest.mark.parametrize("text", ["", "<zone>", "<service/>", "<zone></zone><zone/>"])
def test_a_broken_zone_is_named(text):
    with pytest.raises(Refusal, match=r"zone\.xml"):
        firewalld_zones.with_service("zone.xml", text, SERVICE)


def test_a_service_says_what_it_opens():
    text = firewalld_zones.service_file("worker", OPENINGS)
    assert firewalld_zones.parse_service("s.xml", text) == (OPENINGS, True)
    assert "a &lt; b &amp; c" in text


@pytest.mark.parametrize(
    "part", ['<include service="ssh"/>', '<module name="nf_x"/>', '<source-port port="1" protocol="tcp"/>', '<protocol value="ipip"/>']
)
def test_a_service_that_says_more_is_not_ours(part):
    text = firewalld_zones.service_file("worker", OPENINGS).replace("</service>", f"{part}</service>")
    assert firewalld_zones.parse_service("s.xml", text)[1] is False


@pytest.mark.parametrize("side", ["in", "fw"])
def test_a_policy_comes_back_as_it_went(side):
    rules = firewalld_zones.input_rules(FULL) if side == "in" else firewalld_zones.forward_rules(FULL)
    texts, ingress, egress, target, priority = firewalld_zones.parse_policy("p.xml", firewalld_zones.policy_file("worker", side, rules))
    assert [firewalld_zones.parse(text) for text in texts] == rules
    assert (ingress, egress, target, priority) == (["ANY"], [{"in": "HOST", "fw": "ANY"}[side]], "CONTINUE", "2")


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (
            RichRule("10.0.0.0/8", "", Opening("tcp", 1, 9)),
            'rule family="ipv4" source address="10.0.0.0/8" port port="1-9" protocol="tcp" accept',
        ),
        (RichRule("fd00::/8", "", Opening("4")), 'rule family="ipv6" source address="fd00::/8" protocol value="4" accept'),
        (RichRule("::/0", "", Opening("4")), 'rule family="ipv6" protocol value="4" accept'),
        (RichRule("", "", Opening("udp", 53, 53), 12345), 'rule priority="12345" port port="53" protocol="udp" accept'),
        (RichRule("10.244.0.0/16"), 'rule family="ipv4" source address="10.244.0.0/16" accept'),
        (RichRule("", "10.244.0.0/16"), 'rule family="ipv4" destination address="10.244.0.0/16" accept'),
    ],
)
def test_a_rich_rule_is_said_as_firewalld_says_it(rule, text):
    assert str(rule) == text
    assert firewalld_zones.parse(text) == rule


def test_the_runtime_rules_of_every_owner_are_told_from_other_peoples():
    for owner in ("worker", "monitoring", "a-name-of-16-char"[:16]):
        for rule in firewalld_zones.opening_rules(OPENINGS, firewalld_zones.runtime_mark(owner)):
            assert firewalld_zones.is_runtime_rule(str(rule))
    for rule in firewalld_zones.opening_rules(OPENINGS, 9):
        assert not firewalld_zones.is_runtime_rule(str(rule))
    assert not firewalld_zones.is_runtime_rule("work")


@pytest.mark.parametrize(
    "text",
    [
        'rule family="ipv4" source address="10.0.0.0/8" drop',
        'rule family="ipv4" source NOT address="10.0.0.0/8" accept',
        'rule service name="ssh" accept',
        'rule port port="22" protocol="tcp" log prefix="x" accept',
        'rule port port="22" protocol="tcp" accept limit value="1/m"',
    ],
)
def test_a_rich_rule_that_we_would_not_write_is_none_of_ours(text):
    assert firewalld_zones.parse(text) is None


def test_names_stay_within_firewallds_limits_and_apart():
    owners = ["worker", "control-plane", "a" * 16, "a" * 15 + "b"]
    names = [firewalld_zones.policy_name(owner, side) for owner in owners for side in ("in", "fw")]
    assert len(set(names)) == len(names)
    assert max(map(len, names)) <= 18
    assert firewalld_zones.policy_name("worker", "fw") == "vm-worker_fw"
    assert all(0 < firewalld_zones.runtime_mark(owner) <= 32767 for owner in owners)


def test_busctls_types_are_taken_off():
    told = {"ports": {"type": "a(ss)", "data": [["22", "tcp"]]}, "forward": {"type": "b", "data": True}}
    assert plain(told) == {"ports": [["22", "tcp"]], "forward": True}


def test_settings_are_counted_for_busctl():
    step = settings_call("zone", "setZoneSettings2", "public", {"services": ["a", "b"], "rules_str": []})
    assert step.argv[-10:] == ("sa{sv}", "public", "2", "services", "as", "2", "a", "b", "rules_str", "as", "0")[-10:]


GUARDED = PortSet(
    (),
    ("10.244.0.0/16",),
    (Opening("tcp", 30300, 30300, ("192.168.4.63/32", "fd00::/8")), Opening("udp", 30500, 30600, ("10.0.0.0/8",))),
    (
        Protected("10.96.0.0/12", ("192.168.4.61/32", "192.168.4.62/31")),
        Protected("10.244.0.0/16", ("192.168.4.61/32",)),
        Protected("10.250.0.1/32"),
        Protected("fd00:10::/64", ("fd00:4::61/128",)),
    ),
)
CONFINED = PortSet(
    (
        Opening("4", sources=("192.168.4.0/24",)),
        Opening("tcp", 22, 22),
        Opening("tcp", 2379, 2379, ("192.168.4.63/32",)),
        Opening("tcp", 9100, 9100, ("10.244.0.0/16", "192.168.4.63/32", "fd00:10::/64")),
        Opening("tcp", 30300, 30300, ("192.168.4.63/32",)),
        Opening("tcp", 30301, 30301, ("192.168.4.0/24",)),
    ),
    ("10.244.0.0/16", "fd00:10::/64"),
    (Opening("tcp", 30300, 30300, ("192.168.4.63/32",)), Opening("tcp", 30301, 30301, ("192.168.4.0/24",))),
    (Protected("10.244.0.0/16", ("192.168.4.61/32",)),),
    True,
)


def guard_in(text, standing):
    damage = []
    return guard_table.guarded("worker", "somewhere", standing, text, damage), damage


@pytest.mark.parametrize("wanted", [GUARDED, CONFINED], ids=["all ports", "listed ports"])
def test_the_guard_comes_back_as_it_went(wanted):
    standing = replace(wanted, guarded=(), protected=(), confined=False)
    assert guard_in(guard_table.ruleset("worker", wanted), standing) == (wanted, [])
    assert guard_in("", standing) == (standing, [])


def test_the_guard_as_nft_lists_it():
    listed = """table inet vmstation-guard-worker {
\tchain prerouting {
\t\ttype filter hook prerouting priority mangle; policy accept;
\t\tiif "lo" return
\t\tct state established,related return
\t\tip saddr 10.244.0.0/16 fib daddr type != local return
\t\tip saddr 10.244.0.0/16 ip daddr 10.244.0.0/16 return
\t\tip saddr 10.244.0.0/16 ip daddr 10.250.0.1 return
\t\tip saddr 10.244.0.0/16 meta l4proto icmp return
\t\tip saddr 10.244.0.0/16 tcp dport 30300 return
\t\tip saddr 10.244.0.0/16 drop
\t\tip saddr 192.168.4.61 ip daddr 10.244.0.0/16 return
\t\tip daddr 10.244.0.0/16 drop
\t\tip daddr 10.250.0.1 drop
\t\tfib daddr type != local return
\t\tip saddr 192.168.4.63 tcp dport 30300 return
\t\ttcp dport 30300 drop
\t}
}
"""
    found, damage = guard_in(listed, PortSet((), ("10.244.0.0/16",)))
    assert damage == []
    assert found == PortSet(
        (),
        ("10.244.0.0/16",),
        (Opening("tcp", 30300, 30300, ("192.168.4.63/32",)),),
        (Protected("10.244.0.0/16", ("192.168.4.61/32",)), Protected("10.250.0.1/32")),
        True,
    )


def test_trusted_networks_reach_of_the_host_what_is_open_to_them_and_node_ports():
    rules = guard_table.ruleset("worker", CONFINED).split("\t\t")
    assert [rule.strip() for rule in rules if rule.startswith("ip saddr 10.244.0.0/16 ")] == [
        "ip saddr 10.244.0.0/16 fib daddr type != local return",
        "ip saddr 10.244.0.0/16 ip daddr 10.244.0.0/16 return",
        "ip saddr 10.244.0.0/16 meta l4proto icmp return",
        "ip saddr 10.244.0.0/16 tcp dport 22 return",
        "ip saddr 10.244.0.0/16 tcp dport 9100 return",
        "ip saddr 10.244.0.0/16 tcp dport 30300-30301 return",
        "ip saddr 10.244.0.0/16 drop",
    ]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('\t\tiif "lo" return\n', ""),
        ("tcp dport 30300 drop", "tcp dport 30300 counter drop"),
        ("\t\ttcp dport 30300 drop\n", ""),
        ("policy accept", "policy drop"),
        ("\t\tip daddr 10.244.0.0/16 drop\n", ""),
        ("\t\tip daddr 10.244.0.0/16 drop\n", "\t\tip daddr 10.244.0.0/16 accept\n"),
        (
            "\t\tip daddr 10.244.0.0/16 drop\n\t\tip daddr 10.250.0.1 drop\n",
            "\t\tip daddr 10.250.0.1 drop\n\t\tip daddr 10.244.0.0/16 drop\n",
        ),
        ("\t\tfib daddr type != local return\n", ""),
        ("ip saddr 192.168.4.61 ip daddr 10.244.0.0/16 return", "ip saddr @hosts ip daddr 10.244.0.0/16 return"),
        ("ip saddr 192.168.4.61 ip daddr 10.244.0.0/16 return", "ip saddr 192.168.4.61 ip daddr 10.245.0.0/16 return"),
        ("ip saddr 10.244.0.0/16 return", "return"),
    ],
)
def test_a_guard_by_another_hand_is_seen(old, new):
    text = guard_table.ruleset("worker", GUARDED)
    assert old in text
    _found, damage = guard_in(text.replace(old, new), replace(GUARDED, guarded=(), protected=()))
    assert damage == ["the table inet vmstation-guard-worker is not as it was written (somewhere)"]


def test_a_removed_drop_in_leaves_no_empty_directory() -> None:
    def commands(wanted: PortSet, *, drop_in_changes: bool) -> list[str]:
        steps = guard_table.steps("worker", "ufw.service", wanted, drop_in_changes=drop_in_changes)
        return [" ".join(step.argv) for step in steps]

    remove = "rmdir --ignore-fail-on-non-empty /etc/systemd/system/ufw.service.d"
    assert commands(PortSet(), drop_in_changes=True) == ["nft -f -", remove, "systemctl daemon-reload"]
    assert commands(GUARDED, drop_in_changes=True) == ["nft -f -", "systemctl daemon-reload"]
    assert commands(PortSet(), drop_in_changes=False) == ["nft -f -"]
