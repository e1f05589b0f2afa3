# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a playbook has hosts to work on and the variables it needs. Ansible itself skips a play without hosts, and ends with status 0."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

CONTROL_PLANE, WORKERS, CONTROLLER = "control_plane", "workers", "localhost"
BOTH = (CONTROL_PLANE, WORKERS)
# Ansible's own
_GENERAL_GROUPS = {"all", "ungrouped"}
_SHOWN = 5


def inventory_errors(
    hostvars: object,
    groups: object,
    playing: Sequence[str],
    acts_on: Sequence[str] = BOTH,
    *,
    variables: Sequence[str] = (),
    known: Collection[str] = (),
) -> list[str]:
    """All that keeps a playbook from working on its hosts.

    playing: the hosts that --limit has left. acts_on: the groups whose hosts the playbook works on, and ``localhost`` if it goes on there
    without them. variables: those it needs, for each of these hosts. known: those that its plays set themselves.
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
    errors += _unset(hostvars, reached, [name for name in variables if name not in known])
    return [str(error) for error in errors]


def _no_hosts(groups: Mapping[str, Sequence[str]], empty: Sequence[str]) -> Refusal:
    there = sorted(group for group, hosts in groups.items() if hosts and group not in _GENERAL_GROUPS)
    return Refusal(
        "inventory",
        f"no host in the {_named(empty)} ({f'groups with hosts: {_few(there)}' if there else 'no group has hosts'})",
        "the groups control_plane and workers with the hosts of the cluster",
        "Rename your groups, make them children of these two, or name another inventory with -i. The collection's inventory/hosts.yml is "
        "an example.",
    )


def _outside(groups: Mapping[str, Sequence[str]]) -> Iterator[Refusal]:
    """A group of workers by another name would be passed over in silence; an empty group tells that there are none."""
    others = [host for host in groups.get("all", ()) if host not in groups[CONTROL_PLANE]]
    if others and WORKERS not in groups:
        yield Refusal(
            "inventory",
            f"no group workers, and outside the group control_plane {_few(others)}",
            "each host of the cluster in the group control_plane or workers",
            "Add the group workers to the inventory, without hosts if the cluster has no workers.",
        )


def _left_out(groups: Mapping[str, Sequence[str]], playing: Sequence[str], acts_on: Sequence[str]) -> Refusal:
    allowed = [group for group in acts_on if group != CONTROLLER]
    hosts = [host for group in allowed for host in groups.get(group, ())]
    step = f"Add one of its hosts to --limit ({_few(hosts)}), or run without --limit."
    return Refusal("--limit", _few(playing), f"a host of the {_named(allowed)}", step)


def _unset(hostvars: Mapping[str, Mapping[str, Any]], hosts: Sequence[str], variables: Sequence[str]) -> Iterator[Refusal]:
    names_by_hosts: dict[tuple[str, ...], list[str]] = {}
    for name in sorted(variables):
        without = tuple(host for host in hosts if name not in hostvars[host])
        if without:
            names_by_hosts.setdefault(without, []).append(name)
    for without, names in names_by_hosts.items():
        yield Refusal(
            ", ".join(names),
            f"no value for {_few(without)}",
            "a value for every host",
            "Set each in the directory group_vars/all beside your inventory; the collection's inventory/group_vars/all has all of them, "
            "with comments.",
        )


def _named(groups: Sequence[str]) -> str:
    return f"group{'s' if len(groups) > 1 else ''} {' and '.join(groups)}"


def _few(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
