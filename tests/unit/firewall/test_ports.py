# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What users write in ``ports`` and ``trusted``: every malformed entry with its message, and what the rest becomes."""

from __future__ import annotations

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.model import BadEntries, as_lines, check_owner, parse, parse_range
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

PORT = "a port from 1 to 65535, or a range like 30000-32767"
NUMBER = "tcp, udp, sctp or an IP protocol number from 1 to 255"
NETWORK = "a network like 192.168.4.0/24 or fd00::/8"
LINE = "printable characters on one line, without double quotes and backslashes"

PORTS = [
    # what was written, as it is shown, what is required
    (0, "0", PORT),
    ("0", '"0"', PORT),
    (-1, "-1", PORT),
    ("-1", '"-1"', PORT),
    (65536, "65536", PORT),
    ("65536", '"65536"', PORT),
    (99999999999999999999, "99999999999999999999", PORT),
    ("9" * 40, f'"{"9" * 40}"', PORT),
    (True, "True", PORT),
    (False, "False", PORT),
    (80.0, "80.0", PORT),
    ("80.0", '"80.0"', PORT),
    ("", '""', PORT),
    (" ", '" "', PORT),
    (" 80", '" 80"', PORT),
    ("80 ", '"80 "', PORT),
    ("80\n", '"80\n"', PORT),
    ("+80", '"+80"', PORT),
    ("080", '"080"', PORT),
    ("0x50", '"0x50"', PORT),
    ("1e3", '"1e3"', PORT),
    ("8_0", '"8_0"', PORT),
    ("http", '"http"', PORT),
    ("80/tcp", '"80/tcp"', PORT),
    ("*", '"*"', PORT),
    ("any", '"any"', PORT),
    ("٨٠", '"٨٠"', PORT),
    ("８０", '"８０"', PORT),  # noqa: RUF001
    ("8०", '"8०"', PORT),  # noqa: RUF001
    ("²", '"²"', PORT),
    ([80], "[80]", PORT),
    ({"from": 80}, "{'from': 80}", PORT),
    (b"80", "b'80'", PORT),
    ("30000:32767", '"30000:32767"', "30000-32767"),
    ("30000..32767", '"30000..32767"', "30000-32767"),
    ("30000,32767", '"30000,32767"', "30000-32767"),
    ("30000 - 32767", '"30000 - 32767"', "30000-32767"),
    ("30000\u201332767", '"30000\u201332767"', "30000-32767"),
    ("32767-30000", '"32767-30000"', "the lower port first, 30000-32767"),
    ("2-1", '"2-1"', "the lower port first, 1-2"),
    ("0-10", '"0-10"', PORT),
    ("1-65536", '"1-65536"', PORT),
    ("-10", '"-10"', PORT),
    ("10-", '"10-"', PORT),
    ("10--20", '"10--20"', PORT),
    ("1-2-3", '"1-2-3"', PORT),
    ("01-20", '"01-20"', PORT),
    ("10-2O", '"10-2O"', PORT),
    ("80,443", '"80,443"', "80-443"),
    ("80, 443, 8080", '"80, 443, 8080"', PORT),
    ("{{ port }}", '"{{ port }}"', PORT),
    (None, "nothing", f"{PORT}, as tcp has ports"),
]
PROTOCOLS = [
    ("TCP", '"TCP"', "write tcp"),
    (" udp", '" udp"', "write udp"),
    ("Sctp", '"Sctp"', "write sctp"),
    ("ipip", '"ipip"', "write 4: the number is the same on every host, the name is not"),
    ("IPIP", '"IPIP"', "write 4: the number is the same on every host, the name is not"),
    ("ipencap", '"ipencap"', "write 4: the number is the same on every host, the name is not"),
    ("icmp", '"icmp"', "write 1: the number is the same on every host, the name is not"),
    ("icmpv6", '"icmpv6"', "write 58: the number is the same on every host, the name is not"),
    ("gre", '"gre"', "write 47: the number is the same on every host, the name is not"),
    ("esp", '"esp"', "write 50: the number is the same on every host, the name is not"),
    ("ospf", '"ospf"', "write 89: the number is the same on every host, the name is not"),
    ("vrrp", '"vrrp"', "write 112: the number is the same on every host, the name is not"),
    ("both", '"both"', NUMBER),
    ("tcp,udp", '"tcp,udp"', NUMBER),
    ("tcp/udp", '"tcp/udp"', NUMBER),
    ("tcp6", '"tcp6"', NUMBER),
    ("all", '"all"', NUMBER),
    ("any", '"any"', NUMBER),
    ("", '""', NUMBER),
    ("0", '"0"', NUMBER),
    (0, "0", NUMBER),
    (-4, "-4", NUMBER),
    (256, "256", NUMBER),
    ("256", '"256"', NUMBER),
    ("04", '"04"', NUMBER),
    ("4.0", '"4.0"', NUMBER),
    (4.0, "4.0", NUMBER),
    ("٤", '"٤"', NUMBER),
    (True, "True", NUMBER),
    (["tcp"], "['tcp']", NUMBER),
    (6, "6", "tcp with a port: a bare 6 would open every port of tcp"),
    ("17", '"17"', "udp with a port: a bare 17 would open every port of udp"),
    (132, "132", "sctp with a port: a bare 132 would open every port of sctp"),
]
NETWORKS = [
    ("192.168.4.1/24", '"192.168.4.1/24"', "no host bits, 192.168.4.0/24"),
    ("10.1.2.3/8", '"10.1.2.3/8"', "no host bits, 10.0.0.0/8"),
    ("fd00::1/64", '"fd00::1/64"', "no host bits, fd00::/64"),
    ("192.168.4.0/33", '"192.168.4.0/33"', NETWORK),
    ("192.168.4.0/-1", '"192.168.4.0/-1"', NETWORK),
    ("192.168.4.0/", '"192.168.4.0/"', NETWORK),
    ("192.168.4.0/024", '"192.168.4.0/024"', NETWORK),
    ("192.168.4.0/255.255.255.0", '"192.168.4.0/255.255.255.0"', NETWORK),
    ("192.168.4.0/24/24", '"192.168.4.0/24/24"', NETWORK),
    ("192.168.4.0 /24", '"192.168.4.0 /24"', NETWORK),
    ("192.168.4", '"192.168.4"', NETWORK),
    ("192.168.4.256", '"192.168.4.256"', NETWORK),
    ("192.168.04.1", '"192.168.04.1"', NETWORK),
    ("192.168.4.0-192.168.4.9", '"192.168.4.0-192.168.4.9"', NETWORK),
    ("192.168.4.0/24,10.0.0.0/8", '"192.168.4.0/24,10.0.0.0/8"', NETWORK),
    ("!192.168.4.0/24", '"!192.168.4.0/24"', NETWORK),
    ("homelab", '"homelab"', NETWORK),
    ("any", '"any"', NETWORK),
    ("", '""', NETWORK),
    ("/24", '"/24"', NETWORK),
    ("１０.0.0.0/8", '"１０.0.0.0/8"', NETWORK),  # noqa: RUF001
    ("fe80::1%eth0", '"fe80::1%eth0"', NETWORK),
    ("fd00::/129", '"fd00::/129"', NETWORK),
    ("fd00:::/8", '"fd00:::/8"', NETWORK),
    ("::ffff:192.168.4.1", '"::ffff:192.168.4.1"', "the IPv4 form, 192.168.4.1"),
    (3232236544, "3232236544", NETWORK),
    (None, "None", NETWORK),
    (True, "True", NETWORK),
    (["10.0.0.0/8"], "['10.0.0.0/8']", NETWORK),
]
COMMENTS = [
    ('say "hi"', '"say "hi""', LINE),
    ("back\\slash", '"back\\slash"', LINE),
    ("two\nlines", '"two\nlines"', LINE),
    ("bell\a", '"bell\a"', LINE),
    ("nul\0", '"nul\0"', LINE),
    ("x" * 101, "101 bytes", "at most 100 bytes"),
    ("ü" * 51, "102 bytes", "at most 100 bytes"),
    (7, "7", "a text"),
    (["x"], "['x']", "a text"),
]
ENTRIES = [
    ("22", "ports[0]", '"22"', "a dictionary like {port: 10250, protocol: tcp}"),
    (22, "ports[0]", "22", "a dictionary like {port: 10250, protocol: tcp}"),
    (None, "ports[0]", "None", "a dictionary like {port: 10250, protocol: tcp}"),
    ([], "ports[0]", "[]", "a dictionary like {port: 10250, protocol: tcp}"),
    ({"port": 1, "source": "10.0.0.0/8"}, "ports[0]", "the key source", "only port, protocol, sources and comment"),
    ({"port": 1, "from": 1, "Port": 2}, "ports[0]", "the key Port, from", "only port, protocol, sources and comment"),
    ({}, "ports[0].port", "nothing", f"{PORT}, as tcp has ports"),
    ({"protocol": "udp"}, "ports[0].port", "nothing", f"{PORT}, as udp has ports"),
    ({"port": 1, "sources": "10.0.0.0/8"}, "ports[0].sources", '"10.0.0.0/8"', "a list"),
    ({"port": 1, "sources": {"a": 1}}, "ports[0].sources", "{'a': 1}", "a list"),
    ({"port": 1, "protocol": 4}, "ports[0].port", "1", "no port: IP protocol 4 has none"),
    ({"port": "1-2", "protocol": "50"}, "ports[0].port", '"1-2"', "no port: IP protocol 50 has none"),
    ({"port": "", "protocol": "4"}, "ports[0].port", '""', "no port: IP protocol 4 has none"),
]


def message_of(ports, trusted=()) -> str:
    with pytest.raises(Refusal) as caught:
        parse(ports, trusted)
    assert not isinstance(caught.value, BadEntries)
    return str(caught.value)


def said(subject: str, found: str, required: str) -> str:
    return f"{subject}: found {found}; required: {required}. Correct it and run again."


@pytest.mark.parametrize(("value", "found", "required"), PORTS)
def test_a_bad_port_is_named(value, found, required):
    assert message_of([{"port": 1}, {"port": value}]) == said("ports[1].port", found, required)


@pytest.mark.parametrize(("value", "found", "required"), PROTOCOLS)
def test_a_bad_protocol_is_named(value, found, required):
    assert message_of([{"port": 80, "protocol": value}]) == said("ports[0].protocol", found, required)


@pytest.mark.parametrize(("value", "found", "required"), NETWORKS)
def test_a_bad_source_and_a_bad_trusted_network_are_named(value, found, required):
    assert message_of([{"port": 80, "sources": ["10.0.0.0/8", value]}]) == said("ports[0].sources[1]", found, required)
    assert message_of([], [value]) == said("trusted[0]", found, required)


@pytest.mark.parametrize(("value", "found", "required"), COMMENTS)
def test_a_bad_comment_is_named(value, found, required):
    assert message_of([{"port": 80, "comment": value}]) == said("ports[0].comment", found, required)


@pytest.mark.parametrize(("entry", "subject", "found", "required"), ENTRIES)
def test_a_bad_entry_is_named(entry, subject, found, required):
    assert message_of([entry]) == said(subject, found, required)


@pytest.mark.parametrize("network", ["0.0.0.0/0", "::/0"])
def test_nobody_trusts_everyone(network):
    required = "a network that does not cover all addresses, as that turns the firewall off"
    assert message_of([], [network]) == said("trusted[0]", f'"{network}"', required)


def test_a_protected_network_is_canonical_and_has_the_sources_of_all_its_entries():
    entries = [
        {"network": "fd00:10::/64", "sources": []},
        {"network": "10.244.0.0/16", "sources": ["192.168.4.63", "192.168.4.62"]},
        {"network": "10.96.0.0/12"},
        {"network": "10.244.0.0/16", "sources": ["192.168.4.61"]},
    ]
    assert list(map(str, parse([], [], entries).protected)) == [
        "network 10.96.0.0/12 only from trusted networks",
        "network 10.244.0.0/16 only from 192.168.4.61/32, 192.168.4.62/31",
        "network fd00:10::/64 only from trusted networks",
    ]


@pytest.mark.parametrize(
    ("entry", "subject"),
    [
        ("10.244.0.0/16", "protected[0]"),
        ({}, "protected[0].network"),
        ({"network": "10.244.0.1/16"}, "protected[0].network"),
        ({"network": "0.0.0.0/0"}, "protected[0].network"),
        ({"network": "10.244.0.0/16", "sources": "192.168.4.63"}, "protected[0].sources"),
        ({"network": "10.244.0.0/16", "sources": ["homelab"]}, "protected[0].sources[0]"),
    ],
)
def test_a_protected_network_that_cannot_be_used_is_named(entry, subject):
    with pytest.raises(Refusal) as refusal:
        parse([], [], [entry])
    assert str(refusal.value).startswith(f"{subject}: found ")


@pytest.mark.parametrize(
    ("ports", "trusted", "subject"), [("22", [], "ports"), ({"port": 22}, [], "ports"), ([], "10.0.0.0/8", "trusted"), (7, None, "ports")]
)
def test_what_is_no_list_is_named(ports, trusted, subject):
    assert message_of(ports, trusted).startswith(f"{subject}: found ")


def test_every_problem_is_in_one_message():
    ports = [{"port": "30000:32767"}, {"port": 80}, {"port": 0, "protocol": "ipip", "sources": ["10.0.0.1/8"]}, "x"]
    with pytest.raises(BadEntries) as caught:
        parse(ports, ["::/0"])
    assert str(caught.value).splitlines() == [
        "6 entries that cannot be used:",
        '- ports[0].port: found "30000:32767"; required: 30000-32767.',
        '- ports[2].protocol: found "ipip"; required: write 4: the number is the same on every host, the name is not.',
        f"- ports[2].port: found 0; required: {PORT}.",
        '- ports[2].sources[0]: found "10.0.0.1/8"; required: no host bits, 10.0.0.0/8.',
        '- ports[3]: found "x"; required: a dictionary like {port: 10250, protocol: tcp}.',
        '- trusted[0]: found "::/0"; required: a network that does not cover all addresses, as that turns the firewall off.',
        "Correct them and run again.",
    ]


@pytest.mark.parametrize(
    "name",
    ["", "Worker", "1worker", "-worker", "work_er", "work er", "wörker", "worker\n", "a.b", "../etc", "a" * 17, None, 7, True, ["worker"]],
)
def test_a_bad_name_of_a_set_is_refused(name):
    with pytest.raises(Refusal, match="a letter, then up to 15 of a-z, 0-9 and -"):
        check_owner(name)


@pytest.mark.parametrize("name", ["a", "worker", "control-plane", "a123456789012345"])
def test_a_good_name_is_taken(name):
    assert check_owner(name) == name


SETS = [
    # ports, trusted, the set in readable lines
    ([], [], []),
    (None, None, []),
    ([{"port": 22}], [], ["22/tcp"]),
    ([{"port": "22"}], [], ["22/tcp"]),
    ([{"port": "80-80"}], [], ["80/tcp"]),
    ([{"port": 1}, {"port": 65535}], [], ["1/tcp", "65535/tcp"]),
    ([{"port": "1-65535", "protocol": "udp"}], [], ["1-65535/udp"]),
    ([{"port": 5, "protocol": "sctp"}], [], ["5/sctp"]),
    ([{"protocol": 4}, {"protocol": "4"}], [], ["protocol 4"]),
    ([{"protocol": 50}, {"protocol": 4}], [], ["protocol 4", "protocol 50"]),
    ([{"port": 443}, {"port": 80}], [], ["80/tcp", "443/tcp"]),
    ([{"port": 80}, {"port": 80}], [], ["80/tcp"]),
    ([{"port": "10-20"}, {"port": "15-30"}], [], ["10-30/tcp"]),
    ([{"port": "10-20"}, {"port": "21-30"}], [], ["10-30/tcp"]),
    ([{"port": "10-20"}, {"port": "22-30"}], [], ["10-20/tcp", "22-30/tcp"]),
    ([{"port": "10-30"}, {"port": "15-20"}], [], ["10-30/tcp"]),
    ([{"port": 80}, {"port": 80, "protocol": "udp"}], [], ["80/tcp", "80/udp"]),
    ([{"port": 80, "sources": ["10.0.0.0/8"]}, {"port": 80}], [], ["80/tcp"]),
    ([{"port": 80, "sources": ["10.0.0.0/8"]}, {"port": 80, "sources": ["fd00::/8"]}], [], ["80/tcp from 10.0.0.0/8, fd00::/8"]),
    ([{"port": 80, "sources": ["10.0.0.0/9", "10.128.0.0/9"]}], [], ["80/tcp from 10.0.0.0/8"]),
    ([{"port": 80, "sources": ["10.0.0.0/8", "10.1.0.0/16"]}], [], ["80/tcp from 10.0.0.0/8"]),
    ([{"port": 80, "sources": ["192.168.4.63"]}], [], ["80/tcp from 192.168.4.63/32"]),
    ([{"port": 80, "sources": ["0.0.0.0/0"]}], [], ["80/tcp from 0.0.0.0/0"]),
    ([{"port": 80, "sources": ["0.0.0.0/0", "::/0"]}], [], ["80/tcp"]),
    ([{"port": 80, "sources": []}], [], ["80/tcp"]),
    ([{"port": 80, "sources": ["FD00::0/8"]}], [], ["80/tcp from fd00::/8"]),
    (
        [{"port": "10-30", "sources": ["10.0.0.0/8"]}, {"port": "20-40"}],
        [],
        ["10-19/tcp from 10.0.0.0/8", "20-40/tcp"],
    ),
    (
        [{"port": "10-30", "sources": ["10.0.0.0/8"]}, {"port": "20-40", "sources": ["172.16.0.0/12"]}],
        [],
        ["10-19/tcp from 10.0.0.0/8", "20-30/tcp from 10.0.0.0/8, 172.16.0.0/12", "31-40/tcp from 172.16.0.0/12"],
    ),
    ([{"protocol": 4, "sources": ["10.0.0.0/8"]}, {"protocol": 4}], [], ["protocol 4"]),
    ([], ["10.244.0.0/16", "fd00:10::/64", "10.244.1.0/24"], ["trusted 10.244.0.0/16", "trusted fd00:10::/64"]),
]


@pytest.mark.parametrize(("ports", "trusted", "lines"), SETS)
def test_entries_become_one_disjoint_sorted_set(ports, trusted, lines):
    assert as_lines(parse(ports, trusted)) == lines


@pytest.mark.parametrize(("ports", "trusted", "lines"), SETS)
def test_a_set_written_again_is_the_same_set(ports, trusted, lines):
    found = parse(ports, trusted)
    written = [
        {"protocol": opening.protocol, "sources": list(opening.sources), **({"port": opening.ports} if opening.has_ports else {})}
        for opening in found.openings
    ]
    assert parse(written, list(found.trusted)) == found


def test_comments_stay_with_what_they_are_about():
    found = parse([{"port": 80, "comment": "web"}, {"port": 81, "comment": "more"}, {"port": 80, "comment": "web"}], [])
    assert [(opening.ports, opening.comment) for opening in found.openings] == [("80-81", "web; more")]


def test_a_range_option_is_judged_alike():
    assert parse_range("node_port_range", "30000-32767") == (30000, 32767)
    with pytest.raises(Refusal, match="node_port_range: found"):
        parse_range("node_port_range", "30000:32767")


def test_the_table_of_malformed_entries_is_long_enough():
    assert len(PORTS) + len(PROTOCOLS) + len(NETWORKS) + len(COMMENTS) + len(ENTRIES) >= 120
