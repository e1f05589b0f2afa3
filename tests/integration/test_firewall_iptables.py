# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""firewall_ports on a real iptables, of both variants: check and apply, packets, reboot, and everybody else's rules."""

from __future__ import annotations

import pytest

from tests.integration import firewall_behaviour as behaviour
from tests.integration import firewall_direct, firewall_guests, firewall_kubernetes
from tests.integration.firewall_behaviour import ABSENT, WORKER
from tests.integration.firewall_packets import agent_on, agent_on_controller

SWITCH = """
update-alternatives --set iptables /usr/sbin/iptables-{variant}
update-alternatives --set ip6tables /usr/sbin/ip6tables-{variant}
"""
# by hand, by Calico and by kube-proxy, with comments and counters
FOREIGN = """
for tool in iptables ip6tables; do
  for table in filter nat mangle; do $tool -t $table -F; $tool -t $table -X; done
  $tool -P INPUT DROP; $tool -P FORWARD DROP
  $tool -A INPUT -i lo -j ACCEPT
  $tool -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
  $tool -A INPUT -p tcp --dport 22 -m comment --comment "the owner's own; don't touch" -j ACCEPT
  $tool -A INPUT -c 7 420 -p tcp --dport 4000:4010 -j ACCEPT
  $tool -N cali-INPUT; $tool -A INPUT -m comment --comment "cali:Cz_u1IQiXIMmKD4c" -j cali-INPUT
  $tool -A cali-INPUT -m mark --mark 0x10000/0x10000 -j ACCEPT
  $tool -N KUBE-FIREWALL; $tool -A INPUT -j KUBE-FIREWALL
  $tool -A KUBE-FIREWALL -p udp --dport 9 -m comment --comment "block incoming localnet connections" -j DROP
  $tool -t nat -N KUBE-SERVICES; $tool -t nat -A PREROUTING -j KUBE-SERVICES
done
ip6tables -A INPUT -p ipv6-icmp -j ACCEPT
"""
SAVED = """
mkdir -p /etc/iptables
iptables-save > /etc/iptables/rules.v4
ip6tables-save > /etc/iptables/rules.v6
"""
# what netfilter-persistent does with them
LOADER = """\
[Unit]
DefaultDependencies=no
Before=network-pre.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=sh -c 'iptables-restore < /etc/iptables/rules.v4; ip6tables-restore < /etc/iptables/rules.v6'
[Install]
WantedBy=multi-user.target
"""
BY_HAND = """\
[Unit]
DefaultDependencies=no
Before=network-pre.target
Wants=network-pre.target
[Service]
Type=oneshot
ExecStart=sh /opt/by-hand.sh
[Install]
WantedBy=sysinit.target
"""


@pytest.fixture(scope="module", params=["nft", pytest.param("legacy", marks=pytest.mark.thorough)])
def booted(lab, request):
    last = {"nft": 95, "legacy": 96}[request.param]
    host = lab.start(f"ipt-{last}", address=f"192.168.4.{last}", mac=f"02:00:c0:a8:04:{last:02x}")
    host.run(["sh", "-ec", SWITCH.format(variant=request.param)])
    firewall_direct.install(host)
    yield host
    lab.remove(host)


@pytest.fixture
def host(booted):
    """The host with a firewall, saved where netfilter-persistent saves it."""
    host = booted
    host.run(["sh", "-ec", "rm -rf /etc/iptables /var/lib/vmstation /etc/systemd/system/*vmstation*" + FOREIGN + SAVED])
    return host


def state(host) -> list[str]:
    """Every rule with its counters, without the time of the day, and the saved ones."""
    rules = host.run(["sh", "-c", "iptables-save -c; ip6tables-save -c"]).stdout
    # packets go on counting, but for the rule that nothing meets
    lines = [line if "4000:4010" in line else line[line.find("]") + 1 :] for line in rules.splitlines() if not line.startswith(("#", ":"))]
    policies = [line.split("[")[0] for line in rules.splitlines() if line.startswith(":")]
    return ["\n".join([*lines, *policies]), host.run(["sh", "-c", "cat /etc/iptables/* 2>/dev/null || true"]).stdout]


def test_it_predicts_applies_and_then_rests(lab, host):
    before = state(host)
    behaviour.it_predicts_applies_and_then_rests(lab, host, "iptables")
    assert state(host) == before
    assert "[7:420] -A INPUT -p tcp -m tcp --dport 4000:4010 -j ACCEPT" in before[0]


def test_packets_pass_as_opened(host, friend, stranger):
    behaviour.packets_pass_as_opened(host, friend, stranger)


def test_trusted_networks_are_forwarded_both_ways(host, friend, stranger):
    behaviour.trusted_networks_are_forwarded_both_ways(host, friend, stranger)


def test_sources_of_a_node_port_hold_before_dnat(host, friend, stranger):
    redirect = "iptables -t nat -A PREROUTING -p tcp --dport 30300 -j REDIRECT --to-ports 8088"
    back = redirect.replace("-A", "-D")
    behaviour.sources_of_a_node_port_hold_before_dnat(host, friend, stranger, [redirect], [back])


def test_guests_reach_what_the_plan_opens_and_no_more(lab, host, friend, stranger):
    firewall_guests.guests_reach_what_the_plan_opens_and_no_more(lab, host, friend, stranger)


def test_only_hosts_carry_packets_of_pods(host, friend):
    firewall_guests.only_hosts_carry_packets_of_pods(host, friend)


def test_as_many_processes_for_200_ports_as_for_one(host):
    behaviour.as_many_processes_for_200_ports_as_for_one(host)


def test_bans_keep_their_effect_before_and_after_and_those_that_come_later(host, friend, stranger):
    """fail2ban's chain, empty and full, at the top of INPUT; and an owner's chain that bans some and then denies everyone."""
    jail = "iptables -N f2b-x; iptables -A f2b-x -j RETURN; iptables -I INPUT -p tcp -m multiport --dports 9100 -j f2b-x"
    own = "iptables -N own; iptables -A own -s 192.168.4.92 -p tcp --dport 9101 -j REJECT; iptables -A own -j REJECT"
    own += "; iptables -A INPUT -j own"
    ban = ["iptables", "-I", "f2b-x", "1", "-s", "192.168.4.92", "-j", "REJECT", "--reject-with", "icmp-port-unreachable"]
    # a restore sets the counters to 0, which are a part of the state
    host.run(["sh", "-ec", f"{jail}; {own};" + SAVED + "iptables-restore < /etc/iptables/rules.v4"])
    before = state(host)
    with agent_on(host) as target, agent_on(friend) as near, agent_on(stranger) as far:
        target.listen([9100, 9101, 10250], [])
        assert firewall_direct.run(host, WORKER, check=True)["changed"]
        assert "no effect" not in str(firewall_direct.run(host, WORKER).get("warnings", []))
        assert (near.connect(host.address, 9100), far.connect(host.address, 9100)) == ("open", "open")
        assert (near.connect(host.address, 9101), far.connect(host.address, 9101)) == ("open", "refused")
        host.run(ban)
        assert (near.connect(host.address, 9100), far.connect(host.address, 9100)) == ("open", "refused")
        # a second program adds its own in front, and neither makes a run change anything
        host.run(["iptables", "-I", "INPUT", "-s", "192.168.4.92", "-p", "tcp", "--dport", "10250", "-j", "DROP"])
        for wanted in (WORKER, {**WORKER, "ports": [*WORKER["ports"], {"port": 9200}]}, WORKER):
            firewall_direct.run(host, wanted)
            assert not firewall_direct.run(host, wanted)["changed"]
            assert (near.connect(host.address, 9100), far.connect(host.address, 9100)) == ("open", "refused")
        assert near.connect(host.address, 10250) == "open"
        # what a boot brings: the saved rules, in which the jail is empty, and the ban anew
        host.run(["sh", "-ec", "iptables-restore < /etc/iptables/rules.v4"])
        assert not firewall_direct.run(host, WORKER)["changed"]
        host.run(ban)
        assert (near.connect(host.address, 9100), far.connect(host.address, 9100)) == ("open", "refused")
        assert (near.connect(host.address, 9101), far.connect(host.address, 9101)) == ("open", "refused")
        host.run(["iptables", "-D", "f2b-x", "1"])
    firewall_direct.run(host, ABSENT)
    assert state(host) == before


def test_bans_of_an_address_and_whitelists_by_return_keep_their_effect(host, friend, stranger):
    rules = ["-I INPUT -d 192.168.4.190 -j DROP", "-N friends", "-A friends -s 192.168.4.91 -j RETURN", "-A friends -j DROP"]
    commands = [f"iptables {rule}" for rule in (*rules, "-I INPUT -p tcp --dport 9101 -j friends")]
    behaviour.bans_of_an_address_of_the_host_and_whitelists_by_return_keep_their_effect(host, friend, stranger, commands)


def test_a_jump_that_an_earlier_release_put_in_front_of_a_ban_is_moved(host, stranger):
    firewall_direct.run(host, WORKER)
    host.run(["iptables", "-A", "INPUT", "-s", "192.168.4.92", "-p", "tcp", "--dport", "9100", "-j", "REJECT"])
    with agent_on(host) as target, agent_on(stranger) as far:
        target.listen([9100], [])
        assert far.connect(host.address, 9100) == "open"
        assert "in front of a rule that denies some sources" in str(firewall_direct.run(host, WORKER)["repaired"])
        assert far.connect(host.address, 9100) == "refused"
    assert not firewall_direct.run(host, WORKER)["changed"]


def test_a_host_with_nothing_but_tailscales_rules_has_no_firewall(host):
    host.run(["sh", "-ec", "for t in iptables ip6tables; do $t -F; $t -X; $t -P INPUT ACCEPT; $t -P FORWARD ACCEPT; done"])
    chains = "iptables -N ts-input; iptables -A INPUT -j ts-input"
    rules = (
        "iptables -A ts-input -s 100.115.92.0/23 ! -i tailscale0 -j RETURN; iptables -A ts-input -s 100.64.0.0/10 ! -i tailscale0 -j DROP"
    )
    host.run(["sh", "-ec", f"{chains}; {rules}"])
    before = state(host)
    result = firewall_direct.run(host, WORKER)
    assert (result["backend"], result["changed"]) == ("none", False)
    assert "No firewall is active" in str(result["warnings"])
    assert state(host) == before


def test_two_owners_do_not_know_of_each_other(host):
    behaviour.two_owners_do_not_know_of_each_other(host, lambda: state(host))


def test_kubernetes_and_calicos_rules_stay_and_do_not_matter(host):
    one_port = {"name": "worker", "ports": [{"port": 6443}]}
    firewall_kubernetes.they_stay_and_do_not_matter(host, WORKER, one_port, ABSENT)


def test_rules_of_others_stay_byte_for_byte_while_ours_stand(host):
    before, saved = state(host)
    firewall_direct.run(host, WORKER)
    during, saved_during = state(host)
    for all_lines, theirs in ((during, before), (saved_during, saved)):
        assert [line for line in all_lines.splitlines() if "vmstation-" not in line] == theirs.splitlines()


def test_it_survives_a_reboot_inside_the_hosts_saved_rules(lab, host):
    host.write("/etc/systemd/system/netfilter-persistent.service", LOADER)
    host.run(["systemctl", "enable", "-q", "netfilter-persistent"])
    protected = [{"network": "10.244.0.0/16", "sources": ["192.168.4.91"]}, {"network": "10.96.0.0/12"}]
    node_port = {**WORKER, "ports": [*WORKER["ports"], {"port": 30300, "sources": ["192.168.4.91"]}], "protected": protected}
    assert "warnings" not in firewall_direct.run(host, node_port)
    survives_a_reboot(lab, host, node_port)
    host.run(["systemctl", "disable", "-q", "netfilter-persistent"])


def test_it_survives_a_reboot_by_a_unit_of_its_own(lab, host):
    host.run(["rm", "-r", "/etc/iptables"])
    host.write("/opt/by-hand.sh", FOREIGN)
    host.write("/etc/systemd/system/by-hand.service", BY_HAND)
    host.run(["systemctl", "enable", "-q", "by-hand"])
    assert "warnings" not in firewall_direct.run(host, WORKER)
    survives_a_reboot(lab, host, WORKER)
    firewall_direct.run(host, ABSENT)
    assert host.run(["find", "/etc/systemd", "/var/lib", "-path", "*vmstation*", "-o", "-name", "*worker*"]).stdout == ""
    host.run(["systemctl", "disable", "-q", "by-hand"])


def survives_a_reboot(lab, host, options) -> None:
    host.reboot()
    again = firewall_direct.run(host, options)
    assert not again["changed"], again
    with agent_on(host) as target, agent_on_controller(lab) as far:
        target.listen([9100, 9102], [])
        assert far.connect(host.address, 9100) == "open"
        assert far.connect(host.address, 9102) == "dropped"


def test_a_lost_jump_and_a_foreign_rule_in_our_chain_are_put_right(host):
    firewall_direct.run(host, WORKER)
    good = state(host)
    host.run(["iptables", "-D", "INPUT", "-j", "vmstation-worker"])
    host.run(["ip6tables", "-I", "vmstation-worker", "-p", "tcp", "--dport", "23", "-j", "DROP"])
    found = firewall_direct.run(host, WORKER)
    assert found["repaired"] == [
        "iptables: chain INPUT of filter has lost its jump to vmstation-worker",
        "ip6tables: chain vmstation-worker of filter holds rules that we did not write",
    ]
    assert state(host) == good


def test_an_ip_version_without_a_firewall_is_left_alone(host):
    host.run(["sh", "-ec", "ip6tables -F; ip6tables -X; ip6tables -P INPUT ACCEPT; ip6tables -P FORWARD ACCEPT"])
    open_ip6 = host.run(["ip6tables", "-S"]).stdout
    applied = firewall_direct.run(host, WORKER)
    assert "10250/tcp from 192.168.4.91/32" in applied["added"]
    assert "does not filter IPv6" in str(applied["warnings"])
    assert host.run(["ip6tables", "-S"]).stdout == open_ip6
    assert not firewall_direct.run(host, WORKER)["changed"]


def test_what_the_administrator_saves_anew_is_still_ours(host):
    firewall_direct.run(host, WORKER)
    host.run(["sh", "-ec", SAVED])
    assert not firewall_direct.run(host, WORKER)["changed"]
    firewall_direct.run(host, ABSENT)
    assert "vmstation" not in state(host)[1]
