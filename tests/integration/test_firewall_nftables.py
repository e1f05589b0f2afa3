# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""firewall_ports on a real nftables: check and apply, packets, reload, reboot, and everybody else's rules."""

from __future__ import annotations

import pytest

from tests.integration import firewall_behaviour as behaviour
from tests.integration import firewall_direct, firewall_guests, firewall_kubernetes
from tests.integration.firewall_behaviour import ABSENT, WORKER
from tests.integration.firewall_packets import agent_on, agent_on_controller

# rules by hand, with comments and counters, and by programs: not one byte of them may change
FOREIGN = """
table inet filter {
  set friends { type ipv4_addr; comment "who may look"; elements = { 192.0.2.1, 192.0.2.2 } }
  chain input {
    ip saddr @friends tcp dport 4000-4010 counter packets 7 bytes 420 accept comment "by hand; don't touch"
  }
}
table ip filter {
  chain cali-INPUT { counter packets 3 bytes 180 return; }
  chain KUBE-FIREWALL { ip saddr != 127.0.0.0/8 ip daddr 127.0.0.0/8 counter drop; }
}
table ip kube-proxy {
  chain filter-input { type filter hook input priority -110; policy accept; ip saddr 203.0.113.1 counter packets 9 bytes 540; }
  chain reject-chain { reject; }
}
table inet f2b-table {
  chain f2b-chain { type filter hook input priority -1; policy accept; ip saddr 203.0.113.9 reject; }
}
table ip nat {
  chain prerouting { type nat hook prerouting priority dstnat; policy accept; }
}
"""


@pytest.fixture(scope="module", params=["debian12", pytest.param("debian13", marks=pytest.mark.thorough)])
def booted(lab, request):
    last = {"debian12": 90, "debian13": 94}[request.param]
    host = lab.start(f"nft-{last}", address=f"192.168.4.{last}", mac=f"02:00:c0:a8:04:{last:02x}", image=request.param, firewall="nftables")
    firewall_direct.install(host)
    yield host
    lab.remove(host)


@pytest.fixture
def host(booted):
    """The host with its own firewall as it booted, and everybody's rules beside it."""
    host = booted
    host.run(["sh", "-ec", "sed -i '/vmstation/d' /etc/nftables.conf; rm -rf /etc/nftables.d"])
    # systemd counts the starts, and refuses the sixth within 10 seconds
    host.run(["systemctl", "reset-failed", "nftables"])
    host.run(["systemctl", "restart", "nftables"])
    host.run(["nft", "-f", "-"], stdin=FOREIGN)
    return host


def state(host) -> list[str]:
    """Every rule, counters included, and every file of nftables."""
    return [host.run(["nft", "list", "ruleset"]).stdout, host.read("/etc/nftables.conf")]


def test_it_predicts_applies_and_then_rests(lab, host):
    before = state(host)
    behaviour.it_predicts_applies_and_then_rests(lab, host, "nftables")
    assert state(host) == before


def test_packets_pass_as_opened(host, friend, stranger):
    behaviour.packets_pass_as_opened(host, friend, stranger)


def test_trusted_networks_are_forwarded_both_ways(host, friend, stranger):
    behaviour.trusted_networks_are_forwarded_both_ways(host, friend, stranger)


def test_sources_of_a_node_port_hold_before_dnat(host, friend, stranger):
    redirect = "nft add rule ip nat prerouting tcp dport 30300 redirect to :8088"
    behaviour.sources_of_a_node_port_hold_before_dnat(host, friend, stranger, [redirect], ["nft flush chain ip nat prerouting"])


def test_guests_reach_what_the_plan_opens_and_no_more(lab, host, friend, stranger):
    firewall_guests.guests_reach_what_the_plan_opens_and_no_more(lab, host, friend, stranger)


def test_only_hosts_carry_packets_of_pods(host, friend):
    firewall_guests.only_hosts_carry_packets_of_pods(host, friend)


def test_as_many_processes_for_200_ports_as_for_one(host):
    behaviour.as_many_processes_for_200_ports_as_for_one(host)


SSHGUARD = """
table ip sshguard {
  set attackers { type ipv4_addr; flags interval; elements = { 192.168.4.92 } }
  chain blacklist { type filter hook input priority filter - 10; policy accept; tcp dport 9100 ip saddr @attackers drop; }
}
"""
SSHGUARD_STOPS = ["nft", "delete", "table", "ip", "sshguard"]


def test_bans_in_a_programs_own_table_keep_their_effect(host, friend, stranger):
    host.run(["nft", "-f", "-"], stdin=SSHGUARD)
    theirs = host.run(["nft", "list", "table", "ip", "sshguard"]).stdout
    with agent_on(host) as target, agent_on(friend) as near, agent_on(stranger) as far:
        target.listen([9100], [])
        assert "sshguard" not in str(firewall_direct.run(host, WORKER).get("warnings", []))
        assert (near.connect(host.address, 9100), far.connect(host.address, 9100)) == ("open", "dropped")
        assert host.run(["nft", "list", "table", "ip", "sshguard"]).stdout == theirs
        # its restart makes the table anew: nothing to repair
        host.run(SSHGUARD_STOPS)
        host.run(["nft", "-f", "-"], stdin=SSHGUARD)
        assert not firewall_direct.run(host, WORKER)["changed"]
        assert far.connect(host.address, 9100) == "dropped"
    host.run(SSHGUARD_STOPS)


@pytest.mark.parametrize("end", ["", "reject with icmpx port-unreachable"], ids=["policy drop", "a reject at the end"])
def test_bans_in_the_owners_own_chain_keep_their_effect(host, friend, stranger, end):
    conf = host.read("/etc/nftables.conf")
    banned = "    ip saddr @banned tcp dport { 9100, 9101 } drop\n"
    theirs = conf.replace("  chain input {\n", "  set banned { type ipv4_addr; }\n  chain input {\n")
    theirs = theirs.replace("    tcp dport 22 accept", f"{banned}    tcp dport 22 accept").replace('own rule"\n', f'own rule"\n    {end}\n')
    host.write("/etc/nftables.conf", theirs)
    try:
        host.run(["systemctl", "restart", "nftables"])
        before = state(host)
        warned = str(firewall_direct.run(host, WORKER, check=True).get("warnings", []))
        assert "after a boot" not in warned
        assert firewall_direct.run(host, WORKER)["changed"]
        again = firewall_direct.run(host, WORKER)
        assert not again["changed"], again
        assert ("after a boot our rules come first" in str(again.get("warnings", []))) is bool(end)
        with agent_on(host) as target, agent_on(friend) as near, agent_on(stranger) as far:
            target.listen([9100], [])
            assert far.connect(host.address, 9100) == "open"
            host.run(["nft", "add", "element", "inet", "filter", "banned", "{ 192.168.4.92 }"])
            assert (near.connect(host.address, 9100), far.connect(host.address, 9100)) == ("open", "dropped")
            host.run(["systemctl", "reload", "nftables"])
            assert firewall_direct.run(host, WORKER)["changed"] is bool(end)
            host.run(["nft", "add", "element", "inet", "filter", "banned", "{ 192.168.4.92 }"])
            assert (near.connect(host.address, 9100), far.connect(host.address, 9100)) == ("open", "dropped")
            assert not firewall_direct.run(host, WORKER)["changed"]
        host.run(["nft", "delete", "element", "inet", "filter", "banned", "{ 192.168.4.92 }"])
        firewall_direct.run(host, ABSENT)
        assert state(host) == before
    finally:
        host.write("/etc/nftables.conf", conf)
        host.run(["sh", "-ec", "systemctl reset-failed nftables; systemctl restart nftables"])


def test_bans_of_an_address_and_whitelists_by_return_keep_their_effect(host, friend, stranger):
    rules = [
        "insert rule inet filter input ip daddr 192.168.4.190 drop",
        "add chain inet filter friends",
        "add rule inet filter friends ip saddr 192.168.4.91 return",
        "add rule inet filter friends drop",
        "insert rule inet filter input tcp dport 9101 jump friends",
    ]
    commands = [f"nft '{rule}'" for rule in rules]
    behaviour.bans_of_an_address_of_the_host_and_whitelists_by_return_keep_their_effect(host, friend, stranger, commands)


def test_a_ruleset_that_is_included_by_a_pattern_is_a_firewall(host):
    """The table has iptables' names, as iptables-restore-translate makes it."""
    conf = host.read("/etc/nftables.conf")
    rules = "type filter hook input priority filter; policy drop;\n    tcp dport 22 accept"
    part = f"table ip filter {{\n  chain INPUT {{\n    {rules}\n  }}\n}}\n"
    try:
        host.run(["mkdir", "-p", "/etc/nftables.d"])
        host.write("/etc/nftables.d/10-filter.nft", part)
        host.write("/etc/nftables.conf", 'flush ruleset\ninclude "/etc/nftables.d/*.nft"\n')
        host.run(["systemctl", "restart", "nftables"])
        before = state(host)
        result = firewall_direct.run(host, WORKER)
        assert (result["backend"], result["changed"]) == ("nftables", True)
        assert "No firewall" not in str(result.get("warnings", []))
        assert not firewall_direct.run(host, WORKER)["changed"]
        host.run(["systemctl", "restart", "nftables"])
        assert not firewall_direct.run(host, WORKER)["changed"]
        firewall_direct.run(host, ABSENT)
        assert state(host) == before
    finally:
        host.write("/etc/nftables.conf", conf)
        host.run(["sh", "-ec", "rm -r /etc/nftables.d; systemctl reset-failed nftables; systemctl restart nftables"])


def test_two_owners_do_not_know_of_each_other(host):
    behaviour.two_owners_do_not_know_of_each_other(host, lambda: state(host))


def test_kubernetes_and_calicos_rules_stay_and_do_not_matter(host):
    one_port = {"name": "worker", "ports": [{"port": 6443}]}
    firewall_kubernetes.they_stay_and_do_not_matter(host, WORKER, one_port, ABSENT)


def test_rules_of_others_stay_byte_for_byte_while_ours_stand(host):
    before = state(host)[0].splitlines()
    firewall_direct.run(host, WORKER)
    during = state(host)[0].splitlines()
    rest = iter(during)
    # every line of before is there still, in the same order
    assert all(line in rest for line in before)
    assert all(line in before or "vmstation" in line or is_of_our_chains(during, line) for line in during)


def is_of_our_chains(lines: list[str], wanted: str) -> bool:
    chain = ""
    inside = set()
    for line in lines:
        chain = line if line.lstrip().startswith("chain") else chain
        if "vmstation" in chain:
            inside.add(line)
    return wanted in inside


@pytest.mark.parametrize("how", ["reload", "restart"])
def test_it_survives_a_reload_of_the_hosts_own_firewall(host, how):
    firewall_direct.run(host, WORKER)
    own_only = host.run(["nft", "list", "chain", "inet", "filter", "vmstation_worker"]).stdout
    host.run(["systemctl", how, "nftables"])
    assert host.run(["nft", "list", "chain", "inet", "filter", "vmstation_worker"]).stdout == own_only
    assert not firewall_direct.run(host, WORKER)["changed"]


def test_it_survives_a_reboot(lab, host):
    protected = [{"network": "10.244.0.0/16", "sources": ["192.168.4.91"]}, {"network": "10.96.0.0/12"}]
    node_port = {**WORKER, "ports": [*WORKER["ports"], {"port": 30300, "sources": ["192.168.4.91"]}], "protected": protected}
    firewall_direct.run(host, node_port)
    before = [line for line in state(host)[0].splitlines() if "counter" not in line]
    host.reboot()
    after = state(host)[0].splitlines()
    assert not firewall_direct.run(host, node_port)["changed"]
    assert [line for line in before if "vmstation" in line] == [line for line in after if "vmstation" in line]
    with agent_on(host) as target, agent_on_controller(lab) as far:
        target.listen([9100, 9102], [])
        assert far.connect(host.address, 9100) == "open"
        assert far.connect(host.address, 9102) == "dropped"


def test_a_reload_that_does_not_flush_is_harmless(host):
    conf = host.read("/etc/nftables.conf")
    host.write("/etc/nftables.conf", conf.replace("flush ruleset\n", ""))
    without_flush = state(host)
    firewall_direct.run(host, WORKER)
    host.run(["systemctl", "reload", "nftables"])
    assert not firewall_direct.run(host, WORKER)["changed"]
    assert firewall_direct.run(host, ABSENT)["changed"]
    assert "vmstation" not in state(host)[0]
    assert state(host)[1] == without_flush[1]


def test_a_lost_jump_and_a_foreign_rule_in_our_chain_are_put_right(host):
    firewall_direct.run(host, WORKER)
    good = state(host)
    host.run(["nft", "insert", "rule", "inet", "filter", "vmstation_worker", "tcp", "dport", "23", "accept"])
    assert firewall_direct.run(host, WORKER)["removed"] == ["23/tcp"]
    assert state(host) == good
    host.run(["nft", "insert", "rule", "inet", "filter", "vmstation_worker", "tcp", "dport", "23", "counter", "drop"])
    found = firewall_direct.run(host, WORKER)
    assert found["changed"]
    assert found["repaired"] == ["chain inet filter vmstation_worker holds rules that we did not write"]
    assert state(host) == good
    host.run(["nft", "flush", "chain", "inet", "filter", "forward"])
    assert firewall_direct.run(host, WORKER)["repaired"] == ["chain inet filter forward has lost its jump to vmstation_worker.forward"]
    assert state(host) == good


def test_a_chain_that_the_hosts_file_does_not_make_is_told(host):
    host.run(["nft", "-f", "-"], stdin="table inet extra { chain late { type filter hook input priority 10; policy drop; }; }")
    applied = firewall_direct.run(host, WORKER)
    assert applied["changed"], applied
    assert "does not create the chain inet extra late" in str(firewall_direct.run(host, WORKER)["warnings"])
    assert not firewall_direct.run(host, WORKER)["changed"]
    host.run(["systemctl", "restart", "nftables"])
    host.run(["nft", "delete", "table", "inet", "extra"], check=False)
    assert not firewall_direct.run(host, WORKER)["changed"]


def test_a_change_that_nft_refuses_leaves_everything(host):
    firewall_direct.run(host, WORKER)
    before = state(host)
    host.run(["sh", "-ec", "mv /usr/sbin/nft /usr/sbin/nft.real; cat > /usr/sbin/nft; chmod +x /usr/sbin/nft"], stdin=BROKEN_NFT)
    try:
        failed = firewall_direct.run(host, {**WORKER, "ports": [{"port": 1}]})
    finally:
        host.run(["mv", "/usr/sbin/nft.real", "/usr/sbin/nft"])
    assert failed["failed"]
    assert "the old set was restored" in failed["msg"]
    assert state(host) == before


# takes the dry run, fails the first real one, after it did half of it, and works again
BROKEN_NFT = """#!/bin/sh
if [ "$1" = -f ] && [ ! -e /tmp/failed ]; then
  touch /tmp/failed; nft.real flush chain inet filter vmstation_worker; echo 'no such luck' >&2; exit 1
fi
exec nft.real "$@"
"""


def test_another_backend_than_the_one_in_force_is_refused(host):
    failed = firewall_direct.run(host, {**WORKER, "backend": "iptables"})
    assert failed["failed"]
    assert failed["msg"].startswith("backend: found iptables, and nftables in force; required: nftables or auto.")


def test_without_a_firewall_nothing_changes_and_a_warning_says_so(host):
    host.run(["nft", "flush", "ruleset"])
    result = firewall_direct.run(host, WORKER)
    assert not result["changed"]
    assert result["backend"] == "none"
    assert "No firewall is active" in str(result["warnings"])
    assert host.run(["nft", "list", "ruleset"]).stdout == ""
