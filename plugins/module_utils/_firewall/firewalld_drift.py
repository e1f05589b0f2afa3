# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a reload of firewalld would take from other people: settings that only run, and every rule of iptables.

firewalld 1 empties all tables of iptables when it reloads, also where it keeps its own rules in nftables, and with them go the rules of
kube-proxy, Calico and Docker. firewalld 2 does so only where it has direct rules or is itself on iptables.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.firewalld_bus import CONFIG, Bus
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.firewalld_files import service_name
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.firewalld_rich import is_runtime_rule, marked
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.firewalld_trusted import ZONE
from ansible_collections.vmstation.cluster.plugins.module_utils._io.command import Commands

# an interface stays in its zone over a reload; the others cannot differ at runtime
INDIFFERENT = frozenset({"interfaces", "short", "description", "version", "UNUSED", "target", "priority"})

KEEPS_IPTABLES = 2  # firewalld's major version
OUR_SERVICE, OUR_POLICY = "vmstation-", "vm-"
TOOLS = ("iptables", "ip6tables")
RULE_OR_CHAIN = re.compile(r"^(?:\[\d+:\d+\] )?(?:-A |:(?P<chain>\S+) - )", re.MULTILINE)
OWN_CHAIN = re.compile(r"(?:INPUT|FORWARD|OUTPUT|PREROUTING|POSTROUTING|IN|OUT|FWD|FWDI|FWDO|PRE|POST)_\S+")


def rules_a_reload_takes(commands: Commands, bus: Bus, configuration: Optional[str]) -> dict[str, str]:
    """By tool, what `iptables-save` tells of rules that are not firewalld's and that a reload would take; empty without any.

    configuration: firewalld.conf. Where firewalld itself is on iptables, only a chain of another name tells its rules from others.
    """
    on_iptables = re.search(r"^FirewallBackend\s*=\s*iptables\s*$", configuration or "", re.MULTILINE) is not None
    if bus.major_version() >= KEEPS_IPTABLES and not on_iptables and not any(_direct(bus)):
        return {}
    found = {}
    for tool in TOOLS:
        if commands.has(f"{tool}-save"):
            saved = commands.run([f"{tool}-save", "--counters"]).stdout
            chains = [match["chain"] for match in RULE_OR_CHAIN.finditer(saved)]
            if any(chain and not OWN_CHAIN.fullmatch(chain) for chain in chains) or (chains and not on_iptables):
                found[tool] = saved
    return found


def holds_runtime_only_settings(bus: Bus, zones: Iterable[str]) -> bool:
    """Compares what runs with what is permanent: the given zones, the active policies and direct rules, but for what is ours."""
    for zone in zones:
        path = bus.ask("config", "getZoneByName", "s", zone, path=CONFIG)
        permanent = bus.ask("config.zone", "getSettings2", path=path)
        if _foreign(bus.ask("zone", "getZoneSettings2", "s", zone)) != _foreign(permanent):
            return True
    for policy in bus.ask("policy", "getActivePolicies"):
        if policy.startswith(OUR_POLICY):
            continue
        path = bus.ask("config", "getPolicyByName", "s", policy, path=CONFIG)
        if _foreign(bus.ask("policy", "getPolicySettings", "s", policy)) != _foreign(bus.ask("config.policy", "getSettings", path=path)):
            return True
    permanent = bus.ask("config.direct", "getSettings", path=CONFIG)
    return [sorted(map(repr, part)) for part in _direct(bus)] != [sorted(map(repr, part)) for part in permanent]


def running_beside(bus: Bus, owner: str, zones: Iterable[str]) -> list[str]:
    """Zones but the given ones that packets fall to and that run the owner's set. A change that is killed halfway leaves such."""
    judging = {bus.ask("", "getDefaultZone"), *bus.ask("zone", "getActiveZones")} - {*zones, ZONE}
    settings = {name: bus.ask("zone", "getZoneSettings2", "s", name) for name in sorted(judging)}
    return [name for name, told in settings.items() if service_name(owner) in told.get("services", []) or marked(owner, told)]


def _direct(bus: Bus) -> list[list[Any]]:
    """The direct chains, rules and passthroughs that run."""
    return [bus.ask("direct", method) for method in ("getAllChains", "getAllRules", "getAllPassthroughs")]


def _foreign(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings without those of any set of ours, which may run otherwise than they are written until a reload."""
    found = {}
    for key, value in settings.items():
        if key in INDIFFERENT:
            continue
        if isinstance(value, list):
            kept = [item for item in value if not str(item).startswith(OUR_SERVICE) and not is_runtime_rule(str(item))]
            if kept:
                found[key] = sorted(map(repr, kept))
        elif value:
            found[key] = value
    return found
