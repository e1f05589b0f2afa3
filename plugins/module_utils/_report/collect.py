# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the plays of check.yml have registered what each check returned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

ONCE = {
    "site_network": ("plan", "network_plan_check"),
    "site_wake": ("hosts", "wake_on_lan"),
    "_node_source": ("hosts", "installation_source_check"),
    "check_nodes": ("nodes", "node_ready_check"),
    "check_calico": ("calico", "calico_check"),
    "check_dns_rollout": ("dns", "rollout_check"),
    "check_coredns": ("dns", "coredns_check"),
    "check_services": ("services", "service_check"),
    "check_pod_network": ("pod_network", "pod_network_check"),
    "check_drift": ("drift", "cluster_drift_check"),
}
EACH = {
    "check_reached": ("hosts", "ping"),
    "check_preflight": ("hosts", "node_preflight_check"),
    "_node_images": ("hosts", "container_images"),
    "_node_firewall": ("firewall", "firewall_ports"),
    "check_dns": ("dns", "cluster_dns_check"),
}
"""A variable of check.yml, and the group and the check whose result it holds: run once for all hosts, or on each."""


def check_results(hostvars: object, hosts: Iterable[str], groups: Iterable[str]) -> list[dict[str, Any]]:
    """What the checks of the groups returned, as check_report takes it. A check that left nothing has an empty result."""
    names, wanted = list(hosts), set(groups)
    if not isinstance(hostvars, Mapping):
        raise Refusal("check_results", repr(hostvars), "the variable hostvars", "Write `hostvars | vmstation.cluster.check_results(...)`.")
    seen = {name: hostvars.get(name) or {} for name in names}
    entries: list[dict[str, Any]] = []
    for variable, (group, check) in ONCE.items():
        found: Mapping[str, Any] = next((seen[name][variable] for name in names if variable in seen[name]), {})
        entries.append({"group": group, "check": check, "host": "", "result": found})
    for variable, (group, check) in EACH.items():
        entries += [{"group": group, "check": check, "host": name, "result": seen[name].get(variable, {})} for name in names]
    return [entry for entry in entries if entry["group"] in wanted and not entry["result"].get("skipped")]
