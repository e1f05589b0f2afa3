# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The questions for each probe pod, and the answers that its container left behind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ansible_collections.vmstation.cluster.plugins.module_utils._pod_network.model import Check, Request, Row
from ansible_collections.vmstation.cluster.plugins.module_utils._pod_network.programs import DNS_MEANINGS, MEANINGS, PORT


def checks(request: Request, pods: Mapping[str, str], services: Mapping[str, str]) -> dict[str, list[Check]]:
    """What the pod on each node asks. pods, services: the addresses of those on, or of, each node."""
    return {source: list(_of_source(request, source, pods, services)) for source in pods}


def _of_source(request: Request, source: str, pods: Mapping[str, str], services: Mapping[str, str]) -> Iterator[Check]:
    for target, address in pods.items():
        if target != source:
            yield Check(source, target, "pod", url=f"http://{_in_url(address)}:{PORT}/")
    for target in pods:
        yield Check(source, target, "service", url=f"http://{_in_url(services[target])}/")
    for server in request.dns:
        for name in request.names:
            yield Check(source, name, "dns", server=server)


def _in_url(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def as_lines(asked: Sequence[Check]) -> str:
    """As the pod's program reads them."""
    return "".join(
        f"{number} dns {one.target} {one.server}\n" if one.kind == "dns" else f"{number} http {one.url} {one.target}\n"
        for number, one in enumerate(asked)
    )


def nameservers(message: str) -> tuple[str, ...]:
    """What the pod found in its resolv.conf."""
    words = [line.split() for line in message.splitlines()]
    return tuple(line[1] for line in words if len(line) == 2 and line[0] == "nameserver")


def rows(asked: Sequence[Check], message: str) -> list[Row]:
    """The answers of one pod. A question without one is unknown."""
    answered = {}
    for line in message.splitlines():
        words = line.split()
        if len(words) == 4 and all(word.isdecimal() for word in (words[0], words[2], words[3])):
            answered[int(words[0])] = (words[1], int(words[2]) / 100, int(words[3]))
    return [_row(one, *answered.get(number, ("", 0.0, 0))) for number, one in enumerate(asked)]


def _row(one: Check, word: str, seconds: float, tries: int) -> Row:
    meaning = (DNS_MEANINGS if one.kind == "dns" else MEANINGS).get(word)
    where = one.server or one.url
    if meaning is None:
        return Row(one.source, one.target, one.kind, None, f"{where}: the probe pod reported nothing of it")
    often = f" at try {tries}" if tries > 1 and word == "ok" else f", {tries} tries" if tries > 1 else ""
    return Row(one.source, one.target, one.kind, word == "ok", f"{where}: {meaning}{often}", seconds)


def unknown(asked: Sequence[Check], why: str) -> list[Row]:
    return [Row(one.source, one.target, one.kind, None, why) for one in asked]
