# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts as the inventory and gathered facts know them, in the shape that a module takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

# what a check takes that asks of each host of the cluster; the hosts are what the filter cluster_hosts returns
CLUSTER_HOSTS_ARGUMENTS = {
    "nodes": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "address": {"type": "raw", "required": True},
            "mac": {"type": "str"},
            "role": {"type": "str"},
            "sleeps": {"type": "bool"},
        },
    },
    "asleep": {"type": "list", "elements": "str", "default": []},
}


def sleeping_hosts(hosts: object, names: Iterable[str]) -> list[dict[str, Any]]:
    """Of the cluster's hosts those that sleep and are among ``names``, as wake_on_lan takes them; of two addresses the first."""
    if not isinstance(hosts, (list, tuple)) or not all(isinstance(host, Mapping) for host in hosts):
        raise Refusal("sleeping_hosts", repr(hosts), "a list of hosts", "Pass what the filter cluster_hosts returns.")
    wanted = set(names)
    return [
        {"name": host["name"], "mac": host.get("mac"), "address": _first(host.get("address"))}
        for host in hosts
        if host.get("sleeps") and host.get("name") in wanted
    ]


def asleep_hosts(hostvars: object) -> list[str]:
    """The names of the hosts that a wake run has found asleep and could not wake, as it registered them in ``site_wake``."""
    if not isinstance(hostvars, Mapping):
        raise Refusal("asleep_hosts", repr(hostvars), "the variable hostvars", "Write `hostvars | vmstation.cluster.asleep_hosts`.")
    asleep = {
        entry["name"] for name in hostvars for entry in (hostvars[name].get("site_wake") or {}).get("hosts") or () if not entry["is_up"]
    }
    return sorted(asleep)


def node_identities(hostvars: object, names: Iterable[str]) -> list[dict[str, Any]]:
    """What the gathered facts of the named hosts tell of their identity; a host without facts is left out."""
    if not isinstance(hostvars, Mapping):
        raise Refusal(
            "node_identities", repr(hostvars), "the variable hostvars", "Write `hostvars | vmstation.cluster.node_identities(...)`."
        )
    found = []
    for name in names:
        facts = hostvars[name].get("ansible_facts") if name in hostvars else None
        if facts:
            found.append(
                {
                    "name": name,
                    "hostname": facts.get("nodename") or facts.get("hostname"),
                    "machine_id": facts.get("machine_id"),
                    "product_uuid": facts.get("product_uuid"),
                }
            )
    return found


def idle_workers(hosts: object, hostvars: object) -> list[dict[str, Any]]:
    """Of the cluster's hosts those that sleep and can be woken, with the SSH host keys that were gathered, as idle_watch takes them."""
    if not isinstance(hosts, (list, tuple)) or not isinstance(hostvars, Mapping):
        found = f"{type(hosts).__name__} and {type(hostvars).__name__}"
        raise Refusal("idle_workers", found, "hosts and hostvars", "Write `cluster_hosts(groups) | idle_workers(hostvars)`.")
    workers: list[dict[str, Any]] = []
    for host in hosts:
        if not host.get("sleeps") or not host.get("mac") or host["name"] not in hostvars:
            continue
        known = hostvars[host["name"]]
        worker = {"name": host["name"], "mac": host["mac"], "address": _first(host.get("address")), "port": known.get("ansible_port", 22)}
        workers.append({**worker, "host_keys": _host_keys(known.get("ansible_facts") or {})})
    return workers


def _host_keys(facts: Mapping[str, Any]) -> list[str]:
    """``ssh_host_key_ed25519_public`` and its kin, each with its type before it."""
    names = sorted(name for name in facts if name.startswith("ssh_host_key_") and name.endswith("_public") and f"{name}_keytype" in facts)
    return [f"{facts[f'{name}_keytype']} {facts[name]}" for name in names]


def _first(address: object) -> object:
    return address[0] if isinstance(address, (list, tuple)) and address else address
