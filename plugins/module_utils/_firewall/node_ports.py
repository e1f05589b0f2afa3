# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Node ports: DNATed before input, so that ``sources`` must take effect before the DNAT."""

from __future__ import annotations

from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.model import Opening, PortSet


def guard(ports: PortSet, first: int, last: int) -> PortSet:
    """The same set with its ``guarded`` part: what of its openings with sources lies in the node port range ``first`` to ``last``."""
    guarded = tuple(
        Opening(opening.protocol, max(opening.first, first), min(opening.last, last), opening.sources, opening.comment)
        for opening in ports.openings
        if opening.sources and _lies_in(opening, first, last)
    )
    return PortSet(ports.openings, ports.trusted, guarded)


def notes(ports: PortSet, first: int, last: int) -> list[str]:
    """What a reader must know of each node port among the openings."""
    said = []
    for opening in ports.openings:
        if not _lies_in(opening, first, last):
            continue
        what = f"{opening.ports}/{opening.protocol}"
        if opening.sources:
            effect = f"packets from others than {', '.join(opening.sources)} are dropped before the DNAT instead"
        else:
            effect = "it is open to everyone while a Service has it; give sources to restrict it"
        said.append(f"{what} is in the node port range {first}-{last}: an input rule neither opens nor closes a NodePort, {effect}")
    return said


def _lies_in(opening: Opening, first: int, last: int) -> bool:
    return opening.has_ports and opening.first <= last and first <= opening.last
