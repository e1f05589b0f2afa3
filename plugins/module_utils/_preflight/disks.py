# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How full the file systems are that kubelet watches.

Facts of kubelet 1.36: it deletes unused images when ``imageGCHighThresholdPercent`` of the images' file system is used, 85 by default
(``pkg/kubelet/apis/config/v1beta1/defaults.go``). Below a threshold of ``evictionHard`` (``pkg/kubelet/eviction/defaults_linux.go``) it
deletes all unused images, then evicts Pods, and the node takes no new ones (DiskPressure). nodefs is the file system of /var/lib/kubelet,
imagefs that of containerd's data.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.vmstation.cluster.plugins.module_utils._findings import Finding
from ansible_collections.vmstation.cluster.plugins.module_utils._preflight.model import WATCHED_DIRECTORIES, Disk, Expectations, HostState

MARGIN = 5
"""Percent of a file system. So much before a threshold there is still time to make room."""
_IMAGE_GC = 85
_HARD = {"nodefs.available": "10%", "nodefs.inodesFree": "5%", "imagefs.available": "15%", "imagefs.inodesFree": "5%"}
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)(%|[kKMGT]?i?)")
_POWERS = {letter: power for power, letter in enumerate("KMGT", 1)}
_NEVER = 200.0  # percent


def disk_has_room(state: HostState, expected: Expectations) -> Iterator[Finding]:
    by_mount: dict[str, list[Disk]] = {}
    for disk in state.disks:
        by_mount.setdefault(disk.mount, []).append(disk)
    for mount, disks in by_mount.items():
        subject = f"file system {mount} with {' and '.join(disk.directory for disk in disks)}"
        limits = [_limits(disk, expected.kubelet_configuration) for disk in disks]
        for what, limit, used in (
            ("space", min(space for space, _inodes in limits), disks[0].used),
            ("inodes", min(inodes for _space, inodes in limits), disks[0].inodes_used),
        ):
            if used >= limit - MARGIN:
                yield Finding(
                    "disk_has_room",
                    "warning",
                    subject,
                    f"{used} % of its {what} used",
                    f"less than {limit - MARGIN:g} %: from {limit:g} % on kubelet deletes unused images or evicts Pods",
                    f"Delete what is not needed (`du --one-file-system --max-depth 2 {mount} | sort --numeric-sort` shows what is large), "
                    "or enlarge the file system.",
                )
    for directory in WATCHED_DIRECTORIES:
        if directory not in [disk.directory for disk in state.disks]:
            fix = f"Run `df {directory}` on the host, and correct what it reports."
            yield Finding("disk_has_room", "warning", f"file system of {directory}", "unreadable", "a file system that can be read", fix)


def _limits(disk: Disk, configuration: Mapping[str, Any]) -> tuple[float, float]:
    """The use of space and of inodes, in percent, from which kubelet acts; above 100 if never."""
    hard = configuration.get("evictionHard")
    if hard is None or configuration.get("mergeDefaultEvictionSettings"):
        hard = {**_HARD, **(hard or {})}
    signal = WATCHED_DIRECTORIES[disk.directory]
    space = _threshold(hard.get(f"{signal}.available"), disk.size)
    if signal == "imagefs":
        # at 100 kubelet's collection is off
        collection = float(configuration.get("imageGCHighThresholdPercent", _IMAGE_GC))
        space = min(space, collection if collection < 100 else _NEVER)
    return space, _threshold(hard.get(f"{signal}.inodesFree"), disk.inodes)


def _threshold(minimum: object, total: int) -> float:
    """The use in percent at which less than ``minimum``, a percentage or a quantity, is left of ``total``."""
    match = _QUANTITY.fullmatch(str(minimum).strip())
    if not match or not total:
        return _NEVER
    number, unit = float(match[1]), match[2]
    if unit != "%":
        number *= (1024 if unit.endswith("i") else 1000) ** _POWERS.get(unit[:1].upper(), 0) * 100 / total
    # 0 % and 100 % disable a threshold
    return 100 - number if 0 < number < 100 else _NEVER
