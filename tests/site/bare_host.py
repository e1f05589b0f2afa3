# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What there is on a host, as lines that two looks can be compared by: files, interfaces, rules, mounts, units, kernel settings."""

from __future__ import annotations

import re

from tests.lab import Host

# without what programs of the distribution write as they run
FILES = r"""
find /etc /home /opt /root /srv /usr/local /usr/libexec /var/lib /var/log/pods /run -xdev \
  \( -path /var/lib/dpkg -o -path /var/lib/apt -o -path /var/lib/systemd -o -path /run/systemd -o -path /run/udev -o -path /run/log \
     -o -path /run/lock -o -path /run/user -o -path /run/credentials -o -path /root/.ansible \) -prune -o -printf '%y %M %u:%g %p %l\n'
"""
LOOKS = {
    "file": FILES,
    "contents": "find /etc -xdev -type f -exec sha256sum {} +",
    "interface": "ip -brief link show | awk '{print $1}'",
    "address": "ip -brief address show | awk '{$2 = \"\"; print}'",
    "route": "ip route show table all; ip -6 route show table all",
    "policy": "ip rule show; ip -6 rule show",
    "iptables": "iptables-save; ip6tables-save; iptables-legacy-save; ip6tables-legacy-save",
    "nftables": "nft --stateless list ruleset",
    "set": "ipset list -name",
    "mount": "findmnt --noheadings --list --output TARGET",
    "unit": "systemctl list-unit-files --no-legend --plain | awk '{print $1, $2}'",
    "running": "systemctl list-units --no-legend --plain --type=service,timer,slice | awk '{print $1, $3}'",
    "kernel setting": "sysctl --all --pattern '^(kernel|net|vm)\\.'",
}
# of interfaces the number of the other end, of chains the counters
_PASSING = re.compile(r"@if\d+| \[\d+:\d+\]$")
# what the kernel counts, and an iptables that has been used once: its tables, which are empty and let everything pass
_NO_STATE = re.compile(
    r"kernel setting: (net\.netfilter\.nf_conntrack_count|kernel\.(ns_last_pid|pty\.nr|random\.)|\S*\.neigh\.|\S*stable_secret)"
    r"|iptables: (#|\*|COMMIT|:\S+ ACCEPT$)"
    r"|nftables: (#|\}$|table ip6? (filter|mangle|nat|raw) \{$|chain [A-Z]+ \{$|type \w+ hook \w+ priority [-\w]+; policy accept;$)"
)
# docs/reset.md: containerd and what is installed beside it, Kubernetes' programs, applications' data; and what the kernel or a tool makes
# at its first use and keeps until the next boot
STAYS = re.compile(
    r"(file|contents|unit|running): .*(containerd|kubelet\.service|/etc/cni|/etc/crictl\.yaml|/opt/containerd)"
    r"|(file|contents): .*(/var/lib/vmstation|/etc/vmstation)\b"
    r"|file: .* /run/(netns|xtables\.lock|motd\.dynamic|vmstation-(firewall|kubeadm)\.lock)$"
    r"|mount: /sys/fs/bpf$"
)
# what applications store, beside Grafana's password and Jellyfin's archives
_STORED = re.compile(r"file: .* (/var/lib/vmstation/(monitoring|alloy|jellyfin)(/\S+)?) ?$")


def look(host: Host) -> frozenset[str]:
    """``kind: line`` of everything. What a host does not have the program for, it has none of."""
    found = set()
    for kind, script in LOOKS.items():
        told = host.run(["sh", "-c", script], check=False, timeout=120).stdout
        lines = (_PASSING.sub("", line.strip()) for line in told.splitlines())
        found |= {f"{kind}: {line}" for line in lines if line}
    return frozenset(line for line in found if not _NO_STATE.match(line))


def differences(bare: frozenset[str], now: frozenset[str]) -> list[str]:
    """What is gone and what is left over, but for what stays."""
    gone, left = (f"gone: {line}" for line in bare - now), (f"left over: {line}" for line in now - bare if not STAYS.match(line))
    return sorted([*gone, *left])


def stored(now: frozenset[str]) -> set[str]:
    """Where applications still have what they store."""
    return {match[1] for line in now if (match := _STORED.match(line))}
