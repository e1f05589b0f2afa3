# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pods' packets in an IP-in-IP tunnel of a stock kernel: none passes a closed firewall, all pass one that firewall_ports opened."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration import firewall_direct
from tests.lab.emulated import EmulatedHost
from tests.lab.hosts import FIREWALLS

PODS = "10.244.0.0/16"
INSIDE = {"neighbour": "10.244.61.1", "guarded": "10.244.62.1"}
IPTABLES = """
for variant in iptables ip6tables; do update-alternatives --set $variant /usr/sbin/$variant-{kind}; done
iptables -P INPUT DROP; iptables -P FORWARD DROP
iptables -A INPUT -i lo -j ACCEPT
iptables -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
iptables -A INPUT -p tcp --dport 22 -j ACCEPT
mkdir -p /etc/iptables; iptables-save > /etc/iptables/rules.v4; ip6tables-save > /etc/iptables/rules.v6
"""
GUARDS = {
    **{name: script for name, script in FIREWALLS.items() if name != "none"},
    "iptables-nft": IPTABLES.format(kind="nft"),
    "iptables-legacy": IPTABLES.format(kind="legacy"),
}
# whichever it was
UNGUARD = """
ufw --force disable
systemctl disable -q --now ufw nftables firewalld
for kind in nft legacy; do
  for tool in iptables ip6tables; do $tool-$kind -P INPUT ACCEPT; $tool-$kind -P FORWARD ACCEPT; $tool-$kind -F; $tool-$kind -X; done
done
nft flush ruleset
rm -rf /etc/iptables /var/lib/vmstation
"""
TUNNEL = """
modprobe ipip
ip tunnel add pods mode ipip local {own} remote {other}
ip address add {inside} dev pods
ip link set pods up mtu 1480
ip route add {beyond} dev pods src {inside}
"""


@pytest.fixture(scope="module")
def tunnel(pair: tuple[EmulatedHost, EmulatedHost]) -> tuple[EmulatedHost, EmulatedHost]:
    for host, other in (pair, pair[::-1]):
        script = TUNNEL.format(own=host.address, other=other.address, inside=INSIDE[host.name], beyond=INSIDE[other.name])
        host.run(["sh", "-ec", script])
    firewall_direct.install(pair[1])
    return pair


@pytest.fixture(params=GUARDS)
def guard(request: pytest.FixtureRequest, tunnel: tuple[EmulatedHost, EmulatedHost]) -> Iterator[str]:
    """A firewall as a careful owner leaves it, shut but for SSH."""
    guarded = tunnel[1]
    guarded.run(["sh", "-ec", GUARDS[request.param]])
    yield request.param
    guarded.run(["sh", "-c", UNGUARD])


def passes(sender: EmulatedHost, receiver: EmulatedHost) -> bool:
    # the kernel remembers flows of protocol 4 too: an answer of before would let the next packet in
    receiver.run(["conntrack", "-F"])
    return sender.run(["ping", "-c", "3", "-i", "0.3", "-W", "2", INSIDE[receiver.name]], check=False).returncode == 0


def arrived(host: EmulatedHost) -> int:
    """How many packets the tunnel has brought to the host."""
    return int(host.run(["cat", "/sys/class/net/pods/statistics/rx_packets"]).stdout)


def test_the_tunnel_passes_when_protocol_4_is_open_and_only_then(tunnel: tuple[EmulatedHost, EmulatedHost], guard: str) -> None:
    neighbour, guarded = tunnel
    # what comes out of the tunnel is trusted from the beginning: only protocol 4 makes the difference
    options: dict[str, object] = {"name": "worker", "trusted": [PODS], "ports": []}
    opened = {**options, "ports": [{"protocol": 4, "sources": [f"{neighbour.address}/32"], "comment": "IP-in-IP"}]}
    closed = firewall_direct.run(guarded, options)
    assert closed.get("backend") == guard.partition("-")[0], closed
    before = arrived(guarded)
    assert not passes(neighbour, guarded)
    assert arrived(guarded) == before

    result = firewall_direct.run(guarded, opened)
    assert result["changed"], result
    assert passes(neighbour, guarded)
    assert arrived(guarded) > before
    assert not firewall_direct.run(guarded, opened)["changed"]

    firewall_direct.run(guarded, options)
    assert not passes(neighbour, guarded)
