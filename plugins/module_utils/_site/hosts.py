# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts of the inventory as modules take them, and whether a playbook has the hosts and variables that it needs."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Optional

from .._cluster import node_labels
from .._refusal import Refusal

# Results and facts of many hosts, read without a copy.


def registered(hostvars: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The variables of a host, not templated; empty for an unknown host. For results and facts, which hold no templates.

    ``hostvars[name][variable]`` templates, and so copies, the whole variable at each access. Of a task that ran once, that is an entry
    for each host, for each host.
    """
    if name not in hostvars:
        return {}
    raw_get = getattr(hostvars, "raw_get", None)
    found: Mapping[str, Any] = raw_get(name) if raw_get else hostvars[name]
    return found


def distinct(seen: Iterable[Mapping[str, Any]], variable: str) -> Iterable[Mapping[str, Any]]:
    """The results in a variable. What ran once for all hosts is one object, registered for each of them: it comes once."""
    return {id(variables[variable]): variables[variable] for variables in seen if variables.get(variable)}.values()


# Hosts as the inventory and gathered facts know them, in the shape that a module takes.

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


def sleeping_hosts(hosts: object, names: Iterable[str], hostvars: object = None) -> list[dict[str, Any]]:
    """Of the cluster's hosts those that sleep and are among ``names``, as wake_on_lan takes them; of two addresses the first.

    With ``hostvars``, each has the port of its SSH server: a firewall may drop all others, and the host would count as asleep.
    """
    if not isinstance(hosts, (list, tuple)) or not all(isinstance(host, Mapping) for host in hosts):
        raise Refusal("sleeping_hosts", repr(hosts), "a list of hosts", "Pass what the filter cluster_hosts returns.")
    if hostvars is not None and not isinstance(hostvars, Mapping):
        step = "Write `cluster_hosts(groups) | sleeping_hosts(names, hostvars)`."
        raise Refusal("sleeping_hosts: hostvars", type(hostvars).__name__, "the variable hostvars", step)
    wanted = set(names)
    return [
        {
            "name": host["name"],
            "mac": host.get("mac"),
            "address": _first(host.get("address")),
            **({} if hostvars is None else {"port": _ssh_port(host["name"], hostvars)}),
        }
        for host in hosts
        if host.get("sleeps") and host.get("name") in wanted
    ]


def asleep_hosts(hostvars: object) -> list[str]:
    """The names of the hosts that a wake run has found asleep and could not wake, as it registered them in ``site_wake``."""
    if not isinstance(hostvars, Mapping):
        raise Refusal("asleep_hosts", repr(hostvars), "the variable hostvars", "Write `hostvars | vmstation.cluster.asleep_hosts`.")
    seen = (registered(hostvars, name) for name in hostvars)
    return sorted({entry["name"] for wake in distinct(seen, "site_wake") for entry in wake.get("hosts") or () if not entry["is_up"]})


def node_identities(hostvars: object, names: Iterable[str]) -> list[dict[str, Any]]:
    """The identity of the named hosts, from their gathered facts; a host without facts is left out."""
    if not isinstance(hostvars, Mapping):
        raise Refusal(
            "node_identities", repr(hostvars), "the variable hostvars", "Write `hostvars | vmstation.cluster.node_identities(...)`."
        )
    found = []
    for name in names:
        facts = registered(hostvars, name).get("ansible_facts")
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
    return [
        {**_reached_by_ssh(host, hostvars), "mac": host["mac"]}
        for host in hosts
        if host.get("sleeps") and host.get("mac") and host["name"] in hostvars
    ]


def backup_receivers(hosts: object, hostvars: object, names: Iterable[str]) -> list[dict[str, Any]]:
    """Of the cluster's hosts those that are named, with the SSH host keys that were gathered, as backup_timer takes them."""
    if not isinstance(hosts, (list, tuple)) or not isinstance(hostvars, Mapping):
        found = f"{type(hosts).__name__} and {type(hostvars).__name__}"
        raise Refusal("backup_receivers", found, "hosts and hostvars", "Write `cluster_hosts(groups) | backup_receivers(hostvars, names)`.")
    known, wanted = {host["name"]: host for host in hosts}, list(names)
    unknown = [name for name in wanted if name not in known or name not in hostvars]
    if unknown:
        step = "Correct the names, or leave them out."
        raise Refusal("cluster_backup_copies", ", ".join(unknown), "names of hosts of the cluster", step)
    return [_reached_by_ssh(known[name], hostvars) for name in wanted]


def _reached_by_ssh(host: Mapping[str, Any], hostvars: Mapping[str, Any]) -> dict[str, Any]:
    facts = registered(hostvars, host["name"]).get("ansible_facts") or {}
    port = _ssh_port(host["name"], hostvars)
    return {"name": host["name"], "address": _first(host.get("address")), "port": port, "host_keys": _host_keys(facts)}


# the port of a host's SSH server: the first of these variables that has a value
_SSH_PORT_VARIABLES = ("node_ssh_port", "ansible_port")


def _ssh_port(name: str, hostvars: Mapping[str, Any]) -> int:
    if name not in hostvars:
        return 22
    variables = hostvars[name]
    for variable in _SSH_PORT_VARIABLES:
        value = variables.get(variable)
        if value is None:
            continue
        # an inventory may have it in quotes
        port = int(value) if isinstance(value, str) and re.fullmatch("[0-9]{1,5}", value) else value
        if not isinstance(port, int) or isinstance(port, bool) or not 1 <= port <= 65535:
            raise Refusal(f"host {name}: {variable}", repr(value), "a port number from 1 to 65535", f"Correct {variable} of this host.")
        return port
    return 22


def _host_keys(facts: Mapping[str, Any]) -> list[str]:
    """``ssh_host_key_ed25519_public`` and its kin, each with its type before it."""
    names = sorted(name for name in facts if name.startswith("ssh_host_key_") and name.endswith("_public") and f"{name}_keytype" in facts)
    return [f"{facts[f'{name}_keytype']} {facts[name]}" for name in names]


def _first(address: object) -> object:
    return address[0] if isinstance(address, (list, tuple)) and address else address


# Whether a playbook has hosts to work on and the variables it needs. Ansible itself skips a play without hosts, and ends with status 0.

CONTROL_PLANE, WORKERS, CONTROLLER, ADDRESS = "control_plane", "workers", "localhost", "address"
BOTH = (CONTROL_PLANE, WORKERS)
# Ansible's own
_GENERAL_GROUPS = {"all", "ungrouped"}
_SHOWN = 5
EXAMPLE = "https://github.com/vmstation/cluster/tree/main/inventory"
# stages that site.yml leaves out if site_skip names them
SKIPPABLE = ("monitoring", "jellyfin")


def inventory_errors(
    hostvars: object,
    groups: object,
    playing: Sequence[str],
    acts_on: Sequence[str] = BOTH,
    *,
    variables: Sequence[str] = (),
    known: Collection[str] = (),
    skip: object = (),
    alone: str = "",
    names: Optional[Mapping[str, object]] = None,
) -> list[str]:
    """All that keeps a playbook from working on its hosts.

    playing: the hosts that --limit has left. acts_on: the groups whose hosts the playbook works on, and ``localhost`` if it goes on there
    without them. variables: those it needs, for each of these hosts; ``ansible_host`` may be set instead of ``address``. known: those that
    its plays set themselves. skip: the variable site_skip. alone: the playbook's name, if it works with one control plane only.
    names: variables that are lists of host names.
    """
    if not isinstance(hostvars, Mapping) or not isinstance(groups, Mapping):
        found = f"{type(hostvars).__name__} and {type(groups).__name__}"
        raise Refusal("inventory_errors", found, "the variables hostvars and groups", "Write `hostvars | inventory_errors(groups, ...)`.")
    empty = [group for group in BOTH if not groups.get(group) and (group == CONTROL_PLANE or CONTROL_PLANE not in acts_on)]
    if empty:
        return [str(_no_hosts(groups, empty))]
    acting = [host for group in acts_on for host in ([group] if group == CONTROLLER else groups.get(group, ()))]
    reached = [host for host in acting if host in set(playing)]
    errors = [*_outside(groups), *([] if reached else [_left_out(groups, playing, acts_on)])]
    # one look at each host, as each merges all of its variables
    seen = {host: hostvars[host] for host in reached} if variables else {}
    errors += _unset(seen, [name for name in variables if name not in (*known, ADDRESS)])
    errors += _without_address(seen) if ADDRESS in variables else ()
    errors += [*_unfit_labels(seen), *_tainted_places(seen, groups, skip)]
    errors += _unknown_stages(skip)
    errors += [error for variable, value in (names or {}).items() for error in _unlisted(variable, value)]
    errors += _too_many_control_planes(groups, alone) if alone else ()
    return [str(error) for error in errors]


def _no_hosts(groups: Mapping[str, Sequence[str]], empty: Sequence[str]) -> Refusal:
    there = sorted(group for group, hosts in groups.items() if hosts and group not in _GENERAL_GROUPS)
    return Refusal(
        "inventory",
        f"no host in the {_named(empty)} ({f'groups with hosts: {_few(there)}' if there else 'no group has hosts'})",
        "the groups control_plane and workers with the hosts of the cluster",
        "Set cluster_control_plane_group and cluster_workers_group to the names of your groups, rename them, or name another inventory "
        f"with -i. {EXAMPLE} is an example.",
    )


def _outside(groups: Mapping[str, Sequence[str]]) -> Iterator[Refusal]:
    """A group of workers by another name would be passed over in silence; an empty group means that there are none."""
    others = [host for host in groups.get("all", ()) if host not in groups[CONTROL_PLANE]]
    if others and WORKERS not in groups:
        yield Refusal(
            "inventory",
            f"no group workers, and outside the group control_plane {_few(others)}",
            "each host of the cluster in the group control_plane or workers",
            "Set cluster_workers_group to the name of your group, or add the group workers, without hosts if the cluster has no workers.",
        )


def _left_out(groups: Mapping[str, Sequence[str]], playing: Sequence[str], acts_on: Sequence[str]) -> Refusal:
    allowed = [group for group in acts_on if group != CONTROLLER]
    hosts = [host for group in allowed for host in groups.get(group, ())]
    step = f"Add one of its hosts to --limit ({_few(hosts)}), or run without --limit."
    return Refusal("--limit", _few(playing), f"a host of the {_named(allowed)}", step)


def _unset(seen: Mapping[str, Mapping[str, Any]], variables: Sequence[str]) -> Iterator[Refusal]:
    names_by_hosts: dict[tuple[str, ...], list[str]] = {}
    unset = {host: set(variables).difference(values) for host, values in seen.items()}
    for name in sorted(variables):
        without = tuple(host for host, names in unset.items() if name in names)
        if without:
            names_by_hosts.setdefault(without, []).append(name)
    for without, names in names_by_hosts.items():
        yield Refusal(
            ", ".join(names),
            f"no value for {_few(without)}",
            "a value for every host",
            f"Set each in the directory group_vars/all beside your inventory. {EXAMPLE} has all of them, with comments.",
        )


def _without_address(seen: Mapping[str, Mapping[str, Any]]) -> Iterator[Refusal]:
    without = [host for host, values in seen.items() if host != CONTROLLER and ADDRESS not in values and "ansible_host" not in values]
    if without:
        step = "Set ansible_host to it in the inventory. If Ansible connects by a name, set address to it."
        yield Refusal("address", f"no value for {_few(without)}", "the IP address of every host", step)


def _unfit_labels(seen: Mapping[str, Mapping[str, Any]]) -> Iterator[Refusal]:
    """What is wrong with the labels and taints of nodes, with the hosts that have the same."""
    hosts_by_error: dict[tuple[str, ...], list[str]] = {}
    for host, values in seen.items():
        for error in node_labels.inventory_errors(values.get("node_labels", {}), values.get("node_taints", [])):
            hosts_by_error.setdefault((error.subject, error.found, error.required, error.next_step), []).append(host)
    for (subject, *rest), hosts in hosts_by_error.items():
        yield Refusal(f"{subject}, of {_few(hosts)}", *rest)


def _tainted_places(seen: Mapping[str, Mapping[str, Any]], groups: Mapping[str, Sequence[str]], skip: object) -> Iterator[Refusal]:
    """Hosts of monitoring and Jellyfin with a taint of the inventory that keeps their Pods away."""
    for stage, group in zip(SKIPPABLE, BOTH):
        values = next(iter(seen.values()), {})
        host = values.get(f"{stage}_host") or next(iter(groups.get(group) or ()), "")
        is_left_out = values.get(f"{stage}_state") == "absent" or (isinstance(skip, (list, tuple)) and stage in skip)
        for taint in () if is_left_out else node_labels.repelling(seen.get(host, {}).get("node_taints"), node_labels.TOLERATED_BY_ROLES):
            step = f"Set {stage}_host to another host, or remove the taint from node_taints of {host}."
            yield Refusal(f"{stage}_host {host}", f"{taint} in its node_taints", "only taints that the Pods tolerate", step)


def _too_many_control_planes(groups: Mapping[str, Sequence[str]], playbook: str) -> Iterator[Refusal]:
    hosts = groups[CONTROL_PLANE]
    if len(hosts) > 1:
        step = f"Nothing was touched. docs/several-control-planes.md describes under `Without {playbook}` what to do instead."
        yield Refusal("group control_plane", _few(hosts), f"one host, because {playbook} does not support several control planes yet", step)


def _unknown_stages(skip: object) -> Iterator[Refusal]:
    if not isinstance(skip, (list, tuple)):
        step = f'Write a list, such as site_skip: [{SKIPPABLE[0]}]. On the command line: -e \'{{"site_skip": ["{SKIPPABLE[0]}"]}}\'.'
        yield Refusal("site_skip", repr(skip), f"a list of {' and '.join(SKIPPABLE)}", step)
        return
    unknown = [word for word in skip if word not in SKIPPABLE]
    if unknown:
        step = "Correct it, or remove it. To run single stages, use --tags."
        yield Refusal("site_skip", ", ".join(map(repr, unknown)), f"only {' and '.join(SKIPPABLE)}", step)


def _unlisted(variable: str, value: object) -> Iterator[Refusal]:
    """A variable that is no list of names. With `-e variable=name` it is a text, of which Ansible would take each letter as a name."""
    if isinstance(value, (list, tuple)) and all(isinstance(name, str) for name in value):
        return
    meant = [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else []
    listed = json.dumps({variable: meant or ["HOST"]})
    step = f"Write a list, such as {variable}: [{', '.join(meant or ['HOST'])}]. On the command line: -e '{listed}'."
    yield Refusal(variable, repr(value), "a list of host names", step)


def _named(groups: Sequence[str]) -> str:
    return f"group{'s' if len(groups) > 1 else ''} {' and '.join(groups)}"


def _few(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
