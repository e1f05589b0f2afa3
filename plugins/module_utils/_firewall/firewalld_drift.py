# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a reload of firewalld would take from other people: settings that only run, and every rule of iptables.

firewalld empties all tables of iptables when it reloads, also where it keeps its own rules in nftables, and with them go the rules of
kube-proxy, Calico and Docker.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.firewalld_bus import CONFIG, Bus
from ansible_collections.vmstation.cluster.plugins.module_utils._io.command import Commands

# an interface stays in its zone over a reload; the others cannot differ at runtime
INDIFFERENT = frozenset({"interfaces", "short", "description", "version", "UNUSED", "target", "priority"})

TOOLS = ("iptables", "ip6tables")
RULE_OR_CHAIN = re.compile(r"^(?:\[\d+:\d+\] )?(?:-A |:(?P<chain>\S+) - )", re.MULTILINE)
OWN_CHAIN = re.compile(r"(?:INPUT|FORWARD|OUTPUT|PREROUTING|POSTROUTING|IN|OUT|FWD|FWDI|FWDO|PRE|POST)_\S+")


def foreign_iptables_rules(commands: Commands, configuration: Optional[str]) -> dict[str, str]:
    """By tool, what `iptables-save` tells of rules that are not firewalld's; empty without any.

    configuration: firewalld.conf. Where firewalld itself is on iptables, only a chain of another name tells its rules from others.
    """
    on_iptables = re.search(r"^FirewallBackend\s*=\s*iptables\s*$", configuration or "", re.MULTILINE) is not None
    found = {}
    for tool in TOOLS:
        if commands.has(f"{tool}-save"):
            saved = commands.run([f"{tool}-save", "--counters"]).stdout
            chains = [match["chain"] for match in RULE_OR_CHAIN.finditer(saved)]
            if any(chain and not OWN_CHAIN.fullmatch(chain) for chain in chains) or (chains and not on_iptables):
                found[tool] = saved
    return found


def holds_runtime_only_settings(bus: Bus, zones: Iterable[str], service: str, mark: int) -> bool:
    """Compares what runs with what is permanent: the given zones, the active policies and direct rules, but for what is ours.

    service, mark: our service, and the priority of our rich rules.
    """
    for zone in zones:
        path = bus.ask("config", "getZoneByName", "s", zone, path=CONFIG)
        permanent = bus.ask("config.zone", "getSettings2", path=path)
        if _foreign(bus.ask("zone", "getZoneSettings2", "s", zone), service, mark) != _foreign(permanent, service, mark):
            return True
    for policy in bus.ask("policy", "getActivePolicies"):
        if policy.startswith("vm-"):
            continue
        path = bus.ask("config", "getPolicyByName", "s", policy, path=CONFIG)
        if _foreign(bus.ask("policy", "getPolicySettings", "s", policy), service, mark) != _foreign(
            bus.ask("config.policy", "getSettings", path=path), service, mark
        ):
            return True
    chains, rules, passthroughs = bus.ask("config.direct", "getSettings", path=CONFIG)
    running = [bus.ask("direct", method) for method in ("getAllChains", "getAllRules", "getAllPassthroughs")]
    return [sorted(map(repr, part)) for part in running] != [sorted(map(repr, part)) for part in (chains, rules, passthroughs)]


def _foreign(settings: Mapping[str, Any], service: str, mark: int) -> dict[str, Any]:
    found = {}
    for key, value in settings.items():
        if key in INDIFFERENT:
            continue
        if isinstance(value, list):
            kept = [item for item in value if item != service and not str(item).startswith(f'rule priority="{mark}"')]
            if kept:
                found[key] = sorted(map(repr, kept))
        elif value:
            found[key] = value
    return found
