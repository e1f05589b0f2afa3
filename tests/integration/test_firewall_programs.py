# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real fail2ban and sshguard beside firewall_ports: what they ban stays banned, by packets."""

from __future__ import annotations

import contextlib
import time

import pytest

from tests.integration import firewall_direct
from tests.integration.firewall_behaviour import WORKER
from tests.integration.firewall_packets import agent_on

BANNED = "192.168.4.92"
JAIL = """
[DEFAULT]
banaction = {banaction}
backend = polling
[sshd]
enabled = false
[trial]
enabled = true
filter = sshd
logpath = /var/log/trial.log
port = 9100
"""
IPTABLES = """
nft flush ruleset
for tool in iptables ip6tables; do
  $tool -P INPUT DROP; $tool -P FORWARD DROP
  $tool -A INPUT -i lo -j ACCEPT
  $tool -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
  $tool -A INPUT -p tcp --dport 22 -j ACCEPT
done
"""


@pytest.fixture(scope="module")
def booted(lab):
    host = lab.start("bans", address="192.168.4.97", mac="02:00:c0:a8:04:61", firewall="nftables")
    firewall_direct.install(host)
    host.write("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n")
    host.run(["chmod", "+x", "/usr/sbin/policy-rc.d"])
    host.run(["apt-get", "install", "-y", "-q", "--no-install-recommends", "fail2ban", "sshguard"], timeout=180)
    host.run(["touch", "/var/log/trial.log"])
    yield host
    lab.remove(host)


@pytest.fixture(params=["nftables", "iptables"])
def host(booted, request):
    booted.run(["sh", "-ec", "systemctl restart nftables" if request.param == "nftables" else IPTABLES])
    return booted, request.param


@contextlib.contextmanager
def fail2ban(host, banaction: str):
    host.write("/etc/fail2ban/jail.local", JAIL.format(banaction=banaction))
    host.run(["fail2ban-client", "-b", "start"], timeout=60)
    try:
        yield
    finally:
        host.run(["fail2ban-client", "stop"], check=False)


def test_what_fail2ban_bans_stays_banned(host, friend, stranger):
    host, backend = host
    banaction = f"{backend}-multiport"
    with agent_on(host) as target, agent_on(friend) as near, agent_on(stranger) as far:
        target.listen([9100, 9101], [])

        def reached() -> tuple[str, str, str]:
            return near.connect(host.address, 9100), far.connect(host.address, 9101), far.connect(host.address, 9100)

        with fail2ban(host, banaction):
            host.run(["fail2ban-client", "set", "trial", "banip", BANNED])
            wait_for_the_ban(host)
            assert firewall_direct.run(host, WORKER)["backend"] == backend
            assert reached() == ("open", "open", "refused")
            again = firewall_direct.run(host, WORKER)
            assert (again["changed"], "no effect" in str(again.get("warnings", []))) == (False, False), again
            host.run(["fail2ban-client", "set", "trial", "unbanip", BANNED])
            wait_for_the_ban(host, to_end=True)
            assert reached() == ("open", "open", "open")
        # a start while our rules stand
        with fail2ban(host, banaction):
            host.run(["fail2ban-client", "set", "trial", "banip", BANNED])
            wait_for_the_ban(host)
            assert reached() == ("open", "open", "refused")
            assert not firewall_direct.run(host, WORKER)["changed"]
            assert reached() == ("open", "open", "refused")


def test_what_sshguard_blocks_stays_blocked(host, friend, stranger):
    host, backend = host
    program = "sshg-fw-nft-sets" if backend == "nftables" else "sshg-fw-iptables"
    if backend == "iptables":  # as its documentation has it
        host.run(
            ["sh", "-ec", "iptables -N sshguard; ip6tables -N sshguard; iptables -I INPUT -j sshguard; ip6tables -I INPUT -j sshguard"]
        )
    place = host.run(["sh", "-c", f"dpkg -L sshguard | grep /{program}$"]).stdout.strip()
    guard = host.start_process([place])
    with agent_on(host) as target, agent_on(friend) as near, agent_on(stranger) as far:
        target.listen([9100], [])
        guard.stdin.write(f"block {BANNED} 4 32\n")
        guard.stdin.flush()
        wait_for_the_ban(host)
        firewall_direct.run(host, WORKER)
        assert (near.connect(host.address, 9100), far.connect(host.address, 9100)) == ("open", "dropped")
        assert not firewall_direct.run(host, WORKER)["changed"]
        guard.stdin.write(f"release {BANNED} 4 32\n")
        guard.stdin.close()
        guard.wait(20)
        assert far.connect(host.address, 9100) == "open"


def wait_for_the_ban(host, *, to_end: bool = False) -> None:
    """fail2ban's client does not wait for the action."""
    until = time.monotonic() + 30
    while (BANNED in host.run(["sh", "-c", "nft list ruleset; iptables-save"]).stdout) is to_end:
        assert time.monotonic() < until, host.run(["tail", "-n", "30", "/var/log/fail2ban.log"]).stdout
        time.sleep(0.1)
