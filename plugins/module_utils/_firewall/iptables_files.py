# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where iptables' rules survive a reboot: in the host's saved rules where it has them, else in a systemd unit of our own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.iptables_chains import (
    Wanted,
    all_chains,
    saved_jumps,
    saved_lines,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.iptables_text import Tables, within, without

ReadText = Callable[[str], Optional[str]]

# Debian's netfilter-persistent, RHEL's iptables-services
SAVED = {4: ("/etc/iptables/rules.v4", "/etc/sysconfig/iptables"), 6: ("/etc/iptables/rules.v6", "/etc/sysconfig/ip6tables")}
LOADERS = {
    "/etc/iptables/rules.v4": "netfilter-persistent",
    "/etc/iptables/rules.v6": "netfilter-persistent",
    "/etc/sysconfig/iptables": "iptables",
    "/etc/sysconfig/ip6tables": "ip6tables",
}
DIRECTORY = "/var/lib/vmstation/firewall"
UNITS = "/etc/systemd/system"
RESTORE = {4: "iptables-restore", 6: "ip6tables-restore"}
SERVICE = """\
[Unit]
Description=Bring back the firewall ports of {owner}
After=local-fs.target network.target nftables.service netfilter-persistent.service iptables.service ip6tables.service
# these put their bans in front of all rules that are there when they start
Before=fail2ban.service sshguard.service crowdsec-firewall-bouncer.service

[Service]
Type=oneshot
RemainAfterExit=yes
{commands}"""
WANTS = """\
[Unit]
Wants=vmstation-firewall-{owner}.service
"""


def can_be_permanent(read_text: ReadText) -> bool:
    return (read_text("/proc/1/comm") or "").strip() == "systemd" or any(
        read_text(path) is not None for paths in SAVED.values() for path in paths
    )


def host_path(read_text: ReadText, version: int) -> str:
    """The host's own saved rules of an IP version; empty if it has none."""
    return next((path for path in SAVED[version] if read_text(path) is not None), "")


def saved_path(read_text: ReadText, owner: str, version: int) -> str:
    return host_path(read_text, version) or _own_path(owner, version)


def saved(read_text: ReadText, owner: str, version: int) -> Optional[str]:
    return read_text(saved_path(read_text, owner, version))


def warnings(read_text: ReadText, owner: str, versions: list[int]) -> list[str]:
    """What will not bring these rules back, although it should."""
    paths = [host_path(read_text, version) for version in versions]
    loaders = sorted({LOADERS[path] for path in paths if path})
    return [
        f"{loader}.service is not enabled: neither this set nor the host's own rules come back after a reboot."
        for loader in loaders
        if read_text(f"{UNITS}/multi-user.target.wants/{loader}.service") is None
    ]


def missing_units(read_text: ReadText, owner: str, versions: list[int], is_wanted: bool) -> list[str]:
    """Our unit where it is not as it should be."""
    expected = _units(owner, [version for version in versions if not host_path(read_text, version)] if is_wanted else [])
    return [f"{path} is not as it was written" for path, text in expected.items() if read_text(path) != text]


def contents(
    read_text: ReadText, owner: str, goals: Mapping[int, Wanted], numbers: Mapping[str, str], *, is_wanted: bool
) -> dict[str, Optional[str]]:
    """The files to replace, so that a boot brings the goal of each IP version back; foreign lines byte for byte."""
    if not can_be_permanent(read_text):
        return {}
    ours = frozenset(chain for _table, _base, chain in all_chains(owner))
    files: dict[str, Optional[str]] = {}
    by_unit: list[int] = []
    for version, paths in SAVED.items():
        goal = goals.get(version) if is_wanted else None
        host = host_path(read_text, version)
        for path in paths:
            text = read_text(path)
            if text is not None:
                bare = without(text, ours)
                files[path] = within(bare, saved_lines(goal), saved_jumps(Tables(bare), goal, numbers)) if goal and path == host else bare
        own = _own_text(goal) if goal and not host else None
        files[_own_path(owner, version)] = own
        if own is not None:
            by_unit.append(version)
    files.update(_units(owner, by_unit))
    return {path: text for path, text in files.items() if read_text(path) != text}


def _own_path(owner: str, version: int) -> str:
    return f"{DIRECTORY}/{owner}.rules.v{version}"


def _own_text(goal: Wanted) -> str:
    """Loaded beside rules that nobody knows before the boot, so that our jump can only be put in front of them."""
    lines = saved_lines(goal)
    for table, base, chain, _rules in goal.chains():
        lines[table].append(f"-I {base} 1 -j {chain}")
    return "".join(f"*{table}\n" + "".join(f"{line}\n" for line in found) + "COMMIT\n" for table, found in lines.items() if found)


def _units(owner: str, versions: list[int]) -> dict[str, Optional[str]]:
    commands = "".join(f"ExecStart={RESTORE[version]} --noflush --wait=60 {_own_path(owner, version)}\n" for version in versions)
    return {
        f"{UNITS}/vmstation-firewall-{owner}.service": SERVICE.format(owner=owner, commands=commands) if versions else None,
        f"{UNITS}/multi-user.target.d/vmstation-firewall-{owner}.conf": WANTS.format(owner=owner) if versions else None,
    }
