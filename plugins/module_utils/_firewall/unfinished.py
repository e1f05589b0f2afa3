# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A change whose own process was killed: noted before the first file, found by the next run for whichever set, and undone by it.

Files, IPv4 and IPv6 are several transactions of the host, so a kill can leave some of them done. What the note holds is the old set
and not the old files: it is made anew from what stands then, so that nobody's edits since are lost.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.host import Host
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.model import PortSet, as_data, from_data
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

# no owner's name has a dot, so that this is none of the way-back files beside it
PATH = "/var/lib/vmstation/firewall/unfinished.change"
# made for files of ours alone
DIRECTORIES = ("/var/lib/vmstation/firewall", "/var/lib/vmstation", "/etc/nftables.d")


@dataclass(frozen=True)
class Unfinished:
    """A change that began. ports: the set before it. paths: the files that it replaces."""

    owner: str
    backend: str
    zone: str
    ports: PortSet
    paths: tuple[str, ...]


def found(host: Host) -> Optional[Unfinished]:
    """The change that was begun and not ended; None if there is none."""
    text = host.read_text(PATH)
    if text is None:
        return None
    try:
        data = json.loads(text)
        return Unfinished(**{**data, "ports": from_data(data["ports"]), "paths": tuple(data["paths"])})
    except (ValueError, KeyError, TypeError) as error:
        raise Refusal(PATH, f"not what this collection writes ({error})", "an unfinished change", "Remove it after a look.") from error


def begin(host: Host, change: Unfinished) -> None:
    """Note a change before it touches anything. One that was killed before this one has the better word on what the old set was."""
    before = found(host)
    if before is not None and (before.owner, before.backend) == (change.owner, change.backend):
        change = replace(change, ports=before.ports, paths=(*before.paths, *change.paths))
    data = {**change.__dict__, "ports": as_data(change.ports), "paths": sorted(set(change.paths))}
    host.replace_all({PATH: json.dumps(data, sort_keys=True) + "\n"})


def end(host: Host, owner: str) -> None:
    """The owner's change is whole, done or undone."""
    before = found(host)
    if before is not None and before.owner == owner:
        host.replace_all({PATH: None})
        host.remove_empty(DIRECTORIES)
