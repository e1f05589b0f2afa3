# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ufw's files: what is written into them, what of them is ours, and every foreign byte where it was."""

from __future__ import annotations

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall import ufw, ufw_rules
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.model import Opening, PortSet
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.ufw import changes
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.ufw_rules import parse_rule, port_groups, protocol_names
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal


def tcp(first, last=0, *sources):
    return Opening("tcp", first, last or first, sources)


def user_rules(*entries: str) -> str:
    return f"*filter\n:ufw-user-input - [0:0]\n### RULES ###\n{''.join(entries)}\n### END RULES ###\n-A ufw-user-limit -j REJECT\nCOMMIT\n"


ALLOW_22 = "\n### tuple ### allow tcp 22 0.0.0.0/0 any 0.0.0.0/0 in comment=6b65657020\n-A ufw-user-input -p tcp --dport 22 -j ACCEPT\n"
DENY_23 = "\n### tuple ### deny tcp 23 0.0.0.0/0 any 0.0.0.0/0 in\n-A ufw-user-input -p tcp --dport 23 -j DROP\n"
DENY_HOST = "\n### tuple ### deny any any 0.0.0.0/0 any 1.2.3.4 in\n-A ufw-user-input -s 1.2.3.4 -j DROP\n"
DENY_ON_A_CARD = "\n### tuple ### deny any any 0.0.0.0/0 any 0.0.0.0/0 in_eth1\n-A ufw-user-input -i eth1 -j DROP\n"
DENY_FROM_PORTS = (
    "\n### tuple ### deny tcp any 0.0.0.0/0 53 0.0.0.0/0 in\n-A ufw-user-input -p tcp --sport 53 -j DROP\n",
    "\n### tuple ### reject tcp any 0.0.0.0/0 1,2 0.0.0.0/0 in\n"
    "-A ufw-user-input -p tcp -m multiport --sports 1,2 -j REJECT --reject-with tcp-reset\n",
)
DENY_6443 = DENY_23.replace("23", "6443")
LIMIT_6443 = (
    "\n### tuple ### limit tcp 6443 0.0.0.0/0 any 0.0.0.0/0 in\n"
    "-A ufw-user-input -p tcp --dport 6443 -m conntrack --ctstate NEW -m recent --set\n"
    "-A ufw-user-input -p tcp --dport 6443 -m conntrack --ctstate NEW -m recent --update --seconds 30 --hitcount 6 -j ufw-user-limit\n"
    "-A ufw-user-input -p tcp --dport 6443 -j ufw-user-limit-accept\n"
)
LOGGED_DENIAL = (
    "\n### tuple ### deny_log tcp 2379 0.0.0.0/0 any 0.0.0.0/0 in\n"
    '-A ufw-user-logging-input -p tcp --dport 2379 -m conntrack --ctstate NEW -m limit --limit 3/min -j LOG --log-prefix "[UFW BLOCK] "\n'
    "-A ufw-user-logging-input -p tcp --dport 2379 -j RETURN\n"
    "-A ufw-user-input -p tcp --dport 2379 -j ufw-user-logging-input\n"
    "-A ufw-user-input -p tcp --dport 2379 -j DROP\n"
)
ROUTE_DENIAL = "\n### tuple ### route:deny any any 0.0.0.0/0 any 0.0.0.0/0 in\n-A ufw-user-forward -j DROP\n"
ANOTHER_OWNER = (
    "\n### tuple ### allow tcp 9100 0.0.0.0/0 any 0.0.0.0/0 vmstation-worker-two - in\n"
    "-A ufw-user-input -p tcp --dport 9100 -j ACCEPT -m comment --comment 'dapp_vmstation-worker-two'\n"
)
OURS = ufw_rules.entries(4, ufw_rules.profiles_of("worker", [tcp(6443), tcp(2379, 2380)]))


def test_an_entry_is_what_ufw_writes():
    """Taken from a user.rules that `ufw allow` of ufw 0.36.2 wrote for the same profile."""
    profiles = ufw_rules.profiles_of(
        "worker", [tcp(22), tcp(30000, 32767), Opening("udp", 53, 53), tcp(10250, 10250, "10.0.0.5/32", "fd00::/8")]
    )
    assert "".join(ufw_rules.entries(4, profiles)) == (
        "\n### tuple ### allow tcp 22,30000:32767 0.0.0.0/0 any 0.0.0.0/0 vmstation-worker - in\n"
        "-A ufw-user-input -p tcp -m multiport --dports 22,30000:32767 -j ACCEPT -m comment --comment 'dapp_vmstation-worker'\n"
        "\n### tuple ### allow udp 53 0.0.0.0/0 any 0.0.0.0/0 vmstation-worker - in\n"
        "-A ufw-user-input -p udp --dport 53 -j ACCEPT -m comment --comment 'dapp_vmstation-worker'\n"
        "\n### tuple ### allow tcp 10250 0.0.0.0/0 any 10.0.0.5 vmstation-worker+2 - in\n"
        "-A ufw-user-input -p tcp --dport 10250 -s 10.0.0.5 -j ACCEPT -m comment --comment 'dapp_vmstation-worker+2'\n"
    )
    assert ufw_rules.entries(6, profiles)[-1] == (
        "\n### tuple ### allow tcp 10250 ::/0 any fd00::/8 vmstation-worker+2 - in\n"
        "-A ufw6-user-input -p tcp --dport 10250 -s fd00::/8 -j ACCEPT -m comment --comment 'dapp_vmstation-worker+2'\n"
    )


@pytest.mark.parametrize(
    ("ranges", "sizes"),
    [
        ([(port, port) for port in range(1, 16)], [15]),
        ([(port, port) for port in range(1, 17)], [15, 1]),
        ([(port, port) for port in range(1, 15)] + [(100, 200)], [14, 1]),
        ([(100 * number, 100 * number + 1) for number in range(1, 9)], [7, 1]),
    ],
    ids=["15 ports", "16 ports", "14 ports and a range, which counts two", "8 ranges"],
)
def test_a_rule_holds_fifteen_ports(ranges, sizes):
    assert [len(group.split(",")) for group in port_groups([tcp(*each) for each in ranges])] == sizes


def test_no_field_of_a_profile_is_longer_than_ufw_takes():
    profiles = ufw_rules.profiles_of("worker", [tcp(port) for port in range(20000, 20600, 2)])
    assert len(profiles) > 1
    assert all(len(ufw_rules.ports_field(profile.ports)) <= 1024 for profile in profiles)
    assert [profile.name for profile in profiles[:2]] == ["vmstation-worker", "vmstation-worker+2"]


@pytest.mark.parametrize(
    ("foreign", "place"),
    [
        ([], 0),
        ([ALLOW_22], 1),
        ([ALLOW_22, DENY_6443], 1),
        ([DENY_6443, ALLOW_22], 0),
        ([DENY_HOST, ALLOW_22, DENY_6443], 2),
        ([DENY_HOST, DENY_6443, LIMIT_6443], 1),
        ([DENY_ON_A_CARD, ALLOW_22], 2),
        ([*DENY_FROM_PORTS, DENY_HOST], 3),
        ([ALLOW_22, LIMIT_6443], 2),
        ([LOGGED_DENIAL, ALLOW_22], 0),
        ([ROUTE_DENIAL, ALLOW_22], 2),
        ([ANOTHER_OWNER, DENY_6443], 1),
        # a denial of another port is none that ours must be in front of, so what follows it keeps its effect
        ([DENY_23, LIMIT_6443, DENY_HOST], 3),
    ],
)
def test_our_entries_stand_behind_limits_and_bans_but_before_a_denial_of_everyone(foreign, place):
    before = user_rules(*foreign)
    after = ufw_rules.with_entries("user.rules", before, OURS)
    assert after == user_rules(*foreign[:place], *OURS, *foreign[place:])
    assert ufw_rules.without_ours("worker", after) == before
    assert ufw_rules.tuples_agree("worker", after)


def test_a_file_that_ufw_has_not_yet_written_itself():
    fresh = "*filter\n:ufw-user-input - [0:0]\n### RULES ###\n-A ufw-user-limit -j REJECT\n-A ufw-user-limit-accept -j ACCEPT\nCOMMIT\n"
    after = ufw_rules.with_entries("user.rules", fresh, OURS)
    assert after == fresh.replace("### RULES ###\n", "### RULES ###\n" + "".join(OURS))
    assert ufw_rules.without_ours("worker", after) == fresh


def test_a_rules_file_of_another_kind_is_refused():
    with pytest.raises(Refusal, match=r"user\.rules"):
        ufw_rules.with_entries("user.rules", "*filter\nCOMMIT\n", OURS)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("### tuple ### allow", "### tuple ### deny"),
        ("-j ACCEPT", "-j DROP"),
        ("--dports 2379:2380,6443", "--dports 2379:2380"),
        ("tcp 2379:2380,6443 0", "tcp 2379:2380,6444 0"),
        ("any 0.0.0.0/0 vmst", "any 10.0.0.0/8 vmst"),
    ],
)
def test_a_rule_that_differs_from_its_tuple_is_seen(old, new):
    profiles = ufw_rules.profiles_of("worker", [tcp(2379, 2380), tcp(6443)])
    text = user_rules(*ufw_rules.entries(4, profiles))
    assert ufw_rules.tuples_agree("worker", text)
    assert old in text
    assert not ufw_rules.tuples_agree("worker", text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("line", "protocol", "source", "ports", "comment"),
    [
        ("-A c -p tcp -m tcp --dport 22 -j ACCEPT", "tcp", "", ((22, 22),), ""),
        ("-A c -s 10.0.0.5/32 -p tcp -m multiport --dports 22,100:200 -j ACCEPT", "tcp", "10.0.0.5/32", ((22, 22), (100, 200)), ""),
        ("-A c -p udp --dport 53 -s fd00::1 -j ACCEPT", "udp", "fd00::1/128", ((53, 53),), ""),
        ("-A c -p udp -m udp --dport 53 -m comment --comment \"\\'dapp_x+2\\'\" -j ACCEPT", "udp", "", ((53, 53),), "dapp_x+2"),
        ("-A c -p udp --dport 53 -j ACCEPT -m comment --comment 'dapp_x'", "udp", "", ((53, 53),), "dapp_x"),
        ("-A c -s 0.0.0.0/0 -p ipencap -j ACCEPT", "ipencap", "", (), ""),
        ('-A c -m comment --comment "it\'s -s 10.0.0.0/8" -j ACCEPT', "", "", (), "it's -s 10.0.0.0/8"),
    ],
)
def test_rules_of_files_and_of_iptables_save_are_read_alike(line, protocol, source, ports, comment):
    rule = parse_rule(line)
    assert (rule.protocol, rule.source, rule.ports, rule.comment, rule.jump, rule.conditions) == (
        protocol,
        source,
        ports,
        comment,
        "ACCEPT",
        (),
    )


@pytest.mark.parametrize("condition", ["-i eth1", "-m conntrack --ctstate NEW", "! -s 10.0.0.0/8", "--sport 53", "-m limit --limit 3/min"])
def test_a_condition_that_we_never_write_is_seen(condition):
    assert parse_rule(f"-A c {condition} -p tcp --dport 22 -j ACCEPT").conditions
    assert parse_rule(f"-A c {condition} -p tcp --dport 22 -j ACCEPT").jump == "ACCEPT"


def test_protocols_have_the_names_of_this_host():
    assert protocol_names("# x\nipencap 4 IP-ENCAP # IP in IP\nipip\t94\tIPIP\nbroken\n") == {"ipencap": "4", "ipip": "94"}


FULL = PortSet((Opening("4"), Opening("sctp", 99, 100, ("10.0.0.0/8",))), ("10.244.0.0/16", "fd00::/64"))
BEFORE = """\
*nat
COMMIT
# a comment with COMMIT
*filter
:ufw-before-input - [0:0]
-A ufw-before-input -i lo -j ACCEPT
# last
COMMIT
*mangle
COMMIT
"""


@pytest.mark.parametrize("text", [BEFORE, BEFORE.rstrip("\n"), BEFORE.replace("# last\nCOMMIT", "COMMIT")])
def test_the_block_ends_the_filter_table_and_leaves_without_a_trace(text):
    block = ufw.own_block("worker", 4, FULL, "before")
    after = ufw.with_block("before.rules", "worker", text, block)
    place = text.index("COMMIT\n*mangle")
    assert after == text[:place] + block + text[place:]
    assert ufw.with_block("before.rules", "worker", after, block) == after
    assert ufw.with_block("before.rules", "worker", after, "") == text
    assert ufw.own_block_in("worker", after) == block
    assert ufw.own_block_in("work", after) == ""


def test_a_family_has_only_its_own_networks():
    assert ufw.chain_rules("worker", 6, FULL) == [
        "-A vmstation-worker-i -p 4 -j ACCEPT",
        "-A vmstation-worker-i -s fd00::/64 -j ACCEPT",
        "-A vmstation-worker-f -s fd00::/64 -j ACCEPT",
        "-A vmstation-worker-f -d fd00::/64 -j ACCEPT",
    ]
    assert ufw.own_block("worker", 6, PortSet((tcp(22),), ("10.244.0.0/16",)), "after") == ""


def test_the_longest_name_still_makes_a_chain():
    assert len(ufw.own_chain("a" * 16, "forward")) <= 28


def loaded(*rules: str) -> str:
    return "*filter\n:ufw-user-input - [0:0]\n:ufw-before-input - [0:0]\n" + "".join(f"{rule}\n" for rule in rules) + "COMMIT\n"


JUMP_ON = "-A ufw-before-input -j ufw-user-input"
SAVED = "-A ufw-user-input -p tcp -m tcp --dport 9 -m comment --comment \"\\'dapp_vmstation-worker\\'\" -j ACCEPT"
ENTRY = ufw_rules.entries(4, ufw_rules.profiles_of("worker", [tcp(6443)]))
ADDED = "-p tcp --dport 6443 -j ACCEPT -m comment --comment 'dapp_vmstation-worker'"


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ([], [f"-A ufw-user-input {ADDED}"]),
        ([SAVED], [f"-D{SAVED[2:]}", f"-A ufw-user-input {ADDED}"]),
        (
            ["-A ufw-user-input -s 1.2.3.4/32 -j DROP", "-A ufw-user-input -p tcp -m tcp --dport 6443 -j DROP"],
            [f"-I ufw-user-input 2 {ADDED}"],
        ),
        ([SAVED, "-A ufw-user-input -j REJECT"], [f"-D{SAVED[2:]}", f"-I ufw-user-input 1 {ADDED}"]),
    ],
)
def test_loaded_rules_change_where_a_reload_would_put_them(rules, expected):
    assert changes("worker", 4, loaded(*rules), ENTRY, []).splitlines()[1:-1] == expected


def test_nothing_to_change_is_no_transaction():
    assert changes("worker", 4, loaded(JUMP_ON), [], []) == ""


def test_our_chain_is_left_as_soon_as_nothing_needs_it():
    text = loaded("-A ufw-before-input -j vmstation-worker-i", JUMP_ON).replace(":ufw-b", ":vmstation-worker-i - [0:0]\n:ufw-b")
    assert changes("worker", 4, text, [], []).splitlines()[1:-1] == [
        "-D ufw-before-input -j vmstation-worker-i",
        "-F vmstation-worker-i",
        "-X vmstation-worker-i",
    ]


OWN = ["-A vmstation-worker-i -p 4 -j ACCEPT", "-A vmstation-worker-f -s 10.244.0.0/16 -j ACCEPT"]


@pytest.mark.parametrize(
    ("rules", "jump"),
    [
        ([], "-I ufw-after-input -j vmstation-worker-i"),
        (["-A ufw-user-input -s 192.0.2.7/32 -j DROP"], "-I ufw-after-input -j vmstation-worker-i"),
        # a port is denied to everyone, those of a trusted network included
        (["-A ufw-user-input -p tcp -m tcp --dport 23 -j DROP"], "-I ufw-after-input -j vmstation-worker-i"),
        (["-A ufw-user-input -p tcp -j DROP"], "-I ufw-before-input 2 -j vmstation-worker-i"),
        (["-A ufw-user-input -j REJECT"], "-I ufw-before-input 2 -j vmstation-worker-i"),
        (["-A ufw-user-forward -j DROP"], "-I ufw-before-input 2 -j vmstation-worker-i"),
    ],
)
def test_the_jump_comes_behind_the_users_rules_unless_they_deny_everyone(rules, jump):
    text = loaded("-A ufw-before-input -i lo -j ACCEPT", JUMP_ON, *rules)
    assert jump in changes("worker", 4, text, [], OWN).splitlines()


@pytest.mark.parametrize(
    ("files", "families"),
    [
        ({"/etc/default/ufw": "IPV6=yes\n"}, {4, 6}),
        ({"/etc/default/ufw": "IPV6=yes\n", "/sys/module/ipv6/parameters/disable": "0\n"}, {4, 6}),
        ({"/etc/default/ufw": "IPV6=yes\n", "/sys/module/ipv6/parameters/disable": "1\n"}, {4}),
        ({"/etc/default/ufw": "IPV6=no\n"}, {4}),
    ],
)
def test_ipv6_is_left_out_where_ufw_leaves_it_out(files: dict[str, str], families: set[int]) -> None:
    class NoCommands:
        def has(self, program: str) -> bool:
            return False

    assert ufw.Ufw(NoCommands(), files.get).families() == families  # type: ignore[arg-type]
