# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A minimal nftables firewall for a host that has none: input is denied, except for SSH and what a host cannot do without.

It is the host's own firewall from then on: our sets come and go in it as in one that the administrator wrote, and nothing removes it.
Forwarded packets are not filtered, as a drop here would overrule what Docker and others accept.
"""

from __future__ import annotations

from collections.abc import Iterable

from .._refusal import Refusal
from .host import Host
from .nftables import DIRECTORY, main_file, with_include

PATH = f"{DIRECTORY}/default-deny.nft"
RULES = """\
# Made by vmstation.cluster.firewall_ports, as this host had no firewall. Edit it as you like.
table inet host_firewall {{
  chain input {{
    type filter hook input priority filter; policy drop;
  }}
}}
flush chain inet host_firewall input
table inet host_firewall {{
  chain input {{
    iif "lo" accept
    ct state established,related accept
    meta l4proto {{ icmp, ipv6-icmp }} accept
    udp sport 67 udp dport 68 accept comment "DHCP"
    udp sport 547 udp dport 546 accept comment "DHCPv6"
    tcp dport {{ {ssh} }} accept comment "SSH"
  }}
}}
"""
SSH_PORT = 22


def install(host: Host, ssh_ports: Iterable[int]) -> None:
    """Put the firewall in force and load it at boot. An existing file is kept. Raises Refusal; nothing is in force then."""
    if not host.commands.has("nft"):
        raise Refusal("nftables", "no program nft", "the package nftables", "Install nftables, then run again.")
    main, main_text = main_file(host.read_text)
    if not main:
        raise Refusal("nftables", "no /etc/nftables.conf", "the file of the package nftables", "Reinstall nftables, then run again.")
    text = host.read_text(PATH) or RULES.format(ssh=", ".join(map(str, sorted(ssh_ports))))
    host.commands.run(["nft", "-c", "-f", "-"], stdin=text)
    host.replace_all({PATH: text, main: with_include(main_text, PATH)})
    # not started: the host's own file may flush the rules of kube-proxy, Calico and Docker
    host.commands.run(["systemctl", "enable", "nftables.service"])
    host.commands.run(["nft", "-f", "-"], stdin=text)
