# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""firewall_ports on a real ufw."""

from __future__ import annotations

import pytest

from tests.integration import firewall_direct
from tests.integration.firewall_managed import GONE, OTHER, SET, Managed, prepare
from tests.integration.firewall_wire import listening, reached

USER_RULES = "/etc/ufw/user.rules"
BEFORE_RULES = "/etc/ufw/before.rules"
HAND_MADE = """\
# kept by hand
-A ufw-before-input -p tcp --dport 7000 -m comment --comment "by hand" -j ACCEPT
COMMIT
"""
MADE_BY_HAND = """
iptables -t nat -n -L KUBE-SERVICES >/dev/null 2>&1 && exit 0
iptables -t nat -N KUBE-SERVICES
iptables -t nat -A PREROUTING -m comment --comment 'kubernetes service portals' -j KUBE-SERVICES
iptables -N cali-INPUT
iptables -I INPUT -m comment --comment 'cali:Cz_u1IQiXIMmKD4c' -j cali-INPUT
"""


@pytest.fixture(scope="module", params=["debian12", pytest.param("debian13", marks=pytest.mark.thorough)])
def hosts(request, lab):
    made = prepare(lab, "ufw", 100 if request.param == "debian12" else 104, request.param)
    host = made[0]
    before = host.read(BEFORE_RULES)
    host.write(BEFORE_RULES, before[: before.rindex("COMMIT")] + HAND_MADE)
    script = """
        ufw allow 22/tcp comment 'keep me'
        ufw deny 23/tcp
        ufw route allow from 10.9.0.0/16
        ufw --force enable
        systemctl enable -q ufw
    """
    host.run(["sh", "-ec", script + MADE_BY_HAND])
    yield made
    for each in made:
        lab.remove(each)


class TestUfw(Managed):
    files = ("/etc/ufw", "/etc/default/ufw", "/etc/systemd/system")
    reload = ("ufw", "reload")
    unit = "ufw"
    backend = "ufw"
    made_by_hand = MADE_BY_HAND
    loses_rules_made_by_hand = ("reboot", "kubernetes", "without_ipv6")

    def test_ufw_shows_it_and_goes_on_working(self, host):
        firewall_direct.run(host, SET)
        status = host.run(["ufw", "status"]).stdout
        assert "vmstation-worker           ALLOW       Anywhere" in status
        assert "vmstation-worker+2         ALLOW       192.168.4.0/28" in status
        assert "vmstation-worker+2 (v6)    ALLOW       fd04::/64" in status
        assert "2379:2380,6443/tcp" in host.run(["ufw", "app", "info", "vmstation-worker"]).stdout
        host.run(["ufw", "allow", "8080/tcp"])
        host.run(["ufw", "app", "update", "vmstation-worker"])
        assert firewall_direct.run(host, SET, check=True)["changed"] is False
        host.run(["ufw", "delete", "allow", "8080/tcp"])

    def test_a_rule_that_only_runs_stays_where_it_is(self, host):
        rule = ["ufw-user-input", "-s", "10.3.0.0/16", "-p", "tcp", "--dport", "1234", "-j", "ACCEPT"]
        host.run(["iptables", "-I", *rule])
        before = self.standing(host)
        for wanted in (SET, OTHER, GONE):
            assert firewall_direct.run(host, wanted)["changed"] is True
        assert self.standing(host) == before
        host.run(["iptables", "-D", *rule])

    def test_what_ufw_deletes_is_seen_and_comes_back(self, host):
        firewall_direct.run(host, SET)
        stands = self.standing(host)
        host.run(["ufw", "delete", "allow", "vmstation-worker"])
        again = firewall_direct.run(host, SET)
        assert again["changed"] is True
        assert "6443/tcp" in again["added"]
        assert self.standing(host) == stands

    @pytest.mark.parametrize("denial", [["deny", "6443/tcp"], ["reject", "6000:7000/tcp"]])
    def test_an_opening_holds_before_a_denial_of_everyone(self, host, peer, denial):
        host.run(["ufw", "insert", "1", *denial])
        try:
            firewall_direct.run(host, SET)
            with listening(host, ("tcp", 6443)):
                assert reached(peer, *[("tcp", host.address, 6443)] * 8) == [True] * 8
                host.run(["ufw", "reload"])
                assert reached(peer, ("tcp", host.address, 6443)) == [True]
            firewall_direct.run(host, GONE)
        finally:
            host.run(["ufw", "delete", *denial])

    def test_ufw_limit_goes_on_limiting_a_port_that_is_opened(self, host, peer):
        host.run(["ufw", "deny", "6400/tcp"])  # another port's, so that nothing needs to be in front of it
        host.run(["ufw", "limit", "6443/tcp"])
        question = ("tcp", host.address, 6443)
        try:
            with listening(host, ("tcp", 6443)):
                for wanted in (SET, OTHER, SET):
                    firewall_direct.run(host, wanted)
                assert "warnings" not in firewall_direct.run(host, SET)
                assert firewall_direct.run(host, SET, check=True)["changed"] is False
                assert sum(reached(peer, question)[0] for _attempt in range(8)) == 5
                host.run(["ufw", "reload"])
                assert firewall_direct.run(host, SET, check=True)["changed"] is False
                assert sum(reached(peer, question)[0] for _attempt in range(8)) <= 5
            firewall_direct.run(host, GONE)
        finally:
            host.run(["ufw", "delete", "limit", "6443/tcp"])
            host.run(["ufw", "delete", "deny", "6400/tcp"])

    def test_a_limit_that_was_switched_off_holds_again(self, host, peer):
        """Where our rules stood in front of it, as earlier releases put them, or where it was added behind ours."""
        firewall_direct.run(host, SET)
        host.run(["ufw", "limit", "6443/tcp"])
        try:
            again = firewall_direct.run(host, SET)
            assert "deny or limit some sources only behind our rules" in str(again["repaired"])
            assert firewall_direct.run(host, SET, check=True)["changed"] is False
            with listening(host, ("tcp", 6443)):
                assert [reached(peer, ("tcp", host.address, 6443))[0] for _attempt in range(8)].count(False) >= 2
            firewall_direct.run(host, GONE)
        finally:
            host.run(["ufw", "delete", "limit", "6443/tcp"])

    def test_a_denial_of_one_source_stays_before_an_opening(self, host, peer):
        firewall_direct.run(host, SET)
        host.run(["ufw", "prepend", "deny", "from", peer.address])
        try:
            assert firewall_direct.run(host, SET, check=True)["changed"] is False
            firewall_direct.run(host, {**SET, "ports": [*SET["ports"], {"port": 6445}]})
            with listening(host, ("tcp", 6443)):
                assert reached(peer, ("tcp", host.address, 6443)) == [False]
            firewall_direct.run(host, GONE)
        finally:
            host.run(["ufw", "delete", "deny", "from", peer.address])

    @pytest.mark.parametrize(
        ("harm", "named"),
        [
            ("iptables -D ufw-before-input -j vmstation-worker-i", "does not lead to vmstation-worker-i"),
            ("iptables -D vmstation-worker-f -s 10.244.0.0/16 -j ACCEPT", "only one direction"),
            ("sed -i 's/^-A vmstation-worker-i -s 192.168.4.0/-A vmstation-worker-i -s 192.168.5.0/' /etc/ufw/before.rules", None),
            ("iptables -I ufw-user-input -p tcp --dport 6443 -j DROP", "deny everyone before our rules"),
            ("rm /etc/ufw/applications.d/vmstation-worker", "does not list"),
            ("ip6tables -F ufw6-user-input", None),
        ],
    )
    def test_harm_is_named_and_put_right(self, host, harm, named):
        firewall_direct.run(host, SET)
        host.run(["sh", "-c", harm])
        again = firewall_direct.run(host, SET)
        assert again["changed"] is True
        assert named is None or any(named in damage for damage in again["repaired"]), again
        assert firewall_direct.run(host, SET, check=True)["changed"] is False
        host.run(["iptables", "-D", "ufw-user-input", "-p", "tcp", "--dport", "6443", "-j", "DROP"], check=False)
        if "-F ufw6" in harm:  # the other rules of that chain are ufw's own, which it brings back
            host.run(["ufw", "reload"])

    def test_without_ipv6_only_ipv4_is_written(self, host):
        rules6 = host.read("/etc/ufw/user6.rules")  # ufw itself forgets them without IPv6
        host.run(["sh", "-ec", "sed -i s/IPV6=yes/IPV6=no/ /etc/default/ufw; ufw disable; ufw --force enable"])
        try:
            first = firewall_direct.run(host, SET)
            assert first["changed"] is True
            assert firewall_direct.run(host, SET)["changed"] is False
            assert "vmstation" not in host.read("/etc/ufw/user6.rules")
            firewall_direct.run(host, GONE)
        finally:
            host.write("/etc/ufw/user6.rules", rules6)
            host.run(["sh", "-ec", "sed -i s/IPV6=no/IPV6=yes/ /etc/default/ufw; ufw disable; ufw --force enable"])

    def test_it_waits_for_a_running_ufw(self, host):
        holder = host.start_process(["python3", "-c", HOLD_THE_LOCK])
        assert holder.stdout.readline() == "held\n"
        change = host.start_process([*firewall_direct.command()])
        change.stdin.write('{"name": "worker", "ports": [{"port": 6444}]}')
        change.stdin.close()
        # the holder ends when it sees somebody wait for the lock of a change, and says whether ours had been made by then
        assert holder.stdout.readline() == "waited for, nothing changed\n", holder.stderr.read()
        assert '"changed": true' in change.stdout.read()
        assert firewall_direct.run(host, OTHER, check=True)["changed"] is False


HOLD_THE_LOCK = """
import fcntl, os, time
lock = open("/run/ufw.lock", "w")
fcntl.lockf(lock, fcntl.LOCK_EX)
print("held", flush=True)
own = str(os.getpid())
def openers():
    found = []
    for process in filter(str.isdigit, os.listdir("/proc")):
        try:
            links = [os.readlink(f"/proc/{process}/fd/{fd}") for fd in os.listdir(f"/proc/{process}/fd")]
        except OSError:
            continue
        if process != own and "/run/ufw.lock" in links:
            found.append(process)
    return found
until = time.monotonic() + 30
while not openers() and time.monotonic() < until:
    time.sleep(0.02)
changed = "vmstation" in open("/etc/ufw/user.rules").read()
print("waited for, " + ("changed" if changed else "nothing changed") if openers() else "nobody waits", flush=True)
"""
