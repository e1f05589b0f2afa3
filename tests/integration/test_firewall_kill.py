# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Killed 200 times at random instants during a change, on each backend: never a half set, never a lost SSH.

Then the very process that makes the change is killed, which nothing can make whole but the next run: for the same set or for another.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass

import pytest

from tests.integration import firewall_direct
from tests.integration.firewall_packets import agent_on, agent_on_controller

pytestmark = pytest.mark.thorough
KILLS = 200
KILLS_OF_THE_CHILD = KILLS // 4
SEED = 20261122
LOCK = "/run/vmstation-firewall.lock"
IPTABLES_FIREWALL = """
for tool in iptables ip6tables; do
  $tool -P INPUT DROP; $tool -P FORWARD DROP
  $tool -A INPUT -i lo -j ACCEPT
  $tool -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
done
iptables -A INPUT -p tcp --dport 22 -j ACCEPT
mkdir -p /etc/iptables
iptables-save | grep -v '^#' > /etc/iptables/rules.v4
ip6tables-save | grep -v '^#' > /etc/iptables/rules.v6
"""


@dataclass(frozen=True)
class Case:
    """A backend, how its host is prepared, and the programs that print all that packets meet now, and all that a reboot brings.

    last_octet: of the host's address.
    """

    backend: str
    last_octet: int
    runtime: str
    permanent: str
    firewall: str = "none"
    prepare: str = "true"


CASES = [
    Case("nftables", 81, "nft list ruleset", "cat /etc/nftables.conf /etc/nftables.d/*", firewall="nftables"),
    Case(
        "iptables",
        82,
        "iptables-save | grep -v '^#'; ip6tables-save | grep -v '^#'",
        "cat /etc/iptables/rules.v4 /etc/iptables/rules.v6",
        prepare=IPTABLES_FIREWALL,
    ),
    Case(
        "ufw",
        83,
        "{ iptables-save; ip6tables-save; } | sed '/^#/d; s/ \\[[0-9:]*\\]$//'",
        "cat /etc/ufw/*.rules /etc/ufw/applications.d/*",
        firewall="ufw",
    ),
    Case(
        "firewalld",
        84,
        "nft list table inet firewalld",
        "cat /etc/firewalld/zones/*.xml /etc/firewalld/services/*.xml /etc/firewalld/policies/*.xml",
        firewall="firewalld",
    ),
]
OLD = {
    "name": "worker",
    "ports": [{"port": 22}, {"port": 10250, "sources": ["192.168.4.0/24", "fd00::/8"]}, {"port": 9100}],
    "trusted": ["10.244.0.0/16"],
}
NEW = {
    "name": "worker",
    "ports": [
        {"port": 22},
        {"port": "10249-10259"},
        {"protocol": 4},
        *({"port": port, "protocol": "udp"} for port in range(4000, 4100, 2)),
    ],
    "trusted": ["10.245.0.0/16", "fd00:10::/64"],
}
# another set, which is there all the time and never changes
OTHER = {"name": "monitoring", "ports": [{"port": 9200}, {"port": 9300, "sources": ["192.168.4.0/24"]}], "trusted": []}


@pytest.fixture
def attacked(lab, request):
    case = request.param
    host = lab.start(
        f"kill-{case.backend}", address=f"192.168.4.{case.last_octet}", mac=f"02:00:c0:a8:04:{case.last_octet:02x}", firewall=case.firewall
    )
    host.run(["sh", "-ec", case.prepare])
    firewall_direct.install(host)
    yield case, host
    lab.remove(host)


def fingerprint(target, case: Case) -> tuple[str, str]:
    """All of it, byte for byte: what packets meet now, and what a reboot brings."""
    now, after_reboot = (target.run(["sh", "-c", command], "", {})["stdout"] for command in (case.runtime, case.permanent))
    return now, after_reboot


@pytest.mark.parametrize("attacked", CASES, indirect=True, ids=lambda case: case.backend)
def test_a_kill_at_any_instant_leaves_the_old_or_the_new_set(lab, attacked, capsys):
    case, host = attacked
    instants = random.Random(SEED)
    counts = dict.fromkeys(["old set", "new set", "half a set", "SSH lost", "kills that came after the end", "left-over files"], 0)
    with agent_on(host) as target, agent_on_controller(lab) as probe:
        argv, environment = ["python3", f"{firewall_direct.PLACE}/drive.py"], {"PYTHONPATH": firewall_direct.PLACE}
        prints, duration = {}, 0.0
        for name, options in (("old", OLD), ("new", NEW), ("old", OLD)):
            done = target.run(argv, json.dumps(options), environment)
            assert json.loads(done["stdout"].splitlines()[-1])["changed"], done
            prints[name] = fingerprint(target, case)
            duration = max(duration, done["seconds"])
        assert prints["old"][0] != prints["new"][0]
        assert prints["old"][1] != prints["new"][1]
        stands = "old"
        # a random instant in each of as many equal parts of the change as there are kills, in random order
        for part in instants.sample(range(KILLS), KILLS):
            goal = "new" if stands == "old" else "old"
            # before the first quarter, Python itself is not there yet
            after = (0.25 + 0.85 * (part + instants.random()) / KILLS) * duration
            ended = target.run_and_kill(argv, json.dumps(NEW if goal == "new" else OLD), environment, after, LOCK)
            counts["kills that came after the end"] += ended is not None
            # a busy machine changes its pace: the window follows it, or most kills would come too late
            duration = ended or duration * 1.02
            found = fingerprint(target, case)
            if found == prints[goal]:
                counts["new set"] += 1
                stands = goal
            elif found == prints[stands]:
                counts["old set"] += 1
            else:
                counts["half a set"] += 1
            counts["SSH lost"] += not probe.ssh(host.address, 3)
    left = host.run(["sh", "-c", "find /etc /var/lib -name '.vmstation-*' | wc -l"]).stdout
    counts["left-over files"] = int(left)
    with capsys.disabled():
        told = ", ".join(f"{count} {what}" for what, count in counts.items())
        print(f"\n{case.backend}: {KILLS} kills within the {duration:.2f} s of a change: {told}")
    assert counts["half a set"] == 0
    assert counts["SSH lost"] == 0
    assert counts["left-over files"] == 0
    # else the kills proved nothing
    assert counts["old set"] > 0
    assert counts["new set"] > 0
    assert counts["kills that came after the end"] < KILLS / 2


@pytest.mark.parametrize("attacked", CASES, indirect=True, ids=lambda case: case.backend)
def test_after_a_kill_of_the_child_itself_the_next_run_makes_it_whole(lab, attacked, capsys):
    case, host = attacked
    instants = random.Random(SEED)
    names = ["old set", "new set", "apart until the next run", "undone by another set", "SSH lost", "kills that came after the end"]
    counts = dict.fromkeys(names, 0)
    with agent_on(host) as target, agent_on_controller(lab) as probe:
        argv, environment = ["python3", f"{firewall_direct.PLACE}/drive.py"], {"PYTHONPATH": firewall_direct.PLACE}

        def ensure(options: dict) -> dict:
            return json.loads(target.run(argv, json.dumps(options), environment)["stdout"].splitlines()[-1])

        assert ensure(OTHER)["changed"]
        prints, duration = {}, 0.0
        for name, options in (("old", OLD), ("new", NEW), ("old", OLD)):
            lived = target.run_and_kill_child(argv, json.dumps(options), environment, 60)
            prints[name] = fingerprint(target, case)
            duration = max(duration, lived)
        stands = "old"
        for part in instants.sample(range(KILLS_OF_THE_CHILD), KILLS_OF_THE_CHILD):
            goal = "new" if stands == "old" else "old"
            wanted = NEW if goal == "new" else OLD
            after = (part + instants.random()) / KILLS_OF_THE_CHILD * duration
            lived = target.run_and_kill_child(argv, json.dumps(wanted), environment, after)
            counts["kills that came after the end"] += lived is not None
            # as above, the window follows the pace of a busy machine
            duration = lived or duration * 1.02
            found = fingerprint(target, case)
            is_whole = found in prints.values()
            counts["apart until the next run"] += not is_whole
            counts["old set"] += found == prints[stands]
            counts["new set"] += found == prints[goal]
            counts["SSH lost"] += not probe.ssh(host.address, 3)
            if part % 2:
                # for another set, which has nothing to change
                done = ensure(OTHER)
                assert "failed" not in done, done
                assert fingerprint(target, case) in prints.values(), done
                assert done["changed"] is bool(done.get("repaired"))
                counts["undone by another set"] += done["changed"]
                assert ensure(OTHER)["changed"] is False
            done = ensure(wanted)
            assert "failed" not in done, done
            assert fingerprint(target, case) == prints[goal]
            assert ensure({**wanted, "_ansible_check_mode": True})["changed"] is False
            stands = goal
    left = host.run(["sh", "-c", "find /etc /var/lib -name '.vmstation-*' -o -name 'unfinished.change'"]).stdout
    with capsys.disabled():
        told = ", ".join(f"{count} {what}" for what, count in counts.items())
        print(f"\n{case.backend}: {KILLS_OF_THE_CHILD} kills within the {duration:.2f} s of its child: {told}")
    assert left == ""
    assert counts["SSH lost"] == 0
    # else the kills proved nothing
    assert counts["old set"] + counts["apart until the next run"] > 0
    assert counts["kills that came after the end"] < KILLS_OF_THE_CHILD / 2
