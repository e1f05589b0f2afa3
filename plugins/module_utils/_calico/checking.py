# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What calico_check is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from ansible_collections.vmstation.cluster.plugins.module_utils._calico.facts import plain
from ansible_collections.vmstation.cluster.plugins.module_utils._calico.pools import read_plan
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.model import Plan
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal


@dataclass(frozen=True)
class Request:
    """nodes: the planned addresses of each host by IP version, by its name. asleep: those that are known to sleep."""

    plan: Plan
    nodes: Mapping[str, Mapping[int, str]]
    asleep: frozenset[str] = frozenset()


def request(params: Mapping[str, Any]) -> Request:
    """The module's options, read. Kubernetes writes the names of nodes small."""
    return Request(
        read_plan(params["plan"], "calico_check"),
        {entry["name"].lower(): _addresses(index, entry) for index, entry in enumerate(params["nodes"])},
        frozenset(name.lower() for name in params["asleep"]),
    )


def _addresses(index: int, entry: Mapping[str, Any]) -> dict[int, str]:
    given = entry["address"]
    found: dict[int, str] = {}
    for one in given if isinstance(given, (list, tuple)) else [given]:
        try:
            found.setdefault(ip_address(str(one)).version, plain(str(one)))
        except ValueError:
            required = "an IP address, or a list of them"
            raise Refusal(f"nodes[{index}].address", repr(one), required, f"Give {entry['name']} the address that it has.") from None
    if not found:
        raise Refusal(f"nodes[{index}].address", "an empty list", "an IP address, or a list of them", f"Give {entry['name']} its address.")
    return found
