# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks once at every directory that is judged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Union

from ansible_collections.vmstation.cluster.plugins.module_utils._io.storage import Place, Storage
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._storage.model import Seen, Wanted
from ansible_collections.vmstation.cluster.plugins.module_utils._storage.mounts import mount_of, read_mounts


def look(wanted: Sequence[Wanted], storage: Storage) -> list[Seen]:
    """What stands, in the order of what is wanted. A directory that cannot be looked at does not keep the others from it."""
    found = [(one, _place(one, storage)) for one in wanted]
    # after the looks: they are what makes the system mount a file system that is mounted on demand
    mounts = read_mounts(storage.mounts())
    return [Seen(one, place, None if isinstance(place, Refusal) else mount_of(place.nearest, mounts)) for one, place in found]


def _place(wanted: Wanted, storage: Storage) -> Union[Place, Refusal]:
    try:
        return storage.place(wanted.path)
    except Refusal as refusal:
        return refusal
