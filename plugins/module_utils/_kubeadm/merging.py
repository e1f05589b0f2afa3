# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An owner's settings laid over ours, refused where they contradict what the plan says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

_ARGUMENT = re.compile(r"[a-z0-9][a-z0-9-]*")


@dataclass(frozen=True)
class Owned:
    """A value that is said elsewhere. where: what to change instead; empty: it cannot be changed."""

    value: Any
    where: str


def merged(ours: Mapping[str, Any], theirs: object, subject: str, said_elsewhere: Mapping[str, Owned]) -> dict[str, Any]:
    """``theirs`` over ``ours``: mappings are merged, everything else is replaced."""
    given = _mapping(theirs, subject)
    _refuse_contradictions(given, subject, said_elsewhere)
    return _laid_over(ours, given)


def arguments(ours: Mapping[str, str], theirs: object, subject: str, said_elsewhere: Mapping[str, Owned]) -> list[dict[str, str]]:
    """Command line arguments as kubeadm's v1beta4 lists them, sorted by name. A list of values repeats the argument."""
    given = {name: _values(value, f"{subject}.{name}") for name, value in _mapping(theirs, subject).items()}
    for name in given:
        if not _ARGUMENT.fullmatch(name):
            raise Refusal(
                f"{subject}.{name}", repr(name), "an argument's name without dashes before it", "Write bind-address, for example."
            )
    _refuse_contradictions({name: values[0] if len(values) == 1 else values for name, values in given.items()}, subject, said_elsewhere)
    wanted = {**{name: [value] for name, value in ours.items()}, **given}
    return [{"name": name, "value": value} for name in sorted(wanted) for value in wanted[name]]


def _mapping(value: object, subject: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise Refusal(subject, repr(value), "a mapping", "Write `name: value` pairs.")
    return {str(key): entry for key, entry in value.items()}


def _refuse_contradictions(given: Mapping[str, Any], subject: str, said_elsewhere: Mapping[str, Owned]) -> None:
    for name, said in said_elsewhere.items():
        if name in given and given[name] != said.value:
            next_step = f"Take it out; to have another one, change {said.where}." if said.where else "Take it out."
            raise Refusal(f"{subject}.{name}", repr(given[name]), repr(said.value), next_step)


def _laid_over(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(ours)
    for key, value in theirs.items():
        mine = result.get(key)
        result[key] = _laid_over(mine, value) if isinstance(mine, Mapping) and isinstance(value, Mapping) else value
    return result


def _values(value: object, subject: str) -> list[str]:
    if isinstance(value, (list, tuple)):
        return [_value(entry, subject) for entry in value]
    return [_value(value, subject)]


def _value(value: object, subject: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise Refusal(subject, repr(value), "a text, a number, true or false, or a list of them", "Write it as on the command line.")
