# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the watch is told: the file that the module idle_watch writes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._idle.places import CONFIGURATION
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._wake import request as waking
from ansible_collections.vmstation.cluster.plugins.module_utils._wake.request import Target


@dataclass(frozen=True)
class Configuration:
    """workers: whom the watch may put to sleep. minutes: for how long nobody may have used a worker. load: which it must not exceed.

    asking_namespaces: whose Pods ask all others by themselves. may_stop: workloads, as namespace/name. timeout: seconds for each of a
    drain, a host that goes down, one that comes up, and a node that gets ready.
    """

    workers: tuple[Target, ...]
    broadcast: str
    minutes: float
    load: float
    asking_namespaces: frozenset[str]
    may_stop: frozenset[str]
    timeout: int

    @property
    def quiet(self) -> float:
        """Seconds."""
        return self.minutes * 60

    def request(self, *workers: Target) -> waking.Request:
        return waking.Request(workers, self.broadcast, timeout=float(self.timeout))


def as_text(options: Mapping[str, Any]) -> str:
    """The file for options of the module. Everything that is wrong with them is a Refusal."""
    request = waking.read_request({"hosts": options["workers"], "broadcast": options["broadcast"]})
    wrong = [name for name in ("minutes", "load", "timeout") if options[name] <= 0]
    if wrong:
        found = ", ".join(f"{name} {options[name]:g}" for name in wrong)
        raise Refusal("the idle watch", found, "numbers above 0", "Correct them, or leave them out.")
    data = {
        "workers": [target.__dict__ for target in request.targets],
        "broadcast": request.broadcast,
        **{name: options[name] for name in ("minutes", "load", "timeout")},
        **{name: sorted(options[name]) for name in ("asking_namespaces", "may_stop")},
    }
    return json.dumps(data, indent=1) + "\n"


def read_configuration(text: Optional[str]) -> Configuration:
    try:
        data = json.loads(text or "")
        workers = tuple(Target(**one) for one in data["workers"])
        sets = {name: frozenset(data[name]) for name in ("asking_namespaces", "may_stop")}
        return Configuration(**{**data, **sets, "workers": workers})
    except (ValueError, KeyError, TypeError) as error:
        raise Refusal(CONFIGURATION, f"not what this collection writes ({error})", "the idle watch's own file", "Run site.yml.") from error


def with_known_keys(workers: list[Mapping[str, Any]], known_hosts: Optional[str]) -> list[Mapping[str, Any]]:
    """The workers that can be asked: with keys of their own, or else with those of the file."""
    known: dict[str, list[str]] = {}
    for line in (known_hosts or "").splitlines():
        name, _space, key = line.partition(" ")
        known.setdefault(name, []).append(key)
    told = [{**one, "name": one["name"].lower()} for one in workers]
    complete = [{**one, "host_keys": one["host_keys"] or known.get(one["name"], [])} for one in told]
    return [one for one in complete if one["host_keys"]]


def known_hosts(workers: list[Mapping[str, Any]]) -> str:
    """A line for each key of each worker, by its name: the watch asks for a worker by an alias."""
    return "".join(f"{one['name']} {key}\n" for one in workers for key in one["host_keys"])
