# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The zones that firewalld ships to shut sources out: what they deny keeps its effect before our policies, which are for any zone.

A zone's own target comes after every policy, so two policies of ours, one for each that opens, say it before those.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._firewall import firewalld_files as xml
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.firewalld_bus import Bus

ZONES = ("block", "drop")
# the policy that opens, the one before it, and the latter's egress zone
GUARDS = {"in": ("no", "HOST"), "fw": ("nf", "ANY")}
ADVICE = (
    "Run `firewall-cmd --runtime-to-permanent` to keep them (bans of fail2ban would then never end), or `firewall-cmd --reload` to drop "
    "them (then `systemctl restart fail2ban`, if it bans by firewalld), then run again."
)
PRIORITY = xml.POLICY_PRIORITY - 1


def zones(bus: Bus) -> list[str]:
    """Those that are lists of bans: with an interface, or as the default, a zone is the host's own, and what it denies is for everyone."""
    active: Mapping[str, Mapping[str, object]] = bus.ask("zone", "getActiveZones")
    default = bus.ask("", "getDefaultZone")
    return [name for name in ZONES if name != default and not active.get(name, {}).get("interfaces")]


def names(owner: str) -> list[str]:
    return [xml.policy_name(owner, side) for side, _egress in GUARDS.values()]


def files(owner: str, shut: list[str], opens: Mapping[str, Sequence[object]]) -> dict[str, Optional[str]]:
    """opens: the rules of each of our policies; one without any lets nothing in."""
    return {
        xml.policy_path(owner, side): _text(owner, egress, shut) if shut and opens[opening] else None
        for opening, (side, egress) in GUARDS.items()
    }


def damage(bus: Bus, owner: str, shut: list[str], opens: Mapping[str, Sequence[object]], existing: list[str]) -> list[str]:
    """The policies that do not run as they must. existing: the names of those that run."""
    found = []
    for opening, (side, _egress) in GUARDS.items():
        name = xml.policy_name(owner, side)
        if shut and opens[opening]:
            settings = bus.ask("policy", "getPolicySettings", "s", name) if name in existing else {}
            if sorted(settings.get("ingress_zones", [])) != shut or settings.get("target") != "DROP":
                found.append(f"the policy {name} does not run as it was written")
    return found


def _text(owner: str, egress: str, shut: list[str]) -> str:
    lines = [
        f'<policy priority="{PRIORITY}" target="DROP">',
        f"  <short>vmstation {owner}</short>",
        f"  <description>vmstation.cluster.firewall_ports, name {owner}: zones that shut. Written whole, changes are lost.</description>",
        *(f'  <ingress-zone name="{name}"/>' for name in shut),
        f'  <egress-zone name="{egress}"/>',
        "</policy>",
    ]
    return xml.HEAD + "".join(f"{line}\n" for line in lines)
