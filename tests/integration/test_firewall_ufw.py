# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""firewall_ports on a real ufw."""

from __future__ import annotations

import pytest

from tests.integration import firewall_direct
from tests.integration.firewall_managed import GONE, HOST_6, OTHER, PEER_6, SET, Managed, prepare
from tests.integration.firewall_wire import listening, passes_protocol_4, reached

USER_RULES = "/etc/ufw/user.rules"
BEFORE_RULES, AFTER_RULES = "/etc/ufw/before.rules", "/etc/ufw/after.rules"
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

    def test_a_check_reports_a_denial_in_front_and_a_ufw_that_was_switched_off(self, host):
        """What playbooks/check.yml reads: the set of the plan is open, and it has no effect, or soon none."""
        firewall_direct.run(host, SET)
        well = firewall_direct.run(host, SET, check=True)
        assert (well["changed"], well["unsaved"], well["limits"], well.get("repaired")) == (False, [], [], None)
        host.run(["ufw", "insert", "1", "deny", "10250/tcp"])
        assert firewall_direct.run(host, SET, check=True)["repaired"]
        host.run(["ufw", "delete", "deny", "10250/tcp"])
        host.run(["systemctl", "disable", "ufw"])
        assert [one for one in firewall_direct.run(host, SET, check=True)["limits"] if "ufw.service is not enabled" in one]
        host.run(["systemctl", "enable", "ufw"])
        rules = host.read(USER_RULES)
        host.run(["ufw", "--force", "disable"])
        switched_off = firewall_direct.run(host, SET, check=True)
        host.run(["ufw", "--force", "enable"])
        assert (switched_off["backend"], switched_off["inactive"]) == ("none", "ufw")
        assert host.read(USER_RULES) == rules

    def test_ipv6_that_was_switched_on_and_not_loaded_is_named_and_the_next_step_works(self, host):
        firewall_direct.run(host, GONE)
        # as after a boot with IPV6=no, which was changed since
        host.run(["sh", "-ec", "ip6tables -P INPUT ACCEPT; ip6tables -P FORWARD ACCEPT; ip6tables -F; ip6tables -X"])
        before = host.run(["sh", "-c", "cat /etc/ufw/*.rules"]).stdout
        refused = firewall_direct.run(host, SET)
        assert refused["msg"].startswith("ufw's rules for IPv6: found not loaded, with IPV6=yes in /etc/default/ufw"), refused["msg"]
        assert host.run(["sh", "-c", "cat /etc/ufw/*.rules"]).stdout == before
        assert "Run `ufw reload`" in refused["msg"]
        host.run(["ufw", "reload"])
        assert firewall_direct.run(host, SET)["changed"] is True
        assert firewall_direct.run(host, SET, check=True)["changed"] is False

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

    @pytest.mark.parametrize("earlier", [False, True], ids=["new", "as an earlier release wrote it"])
    def test_a_denial_of_one_source_holds_for_protocols_and_trusted_networks_too(self, host, peer, earlier):
        wanted = {**SET, "trusted": [f"{peer.address}/32", f"{PEER_6}/128"]}
        questions = [("tcp", host.address, 6500), ("tcp", HOST_6, 6500)]
        firewall_direct.run(host, wanted)
        if earlier:
            for after, before in ((AFTER_RULES, BEFORE_RULES), ("/etc/ufw/after6.rules", "/etc/ufw/before6.rules")):
                move_block_as_earlier_releases_had_it(host, after, before)
            host.run(["ufw", "reload"])
        try:
            with listening(host, ("tcp", 6500)):
                assert (reached(peer, *questions), passes_protocol_4(peer, host)) == ([True, True], True)
                for address in (peer.address, PEER_6):
                    host.run(["ufw", "prepend", "deny", "from", address])
                if earlier:
                    assert reached(peer, *questions) == [True, True]
                    assert "not where the user's rules need it" in str(firewall_direct.run(host, wanted)["repaired"])
                again = firewall_direct.run(host, wanted, check=True)
                assert again["changed"] is False, again
                assert "no effect" not in str(again.get("warnings", []))
                assert (reached(peer, *questions), passes_protocol_4(peer, host)) == ([False, False], False)
                host.run(["ufw", "reload"])
                assert (reached(peer, *questions), passes_protocol_4(peer, host)) == ([False, False], False)
                assert firewall_direct.run(host, wanted, check=True)["changed"] is False
        finally:
            for address in (peer.address, PEER_6):
                host.run(["ufw", "delete", "deny", "from", address])

    def test_protocols_pass_before_a_rule_that_denies_everyone_everything(self, host, peer):
        firewall_direct.run(host, SET)
        host.run(["ufw", "deny", "from", "any", "to", "any"])
        try:
            assert not passes_protocol_4(peer, host)
            first = firewall_direct.run(host, SET)
            assert first["changed"] is True
            host.run(["ufw", "prepend", "deny", "from", peer.address])
            assert "Delete that rule" in str(firewall_direct.run(host, SET)["warnings"])
            host.run(["ufw", "delete", "deny", "from", peer.address])
            assert "vmstation-worker" in host.read(BEFORE_RULES) and "vmstation-worker" not in host.read(AFTER_RULES)
            for _again in range(2):
                assert passes_protocol_4(peer, host)
                assert firewall_direct.run(host, SET, check=True)["changed"] is False
                host.run(["ufw", "reload"])
        finally:
            host.run(["ufw", "delete", "deny", "from", "any", "to", "any"])
        assert firewall_direct.run(host, SET)["changed"] is True
        assert "vmstation-worker" not in host.read(BEFORE_RULES) and passes_protocol_4(peer, host)
        firewall_direct.run(host, GONE)

    @pytest.mark.parametrize(
        ("harm", "named"),
        [
            ("iptables -D ufw-after-input -j vmstation-worker-i", "does not jump to vmstation-worker-i"),
            ("iptables -D vmstation-worker-f -s 10.244.0.0/16 -j ACCEPT", "only one direction"),
            ("sed -i 's/^-A vmstation-worker-i -s 192.168.4.0/-A vmstation-worker-i -s 192.168.5.0/' /etc/ufw/after.rules", None),
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


def move_block_as_earlier_releases_had_it(host, after: str, before: str) -> None:
    text = host.read(after)
    start, stop = text.index("# BEGIN vmstation-worker"), text.index("# END vmstation-worker\n") + len("# END vmstation-worker\n")
    block = text[start:stop].replace("-I ufw", "-A ufw").replace("-after-", "-before-")
    host.write(after, text[:start] + text[stop:])
    host.write(before, host.read(before).replace("COMMIT\n", f"{block}COMMIT\n"))


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
