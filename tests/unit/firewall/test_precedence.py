# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where our jump stands among the rules of others: bans, limits and allowances keep their effect, a denial of everyone does not."""

from __future__ import annotations

import json

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall import nftables
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.iptables import (
    Wanted,
    change,
    damage,
    disregarded,
    file_contents,
    rates,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.iptables_rules import Tables, can_refuse, effects, without
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.model import parse
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.nftables import rates as nftables_rates
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.nftables import sites
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.nftables_rules import Ruleset
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.packets import Ways, of_routes, overruled, places

SET = parse([{"port": 22}, {"port": 10250, "sources": ["192.168.4.0/24"]}], [])
FAIL2BAN = ":f2b - [0:0]\n-A INPUT -p tcp -m multiport --dports 22 -j f2b\n"
DROP, ACCEPT, RETURN = {"drop": None}, {"accept": None}, {"return": None}


def tables(text: str, policy: str = "DROP") -> Tables:
    return Tables(f"*filter\n:INPUT {policy} [0:0]\n:FORWARD DROP [0:0]\n{text}COMMIT\n")


INPUTS = [
    # what is in filter, and where our jump may stand: chain, first and last place
    ("", [("INPUT", 0, 0)]),
    ("-A INPUT -i lo -j ACCEPT\n-A INPUT -p tcp --dport 22 -j ACCEPT\n", [("INPUT", 0, 2)]),
    # fail2ban, with a ban, without one yet, and with one in the chain of a port that is not ours
    (f"{FAIL2BAN}-A f2b -s 203.0.113.7/32 -j REJECT\n-A f2b -j RETURN\n", [("INPUT", 1, 1)]),
    (f"{FAIL2BAN}-A f2b -j RETURN\n-A INPUT -j REJECT\n", [("INPUT", 1, 1)]),
    (f"{FAIL2BAN}-A INPUT -i lo -j ACCEPT\n", [("INPUT", 1, 2)]),
    # CrowdSec, sshguard, an owner's own list, countries, rates
    ("-A INPUT -m set --match-set crowdsec-blacklists src -j DROP\n-A INPUT -j DROP\n", [("INPUT", 1, 1)]),
    (":sshguard - [0:0]\n-A INPUT -j sshguard\n-A sshguard -s 203.0.113.7/32 -j DROP\n", [("INPUT", 1, 1)]),
    ("-A INPUT -i lo -j ACCEPT\n-A INPUT -s 203.0.113.0/24 -j DROP\n-A INPUT -j REJECT\n", [("INPUT", 2, 2)]),
    ("-A INPUT ! -s 192.168.4.0/24 -p tcp --dport 22 -j DROP\n", [("INPUT", 1, 1)]),
    ("-A INPUT -m geoip ! --source-country DE -j DROP\n", [("INPUT", 1, 1)]),
    ("-A INPUT -p tcp --syn --dport 22 -m connlimit --connlimit-above 3 -j REJECT\n", [("INPUT", 1, 1)]),
    ("-A INPUT -p tcp --dport 22 -m hashlimit --hashlimit-above 5/min --hashlimit-name s -j DROP\n", [("INPUT", 1, 1)]),
    ("-A INPUT -p tcp --dport 22 -m recent --update --seconds 60 --hitcount 4 --name s --rsource -j DROP\n"
     "-A INPUT -p tcp --dport 22 -m recent --set --name s --rsource -j ACCEPT\n", [("INPUT", 2, 2)]),
    ("-A INPUT -p tcp --dport 22 -m limit --limit 3/min -j ACCEPT\n-A INPUT -p tcp --dport 22 -j DROP\n", [("INPUT", 2, 2)]),
    # beyond a rate: of each source, in a chain from which the rest returns, and as another program decides
    ("-A INPUT -p tcp --dport 22 -m hashlimit --hashlimit-upto 3/min --hashlimit-name s -j ACCEPT\n"
     "-A INPUT -p tcp --dport 22 -j DROP\n-A INPUT -j DROP\n", [("INPUT", 2, 2)]),
    (":flood - [0:0]\n-A INPUT -p tcp --syn -j flood\n-A flood -m limit --limit 25/sec -j RETURN\n-A flood -j DROP\n", [("INPUT", 1, 1)]),
    # what returns from INPUT itself is the policy's, and comes to no rule behind
    ("-A INPUT -m limit --limit 25/sec -j RETURN\n-A INPUT -j DROP\n", [("INPUT", 0, 1)]),
    ("-A INPUT -p tcp --dport 22 -j NFQUEUE --queue-num 0\n-A INPUT -j DROP\n", [("INPUT", 1, 1)]),
    # the denial of the others is one of everyone, not of what exceeds the rate; so is one of more ports than the rate is of
    ("-A INPUT -s 10.0.0.0/8 -p tcp --dport 22 -m limit --limit 3/min -j ACCEPT\n-A INPUT -p tcp --dport 22 -j DROP\n", [("INPUT", 0, 1)]),
    ("-A INPUT -p tcp --dport 22 -m limit --limit 3/min -j ACCEPT\n-A INPUT -j DROP\n", [("INPUT", 0, 1)]),
    ("-A INPUT -m limit --limit 3/min -j ACCEPT\n-A INPUT -j DROP\n", [("INPUT", 0, 1)]),
    ("-A INPUT -i eth0 -p tcp --dport 22 -m limit --limit 3/min -j ACCEPT\n-A INPUT -p tcp --dport 22 -j DROP\n", [("INPUT", 0, 1)]),
    # odd packets, and other ports and addresses than ours
    ("-A INPUT -m conntrack --ctstate INVALID -j DROP\n-A INPUT -j DROP\n", [("INPUT", 1, 1)]),
    ("-A INPUT -p tcp --tcp-flags ALL NONE -j DROP\n-A INPUT -j DROP\n", [("INPUT", 1, 1)]),
    ("-A INPUT ! -i lo -d 127.0.0.0/8 -j REJECT\n-A INPUT -s 203.0.113.7 -j DROP\n-A INPUT -j DROP\n", [("INPUT", 2, 2)]),
    ("-A INPUT -p tcp --dport 23 -j DROP\n-A INPUT -s 203.0.113.7 -j DROP\n", [("INPUT", 2, 2)]),
    ("-A INPUT -p icmp -j DROP\n-A INPUT -j DROP\n", [("INPUT", 0, 1)]),
    # for everyone, on a port of ours
    ("-A INPUT -p tcp --dport 22 -j DROP\n", [("INPUT", 0, 0)]),
    ("-A INPUT -p tcp -m multiport --dports 20:25,80 -j REJECT\n", [("INPUT", 0, 0)]),
    ("-A INPUT -i eth0 -j DROP\n", [("INPUT", 0, 0)]),
    ("-A INPUT -m conntrack --ctstate NEW -j DROP\n", [("INPUT", 0, 0)]),
    ("-A INPUT -p tcp --tcp-flags FIN,SYN,RST,ACK SYN -j REJECT\n", [("INPUT", 0, 0)]),
    ("-A INPUT -m limit --limit 9/sec -j REJECT\n-A INPUT -j DROP\n", [("INPUT", 0, 0)]),
    # chains that deny everyone, and some of their own in front of that
    (":log - [0:0]\n-A INPUT -i lo -j ACCEPT\n-A INPUT -j log\n-A log -j LOG\n-A log -j DROP\n", [("INPUT", 0, 1)]),
    (":own - [0:0]\n-A INPUT -j own\n-A own -s 203.0.113.7 -j DROP\n-A own -j REJECT\n", [("own", 1, 1)]),
    (":own - [0:0]\n-A INPUT -i eth0 -j own\n-A own -s 203.0.113.7 -j DROP\n-A own -j REJECT\n", [("own", 1, 1), ("INPUT", 1, 1)]),
    # one that forwarded packets come through as well gets no jump of ours, which would open the forwarding too
    (":own - [0:0]\n-A INPUT -j own\n-A FORWARD -j own\n-A own -s 203.0.113.7 -j DROP\n-A own -j REJECT\n", [("INPUT", 0, 0)]),
    # a whitelist by RETURN denies all other sources, of the same ports or of every one
    (":own - [0:0]\n-A INPUT -p tcp --dport 22 -j own\n-A own -s 192.168.4.0/24 -j RETURN\n-A own -j DROP\n", [("INPUT", 1, 1)]),
    (":own - [0:0]\n-A INPUT -j own\n-A own -m set --match-set friends src -j RETURN\n-A own -p tcp --dport 22 -j DROP\n"
     "-A INPUT -j DROP\n", [("INPUT", 1, 1)]),
    (":own - [0:0]\n-A INPUT -j own\n-A own -s 192.168.4.0/24 -p tcp --dport 80 -j RETURN\n-A own -j DROP\n", [("INPUT", 0, 0)]),
    (":own - [0:0]\n-A INPUT -j own\n-A own -s 192.168.4.0/24 -m conntrack --ctstate ESTABLISHED -j RETURN\n-A own -j DROP\n",
     [("INPUT", 0, 0)]),
    # programs that put their chains where they want them
    (":cali-INPUT - [0:0]\n:KUBE-FW - [0:0]\n-A INPUT -j cali-INPUT\n-A INPUT -j KUBE-FW\n-A cali-INPUT -j DROP\n", [("INPUT", 0, 2)]),
]  # fmt: skip


def places_of(found: Tables) -> list[tuple]:
    return [(place.chain, place.first, place.last) for place in places_in(found)]


def places_in(found: Tables):
    known = effects(found, SET.openings)
    shared = frozenset({"own"}) if "-A FORWARD -j own" in found.rules.get(("filter", "FORWARD"), []) else frozenset()
    return places(known, "INPUT", shared)


@pytest.mark.parametrize(("text", "expected"), INPUTS)
def test_our_jump_of_iptables_stands_behind_bans_and_before_a_denial_of_everyone(text, expected):
    assert places_of(tables(text)) == expected


@pytest.mark.parametrize(("text", "expected"), INPUTS)
def test_a_changed_iptables_is_as_it_should_be_and_its_file_gives_everything_back(text, expected):
    """Running and saved rules, read back: nothing to repair, every ban in front, and every other byte in its place."""
    saved = f"*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n{text}COMMIT\n"
    goal = Wanted("worker", SET, 4, True)
    files = file_contents({"/etc/iptables/rules.v4": saved}.get, "worker", {4: goal}, {}, is_wanted=True)
    written = files["/etc/iptables/rules.v4"]
    assert damage(Tables(written), goal, {}) == []
    assert change(Tables(written), goal, {}).count("-I ") == 0
    assert without(written, frozenset({"vmstation-worker", "vmstation-worker.f"})) == saved
    jumps = Tables(written).jumps("filter", "vmstation-worker")
    assert [chain for chain, _place in jumps if chain != "INPUT"] == [chain for chain, _first, _last in expected if chain != "INPUT"]
    inserted = [line for line in change(Tables(saved), goal, {}).splitlines() if line.startswith("-I ")]
    assert len(inserted) == len(expected)


def test_a_jump_in_front_of_a_ban_is_moved_behind_it():
    goal = Wanted("worker", SET, 4, False)
    old = tables(
        ":vmstation-worker - [0:0]\n-A INPUT -j vmstation-worker\n" + FAIL2BAN + "-A f2b -s 203.0.113.7/32 -j REJECT\n"
        "-A vmstation-worker -p tcp -m tcp --dport 22 -j ACCEPT\n"
        "-A vmstation-worker -s 192.168.4.0/24 -p tcp -m tcp --dport 10250 -j ACCEPT\n"
    )
    assert damage(old, goal, {}) == [
        "chain INPUT of filter jumps to vmstation-worker in front of a rule that denies some sources, or behind one that denies everyone"
    ]
    assert change(old, goal, {}).splitlines()[-3:-1] == ["-D INPUT -j vmstation-worker", "-I INPUT 2 -j vmstation-worker"]


def test_a_ban_that_cannot_hold_is_named():
    found = tables("-A INPUT -p tcp --dport 22 -j DROP\n-A INPUT -s 203.0.113.7 -j DROP\n")
    assert disregarded(found, Wanted("worker", SET, 4, False), {}) == ["-A INPUT -s 203.0.113.7 -j DROP"]
    # behind a denial of everything it holds for nobody anyway
    assert disregarded(tables("-A INPUT -j DROP\n-A INPUT -s 203.0.113.7 -j DROP\n"), Wanted("worker", SET, 4, False), {}) == []


TAILSCALE = """\
:ts-input - [0:0]
-A INPUT -j ts-input
-A ts-input -s 100.101.102.103/32 -i lo -j ACCEPT
-A ts-input -s 100.115.92.0/23 ! -i tailscale0 -j RETURN
-A ts-input -s 100.64.0.0/10 ! -i tailscale0 -j DROP
-A ts-input -i tailscale0 -j ACCEPT
"""


@pytest.mark.parametrize("text", [TAILSCALE, f"{FAIL2BAN}-A f2b -s 203.0.113.7/32 -j REJECT\n", "-A INPUT -s 203.0.113.7 -j DROP\n"])
def test_a_host_that_denies_some_sources_only_has_no_firewall(text):
    assert not can_refuse(tables(text, "ACCEPT"), "INPUT")
    assert can_refuse(tables(f"{text}-A INPUT -j REJECT\n", "ACCEPT"), "INPUT")


INPUT = ("inet", "filter", "input")


def matches(*about, right, op="=="):
    kind, what, key = about
    left = {"payload": {"protocol": what, "field": key}} if kind == "payload" else {kind: {"key": key}}
    return {"match": {"op": op, "left": left, "right": right}}


SADDR = matches("payload", "ip", "saddr", right="@banned")
PORT_22 = matches("payload", "tcp", "dport", right=22)
INVALID = matches("ct", "", "state", right="invalid", op="in")
OVER = {"limit": {"rate": 3, "burst": 5, "per": "minute", "inv": True}}
UP_TO = {"limit": {"rate": 3, "burst": 5, "per": "minute"}}
EACH_UP_TO = {"set": {"op": "add", "elem": {"payload": {"protocol": "ip", "field": "saddr"}}, "set": "@seen", "stmt": [UP_TO]}}
METER = {"set": {"op": "add", "elem": {"payload": {"protocol": "ip", "field": "saddr"}}, "set": "@seen", "stmt": [OVER]}}
BY_STATE = {"vmap": {"key": {"ct": {"key": "state"}}, "data": {"set": [["established", ACCEPT], ["invalid", DROP]]}}}
BY_SOURCE = {"vmap": {"key": {"payload": {"protocol": "ip", "field": "saddr"}}, "data": "@verdicts"}}
TO_OWN = {"jump": {"target": "own"}}
NFT = [
    # the rules of input, those of its chain `own`, and where our jump may stand
    ([], [], [("input", 0, 0)]),
    ([[PORT_22, ACCEPT]], [], [("input", 0, 1)]),
    ([[SADDR, DROP], [DROP]], [], [("input", 1, 1)]),
    ([[PORT_22, SADDR, {"counter": {}}, {"reject": None}], [PORT_22, ACCEPT]], [], [("input", 1, 2)]),
    ([[BY_STATE], [PORT_22, ACCEPT], [{"reject": None}]], [], [("input", 1, 2)]),
    ([[BY_SOURCE], [PORT_22, ACCEPT]], [], [("input", 1, 2)]),
    ([[INVALID, DROP]], [], [("input", 1, 1)]),
    ([[PORT_22, METER, DROP], [PORT_22, ACCEPT]], [], [("input", 1, 2)]),
    ([[PORT_22, OVER, DROP], [PORT_22, ACCEPT]], [], [("input", 1, 2)]),
    ([[PORT_22, {"limit": "named"}, DROP], [PORT_22, ACCEPT]], [], [("input", 1, 2)]),
    ([[PORT_22, UP_TO, ACCEPT], [PORT_22, DROP]], [], [("input", 2, 2)]),
    ([[PORT_22, EACH_UP_TO, ACCEPT], [PORT_22, DROP]], [], [("input", 2, 2)]),
    ([[PORT_22, {"limit": "named"}, ACCEPT], [PORT_22, DROP], [DROP]], [], [("input", 2, 2)]),
    ([[PORT_22, UP_TO, ACCEPT], [DROP]], [], [("input", 0, 1)]),
    ([[matches("meta", "", "iifname", right="eth0"), PORT_22, UP_TO, ACCEPT], [PORT_22, DROP]], [], [("input", 0, 1)]),
    ([[PORT_22, SADDR, UP_TO, ACCEPT], [PORT_22, DROP]], [], [("input", 0, 1)]),
    ([[PORT_22, {"queue": {"num": 0}}], [PORT_22, ACCEPT]], [], [("input", 1, 2)]),
    ([[UP_TO, {"return": None}], [DROP]], [], [("input", 0, 1)]),
    ([[TO_OWN], [PORT_22, ACCEPT]], [[UP_TO, {"return": None}], [DROP]], [("input", 1, 2)]),
    ([[TO_OWN]], [[matches("meta", "", "l4proto", right="icmp"), UP_TO, {"return": None}], [DROP]], [("input", 0, 0)]),
    ([[PORT_22, DROP]], [], [("input", 0, 0)]),
    ([[matches("payload", "tcp", "dport", right=23), DROP], [SADDR, DROP]], [], [("input", 2, 2)]),
    ([[matches("meta", "", "iifname", right="eth0"), DROP]], [], [("input", 0, 0)]),
    ([[TO_OWN]], [[SADDR, DROP]], [("input", 1, 1)]),
    ([[TO_OWN]], [], [("input", 1, 1)]),
    ([[TO_OWN], [{"reject": None}]], [[PORT_22, ACCEPT]], [("input", 0, 1)]),
    ([[TO_OWN]], [[SADDR, DROP], [DROP]], [("own", 1, 1)]),
    ([[PORT_22, TO_OWN]], [[SADDR, RETURN], [DROP]], [("input", 1, 1)]),
    ([[TO_OWN], [DROP]], [[SADDR, RETURN], [PORT_22, DROP]], [("input", 1, 1)]),
    ([[TO_OWN]], [[SADDR, INVALID, RETURN], [DROP]], [("input", 0, 0)]),
]


def ruleset(on_input, own=(), policy="drop", routes=""):
    return Ruleset(ruleset_text(on_input, own, policy), routes)


def ruleset_text(on_input, own=(), policy="drop"):
    chains = [
        {"chain": {"family": "inet", "table": "filter", "name": "input", "type": "filter", "hook": "input", "prio": 0, "policy": policy}}
    ]
    chains.append({"chain": {"family": "inet", "table": "filter", "name": "own"}})
    chains.append({"map": {"family": "inet", "table": "filter", "name": "verdicts", "elem": [["203.0.113.7", DROP]]}})
    rules = [
        {"rule": {"family": "inet", "table": "filter", "chain": chain, "handle": 10 + number, "expr": expressions}}
        for chain, of in (("input", on_input), ("own", own))
        for number, expressions in enumerate(of)
    ]
    return json.dumps({"nftables": [*chains, *rules]})


@pytest.mark.parametrize(("on_input", "own", "expected"), NFT)
def test_our_jump_of_nftables_stands_behind_bans_and_before_a_denial_of_everyone(on_input, own, expected):
    found = sites(ruleset(on_input, own), SET, [(INPUT, "input")])
    assert [(key[2], place.first, place.last) for key, (_hook, place) in found.items()] == expected


ROUTES = json.dumps(
    [
        {"dst": "default", "gateway": "10.9.0.1", "dev": "eth0"},
        {"dst": "10.9.0.0/24", "dev": "eth0", "prefsrc": "10.9.0.5"},
        {"dst": "192.168.4.0/24", "dev": "lan0", "prefsrc": "192.168.4.61"},
        {"dst": "172.17.0.0/16", "dev": "docker0", "prefsrc": "172.17.0.1"},
        {"dst": "192.168.77.0/24", "dev": "wlan0", "prefsrc": "192.168.77.3"},
    ]
)
# a denial by interface or address: what it is about, and whether packets of the set come there
WAYS = [
    ("wlan0", "192.168.77.3", False),
    ("wl*", "192.168.77.0/24", False),
    ("docker0", "172.17.0.1", False),
    ("lan0", "192.168.4.61", True),
    ("eth0", "10.9.0.0/24", True),
    ("e*", "0.0.0.0/1", True),
    ("cali*", "2001:db8::1", True),
]


@pytest.mark.parametrize(("interface", "address", "is_ours"), WAYS)
def test_a_ban_of_an_interface_or_address_by_which_nothing_of_ours_comes_stays_in_front(interface, address, is_ours):
    place = (0, 0) if is_ours else (1, 1)
    wanted = Wanted("worker", SET, 4, False, of_routes(ROUTES, SET))
    pattern = interface.replace("*", "+")
    for condition in (f"-i {pattern}", f"-d {address}"):
        found = tables(f"-A INPUT {condition} -j DROP\n-A INPUT -j REJECT\n")
        known = effects(found, SET.openings, {}, wanted.ways)
        assert [(each.first, each.last) for each in places(known, "INPUT")] == [place], condition
        assert change(found, wanted, {}).count(f"-I INPUT {place[0] + 1} ") == 1
    right = {"prefix": {"addr": address.split("/")[0], "len": int(address.split("/")[1])}} if "/" in address else address
    by_address = matches("payload", "ip6" if ":" in address else "ip", "daddr", right=right)
    by_map = {"vmap": {"key": {"meta": {"key": "iifname"}}, "data": {"set": [["lo", ACCEPT], [interface, DROP]]}}}
    for rule in ([matches("meta", "", "iifname", right=interface), DROP], [by_address, DROP], [by_map]):
        found = sites(ruleset([rule, [DROP]], routes=ROUTES), SET, [(INPUT, "input")])
        assert [(each.first, each.last) for _hook, each in found.values()] == [place], rule
    # unknown: any interface may be one
    assert of_routes("", SET) == of_routes("broken", SET) == Ways()


def test_a_ban_behind_a_denial_of_our_port_is_named_in_nftables():
    known = ruleset([[PORT_22, DROP], [SADDR, DROP]]).effects(list(SET.openings), [INPUT])
    assert overruled(known, places(known, INPUT)[0]) == ["inet filter input handle 11"]


ICMP = "-A INPUT -p icmp -m limit --limit 1/sec -j ACCEPT\n"
RATE = "-A INPUT -p tcp -m tcp --dport 22 -m limit --limit 3/min -j ACCEPT\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (RATE, [RATE.strip()]),
        (f"{RATE}-A INPUT -j REJECT\n", [RATE.strip()]),
        (f":ssh - [0:0]\n-A INPUT -p tcp --dport 22 -j ssh\n{RATE.replace('INPUT', 'ssh')}", [RATE.replace("INPUT", "ssh").strip()]),
        # what the warning asks for, and rates of what we do not open
        (f"{RATE}-A INPUT -p tcp -m tcp --dport 22 -j DROP\n", []),
        (f"{ICMP}{RATE.replace('22', '23')}-A INPUT -j REJECT\n", []),
        (":log - [0:0]\n-A INPUT -j log\n-A log -m limit --limit 3/min -j RETURN\n-A log -j LOG\n", []),
    ],
)
def test_a_rate_that_our_rules_exceed_is_named(text, expected):
    assert rates(tables(text), Wanted("worker", SET, 4, False), {}) == expected


def test_a_rate_that_our_rules_exceed_is_named_in_nftables():
    assert nftables_rates(ruleset([[PORT_22, UP_TO, ACCEPT]]), SET, [INPUT]) == ["inet filter input handle 10"]
    assert nftables_rates(ruleset([[PORT_22, UP_TO, ACCEPT], [PORT_22, DROP]]), SET, [INPUT]) == []


FILES = {
    "/etc/nftables.conf": 'flush ruleset\ninclude "/etc/nftables.d/*.nft"\ninclude "./more.conf"\n',
    "/etc/nftables.d/10-filter.nft": "table ip filter {\n}\n",
    "/etc/nftables.d/vmstation-worker.nft": "table ip nat {\n}\n",
}


def test_what_the_hosts_file_includes_by_a_pattern_is_read():
    text = nftables.main_with_includes(FILES.get, lambda pattern: [path for path in FILES if "*" in pattern and path.endswith(".nft")])
    assert "table ip filter" in text
    assert "table ip nat" not in text  # ours is no table of the administrator's
