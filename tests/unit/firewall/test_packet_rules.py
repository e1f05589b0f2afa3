# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules written, shown by the host's tools, and read back as the same set."""

from __future__ import annotations

import json

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall import nftables
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.ensure import guard
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.iptables_rules import (
    Tables,
    can_refuse,
    protocol_numbers,
    single,
    within,
    without,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.iptables_rules import read_rule as read_iptables_rule
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.iptables_rules import rule_text as iptables_text
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.model import for_families, parse
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.nftables_rules import Ruleset, read_rule, rule_text
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.packets import (
    BOTH,
    Rule,
    forward_rules,
    guard_rules,
    input_rules,
    ports_of,
)

NUMBERS = protocol_numbers("# comment\nipencap 4 IP-ENCAP # IP in IP\nipip 94 IPIP\nipv6-icmp 58 IPv6-ICMP\n")


def saddr(protocol, value):
    return {"match": {"op": "==", "left": {"payload": {"protocol": protocol, "field": "saddr"}}, "right": value}}


def daddr(protocol, value):
    return {"match": {"op": "==", "left": {"payload": {"protocol": protocol, "field": "daddr"}}, "right": value}}


def dport(protocol, value):
    return {"match": {"op": "==", "left": {"payload": {"protocol": protocol, "field": "dport"}}, "right": value}}


def meta(key, value):
    return {"match": {"op": "==", "left": {"meta": {"key": key}}, "right": value}}


def prefix(address, length):
    return {"prefix": {"addr": address, "len": length}}


ACCEPT, DROP, RETURN = ({verdict: None} for verdict in ("accept", "drop", "return"))
ELSEWHERE = {"match": {"op": "!=", "left": {"fib": {"result": "type", "flags": ["daddr"]}}, "right": "local"}}
NFT = [
    # a rule, its text in an inet table, and what nft shows of it
    (Rule("accept", "tcp", 22, 22), "tcp dport 22 accept", [dport("tcp", 22), ACCEPT]),
    (Rule("accept", "udp", 1, 9), "udp dport 1-9 accept", [dport("udp", {"range": [1, 9]}), ACCEPT]),
    (Rule("drop", "sctp", 5, 5), "sctp dport 5 drop", [dport("sctp", 5), DROP]),
    (Rule("accept", "4"), "meta l4proto 4 accept", [meta("l4proto", 4), ACCEPT]),
    (
        Rule("accept", "tcp", 80, 80, ("10.0.0.0/8",), (), 4),
        "ip saddr 10.0.0.0/8 tcp dport 80 accept",
        [saddr("ip", prefix("10.0.0.0", 8)), dport("tcp", 80), ACCEPT],
    ),
    (
        Rule("accept", "tcp", 80, 80, ("192.168.4.5/32",), (), 4),
        "ip saddr 192.168.4.5/32 tcp dport 80 accept",
        [saddr("ip", "192.168.4.5"), dport("tcp", 80), ACCEPT],
    ),
    (
        Rule("accept", "tcp", 80, 80, ("10.0.0.0/8", "192.168.4.0/24"), (), 4),
        "ip saddr { 10.0.0.0/8, 192.168.4.0/24 } tcp dport 80 accept",
        [saddr("ip", {"set": [prefix("192.168.4.0", 24), prefix("10.0.0.0", 8)]}), dport("tcp", 80), ACCEPT],
    ),
    (
        # nft joins neighbours to a range
        Rule("return", sources=("10.0.0.5/32", "10.0.0.6/31"), family=4),
        "ip saddr { 10.0.0.5/32, 10.0.0.6/31 } return",
        [saddr("ip", {"set": [{"range": ["10.0.0.5", "10.0.0.7"]}]}), RETURN],
    ),
    (
        Rule("accept", "50", 0, 0, ("fd00::/8",), (), 6),
        "ip6 saddr fd00::/8 meta l4proto 50 accept",
        [saddr("ip6", prefix("fd00::", 8)), meta("l4proto", 50), ACCEPT],
    ),
    (
        Rule("accept", "tcp", 81, 81, (), (), 4),
        "meta nfproto ipv4 tcp dport 81 accept",
        [meta("nfproto", "ipv4"), dport("tcp", 81), ACCEPT],
    ),
    (Rule("return", exemption="loopback"), 'iif "lo" return', [meta("iif", "lo"), RETURN]),
    (
        Rule("return", sources=("10.244.0.0/16",), family=4, exemption="elsewhere"),
        "ip saddr 10.244.0.0/16 fib daddr type != local return",
        [saddr("ip", prefix("10.244.0.0", 16)), ELSEWHERE, RETURN],
    ),
    (
        Rule("return", sources=("10.9.9.9/32",), destinations=("10.244.0.0/16",), family=4),
        "ip saddr 10.9.9.9/32 ip daddr 10.244.0.0/16 return",
        [saddr("ip", "10.9.9.9"), daddr("ip", prefix("10.244.0.0", 16)), RETURN],
    ),
]


@pytest.mark.parametrize(("rule", "text", "shown"), NFT)
def test_a_rule_of_nftables_is_written_and_read_back(rule, text, shown):
    assert rule_text(rule, "inet") == text
    assert read_rule(shown, "") == rule


@pytest.mark.parametrize(
    "shown",
    [
        [dport("tcp", 22), {"counter": {"packets": 1, "bytes": 60}}, ACCEPT],
        [dport("tcp", 22), {"log": None}, ACCEPT],
        [dport("tcp", 22), {"reject": None}],
        [dport("tcp", {"set": [22, 23]}), ACCEPT],
        [{"match": {"op": "!=", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 22}}, ACCEPT],
        [meta("iifname", "eth0"), ACCEPT],
        [saddr("ip", "@friends"), ACCEPT],
        [meta("iif", "lo"), dport("tcp", 22), ACCEPT],
        [{"jump": {"target": "elsewhere"}}],
        [{"vmap": {"key": {"meta": {"key": "l4proto"}}, "data": {"set": []}}}],
        [],
    ],
)
def test_a_rule_by_another_hand_is_not_taken_for_ours(shown):
    assert read_rule(shown, "") is None


IPTABLES = [
    # a rule, what is written, what iptables-save shows
    (Rule("accept", "tcp", 22, 22), "-p tcp -m tcp --dport 22 -j ACCEPT", "-p tcp -m tcp --dport 22 -j ACCEPT"),
    (Rule("accept", "udp", 1, 9), "-p udp -m udp --dport 1:9 -j ACCEPT", "-p udp -m udp --dport 1:9 -j ACCEPT"),
    (Rule("accept", "4"), "-p 4 -j ACCEPT", "-p ipencap -j ACCEPT"),
    (Rule("accept", "94"), "-p 94 -j ACCEPT", "-p ipip -j ACCEPT"),
    (Rule("accept", "58"), "-p 58 -j ACCEPT", "-p ipv6-icmp -j ACCEPT"),
    (Rule("accept", "50"), "-p 50 -j ACCEPT", "-p esp -j ACCEPT"),
    (Rule("accept", "200"), "-p 200 -j ACCEPT", "-p 200 -j ACCEPT"),
    (
        Rule("accept", "tcp", 80, 80, ("10.0.0.0/8",), (), 4, "", "it's a; comment"),
        '-s 10.0.0.0/8 -p tcp -m tcp --dport 80 -m comment --comment "it\'s a; comment" -j ACCEPT',
        '-s 10.0.0.0/8 -p tcp -m tcp --dport 80 -m comment --comment "it\\\'s a; comment" -j ACCEPT',
    ),
    (Rule("accept", destinations=("fd00::/8",), family=6), "-d fd00::/8 -j ACCEPT", "-d fd00::/8 -j ACCEPT"),
    (Rule("drop", "tcp", 30300, 30300), "-p tcp -m tcp --dport 30300 -j DROP", "-p tcp -m tcp --dport 30300 -j DROP"),
    (Rule("return", exemption="elsewhere"), "-m addrtype ! --dst-type LOCAL -j RETURN", "-m addrtype ! --dst-type LOCAL -j RETURN"),
    (
        Rule("return", sources=("fd00::/8",), family=6, exemption="elsewhere"),
        "-s fd00::/8 -m addrtype ! --dst-type LOCAL -j RETURN",
        "-s fd00::/8 -m addrtype ! --dst-type LOCAL -j RETURN",
    ),
]


@pytest.mark.parametrize(("rule", "written", "shown"), IPTABLES)
def test_a_rule_of_iptables_is_written_and_read_back(rule, written, shown):
    assert iptables_text("vmstation-a", rule) == f"-A vmstation-a {written}"
    assert read_iptables_rule(f"-A vmstation-a {shown}", NUMBERS) == rule


@pytest.mark.parametrize(
    "shown",
    [
        "-p tcp -m tcp --dport 22 -j REJECT",
        "-p tcp -m tcp --sport 22 -j ACCEPT",
        "-p tcp -m tcp --dport 22 -m limit --limit 1/sec -j ACCEPT",
        "! -s 10.0.0.0/8 -j ACCEPT",
        "-i eth0 -j ACCEPT",
        "-j elsewhere",
        "-m set --match-set friends src -j ACCEPT",
        "",
    ],
)
def test_a_line_by_another_hand_is_not_taken_for_ours(shown):
    assert read_iptables_rule(f"-A vmstation-a {shown}", NUMBERS) is None


HOSTS = ["192.168.4.61", "192.168.4.62", "192.168.4.63", "fd00:4::61"]
WRITTEN = [
    ([{"port": 22}], [], []),
    ([{"port": 22}], ["10.244.0.0/16"], [{"network": "10.244.0.0/16", "sources": HOSTS}]),
    (
        [{"port": 30300, "sources": ["10.0.0.0/8"]}],
        ["10.244.0.0/16", "fd00:10::/64"],
        [
            {"network": "fd00:10::/64", "sources": HOSTS},
            {"network": "10.244.0.0/16", "sources": HOSTS},
            {"network": "10.96.0.0/12"},
            {"network": "10.96.0.0/12", "sources": ["10.9.9.9"]},
        ],
    ),
    ([{"port": 22}, {"port": "30000-32767", "protocol": "udp"}, {"protocol": 4}], ["10.244.0.0/16"], []),
    ([{"port": 80, "sources": ["10.0.0.0/8", "192.168.4.0/24", "fd00::/8"]}], ["10.244.0.0/16", "fd00:10::/64"], []),
    ([{"port": 80, "sources": ["0.0.0.0/0"]}, {"port": 81, "sources": ["::/0"]}], [], []),
    ([{"port": 30300, "sources": ["10.0.0.0/8"]}, {"port": 30301, "sources": ["fd00::/8"]}], ["10.244.0.0/16"], []),
    ([{"protocol": 4, "sources": ["10.0.0.0/8"]}], [], []),
]


@pytest.mark.parametrize(("ports", "trusted", "protected"), WRITTEN)
@pytest.mark.parametrize("confined", [False, True], ids=["all ports", "listed ports"])
@pytest.mark.parametrize("families", [BOTH, frozenset({4}), frozenset({6})], ids=["both", "IPv4", "IPv6"])
def test_a_set_becomes_rules_and_the_rules_that_set(ports, trusted, protected, families, confined):
    """With the tables of both versions apart, as iptables has them, and together, as inet has them."""
    wanted = for_families(guard(parse(ports, trusted, protected, confined=confined), 30000, 32767), families)
    apart = {
        version: (
            single(input_rules(for_families(wanted, frozenset({version})), frozenset({version}))),
            single(guard_rules(for_families(wanted, frozenset({version})), frozenset({version}))),
        )
        for version in families
    }
    assert ports_of(apart) == wanted
    on_input, before_dnat = input_rules(wanted, families), guard_rules(wanted, families)
    together = {
        version: ([rule for rule in on_input if rule.family in {0, version}], [rule for rule in before_dnat if rule.family in {0, version}])
        for version in families
    }
    assert ports_of(together) == wanted


def test_trusted_networks_are_forwarded_from_them_and_to_them():
    rules = forward_rules(parse([], ["10.244.0.0/16", "fd00::/64"]), BOTH)
    assert [rule_text(rule, "inet") for rule in rules] == [
        "ip saddr 10.244.0.0/16 accept",
        "ip6 saddr fd00::/64 accept",
        "ip daddr 10.244.0.0/16 accept",
        "ip6 daddr fd00::/64 accept",
    ]


def ruleset(*objects):
    return Ruleset(json.dumps({"nftables": [{"metainfo": {}}, *objects]}))


def chain(family, table, name, hook="", policy="accept"):
    base = {"type": "filter", "hook": hook, "prio": 0, "policy": policy} if hook else {}
    return {"chain": {"family": family, "table": table, "name": name, **base}}


def rule(family, table, name, *expressions):
    return {"rule": {"family": family, "table": table, "chain": name, "handle": 9, "expr": list(expressions)}}


INPUT = ("inet", "filter", "input")
ON_INPUT = chain(*INPUT, hook="input")
BELOW = [chain("inet", "filter", "x"), rule("inet", "filter", "x", DROP)]
LOOP = [chain("inet", "filter", "x"), rule("inet", "filter", "x", {"jump": {"target": "x"}})]
OURS = [chain("inet", "filter", "vmstation_a"), rule("inet", "filter", "vmstation_a", DROP)]
REFUSING = [
    # what is in the ruleset, and the chains that can refuse
    ([], []),
    ([ON_INPUT], []),
    ([chain(*INPUT, hook="input", policy="drop")], [INPUT]),
    ([ON_INPUT, rule(*INPUT, DROP)], [INPUT]),
    ([ON_INPUT, rule(*INPUT, {"reject": {"type": "icmp", "expr": "host-prohibited"}})], [INPUT]),
    ([ON_INPUT, rule(*INPUT, dport("tcp", 22), ACCEPT)], []),
    ([ON_INPUT, rule(*INPUT, {"jump": {"target": "x"}}), *BELOW], [INPUT]),
    ([ON_INPUT, rule(*INPUT, {"goto": {"target": "x"}}), *BELOW], [INPUT]),
    ([ON_INPUT, rule(*INPUT, {"jump": {"target": "x"}}), *LOOP], []),
    ([ON_INPUT, *BELOW], []),
    ([ON_INPUT, rule(*INPUT, {"vmap": {"key": {"meta": {"key": "iif"}}, "data": {"set": [["lo", ACCEPT], ["eth0", DROP]]}}})], [INPUT]),
    (
        [{"map": {"family": "inet", "table": "filter", "name": "m", "elem": [[99, DROP]]}}, ON_INPUT,
         rule(*INPUT, {"vmap": {"key": {"meta": {"key": "iif"}}, "data": "@m"}})],
        [INPUT],
    ),
    # a jump of ours is no reason
    ([ON_INPUT, rule(*INPUT, {"jump": {"target": "vmstation_a"}}), *OURS], []),
    # tables of programs
    ([chain("inet", "firewalld", "filter_INPUT", "input", "drop")], []),
    ([chain("ip", "kube-proxy", "filter-input", "input", "drop")], []),
    # a program's or the owner's list of bans
    ([chain("inet", "f2b-table", "f2b-chain", "input"), rule("inet", "f2b-table", "f2b-chain", saddr("ip", "@banned"), DROP)], []),
    ([chain("ip", "sshguard", "blacklist", "input"), rule("ip", "sshguard", "blacklist", saddr("ip", "@attackers"), DROP)], []),
    ([chain("inet", "vmstation_a", "x", "input", "drop")], []),
    ([chain("ip", "filter", "INPUT", "input", "drop")], []),
    ([chain("ip", "filter", "input", "input", "drop"), rule("ip", "filter", "input", {"xt": None}, ACCEPT)], []),
    # the administrator's own, old names included
    ([chain("ip", "filter", "input", "input", "drop")], [("ip", "filter", "input")]),
    (
        [chain("ip6", "filter", "input", "input", "drop"), chain("ip", "guard", "in", "input", "drop")],
        [("ip6", "filter", "input"), ("ip", "guard", "in")],
    ),
    ([chain("bridge", "filter", "input", "input", "drop"), chain("netdev", "f", "i", "ingress", "drop")], []),
]  # fmt: skip


@pytest.mark.parametrize(("objects", "expected"), REFUSING)
def test_the_chains_that_refuse_are_found(objects, expected):
    assert ruleset(*objects).refusing("input", "") == expected


def test_a_table_with_iptables_names_is_the_administrators_if_the_main_file_makes_it():
    found = ruleset(chain("ip", "filter", "INPUT", "input", "drop"))
    assert found.refusing("input", "flush ruleset\ntable ip filter {\n}\n") == [("ip", "filter", "INPUT")]


@pytest.mark.parametrize("text", ["", "flush ruleset\n", "table inet a { }", "table inet a { }\n", "a\nb\n\n"])
def test_the_include_comes_and_goes_without_a_trace(text):
    path = nftables.saved_path("worker", text)
    added = nftables.with_include(text, path)
    assert nftables.has_include(added, path)
    assert nftables.with_include(added, path) == added
    assert nftables.without_include(added, path) == text
    two = nftables.with_include(added, nftables.saved_path("work", text))
    assert nftables.without_any_include(
        f"{text.rstrip()}\n" + "".join(two.splitlines(True)[-2:])
    ) == f"{text.rstrip()}\n" or not text.endswith("\n")


def test_a_directory_that_the_host_includes_itself_is_not_used():
    assert nftables.saved_path("worker", 'include "/etc/nftables.d/*.nft"\n') == "/etc/nftables.vmstation/vmstation-worker.nft"
    assert nftables.saved_path("worker", 'include "/etc/nftables.d/other.nft"\n') == "/etc/nftables.d/vmstation-worker.nft"


SAVED = [
    "*filter\n:INPUT DROP [7:420]\n:FORWARD DROP [0:0]\n-A INPUT -i lo -j ACCEPT\nCOMMIT\n",
    "# Generated\n*mangle\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n# Completed\n"
    "*filter\n:INPUT DROP [0:0]\n:cali-INPUT - [0:0]\n[1:2] -A INPUT -j cali-INPUT\nCOMMIT",
    "*filter\nCOMMIT\n",
    "*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j KUBE-SERVICES\nCOMMIT\n"
    "*filter\n:INPUT DROP [0:0]\n-A INPUT -j vmstation-other\nCOMMIT\n",
]
OUR_LINES = {
    "filter": [":vmstation-a - [0:0]", "-A vmstation-a -p tcp -m tcp --dport 1 -j ACCEPT"],
    "mangle": [":vmstation-a - [0:0]", "-A vmstation-a -p tcp -m tcp --dport 1 -j DROP"],
}
BASES = {"filter": "INPUT", "mangle": "PREROUTING"}


@pytest.mark.parametrize("text", SAVED)
def test_our_lines_come_into_saved_rules_and_go_without_a_trace(text):
    with_ours = within(text, OUR_LINES, {table: [(base, 0, "vmstation-a")] for table, base in BASES.items()})
    tables = Tables(with_ours)
    assert tables.jumps("filter", "vmstation-a") == [("INPUT", 0)]
    assert tables.rules["filter", "INPUT"][0] == "-A INPUT -j vmstation-a"
    assert tables.jumps("mangle", "vmstation-a") == [("PREROUTING", 0)]
    assert without(with_ours, frozenset({"vmstation-a"})) == text


@pytest.mark.parametrize(
    ("lines", "refuses"),
    [
        (":INPUT ACCEPT [0:0]", False),
        (":INPUT DROP [0:0]", True),
        (":INPUT ACCEPT [0:0]\n-A INPUT -j DROP", True),
        (":INPUT ACCEPT [0:0]\n-A INPUT -p tcp -j REJECT --reject-with tcp-reset", True),
        (":INPUT ACCEPT [0:0]\n:x - [0:0]\n-A INPUT -j x\n-A x -j DROP", True),
        (":INPUT ACCEPT [0:0]\n:x - [0:0]\n-A INPUT -g x\n-A x -g x\n-A x -j REJECT", True),
        (":INPUT ACCEPT [0:0]\n:x - [0:0]\n-A x -j DROP", False),
        (":INPUT ACCEPT [0:0]\n:KUBE-FIREWALL - [0:0]\n-A INPUT -j KUBE-FIREWALL\n-A KUBE-FIREWALL -j DROP", False),
        (":INPUT ACCEPT [0:0]\n:cali-INPUT - [0:0]\n-A INPUT -j cali-INPUT\n-A cali-INPUT -j DROP", False),
        (':INPUT ACCEPT [0:0]\n-A INPUT -m comment --comment "-j DROP" -j ACCEPT', False),
        (":INPUT ACCEPT [0:0]\n:x - [0:0]\n-A INPUT -j x\n-A x -j x", False),
    ],
)
def test_a_chain_of_iptables_refuses_or_not(lines, refuses):
    assert can_refuse(Tables(f"*filter\n{lines}\nCOMMIT\n"), "INPUT") is refuses
