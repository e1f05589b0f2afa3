# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The groups of a report, and which of them a user has chosen."""

from __future__ import annotations

from collections.abc import Iterable

from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

TITLES = {
    "plan": "Plan",
    "hosts": "Hosts",
    "firewall": "Firewall",
    "nodes": "Nodes",
    "calico": "Calico",
    "dns": "DNS",
    "services": "Services",
    "pod_network": "Pod network",
    "drift": "Drift",
}

BY_NAME_ONLY = {"pod_network"}
"""Groups that run only when they are asked for: they place Pods, and everything else only reads."""


def chosen_groups(only: object) -> list[str]:
    """The groups of ``check_only``, a list or a text with commas, in the order of the report; of nothing, all that only read."""
    if not isinstance(only, (str, list, tuple)) or not all(isinstance(one, str) for one in only):
        raise Refusal("check_only", repr(only), "names of groups, with commas between them", _choice())
    parts: Iterable[str] = only.split(",") if isinstance(only, str) else only
    wanted = {part.strip() for part in parts} - {""}
    unknown = sorted(wanted - set(TITLES))
    if unknown:
        raise Refusal("check_only", f"no group of the name {', '.join(unknown)}", "names of groups", _choice())
    return [group for group in TITLES if group in wanted or (not wanted and group not in BY_NAME_ONLY)]


def _choice() -> str:
    return f"Choose from {', '.join(TITLES)}."
