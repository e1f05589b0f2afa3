# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How backups are called, which of them is the newest, and which are no longer kept."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._storage.archives import UNFINISHED

SUFFIX = ".tar.gz"
ENCRYPTED = ".gpg"
# sorts as text as it does as time
_TIME = "%Y%m%dT%H%M%SZ"
_CREATED = "%Y-%m-%dT%H:%M:%SZ"
_WRITTEN_TIME = r"\d{8}T\d{6}Z"
_CLUSTER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def refuse_unfit_cluster(cluster: str) -> None:
    """A cluster's name becomes the beginning of file names."""
    if not _CLUSTER.fullmatch(cluster):
        raise Refusal("cluster_name", repr(cluster), "letters, digits, _, . and -", "Correct the name of the cluster.")


def created(now: float) -> str:
    return datetime.fromtimestamp(now, timezone.utc).strftime(_CREATED)


def seconds(when: str) -> float:
    """Seconds since 1970 of what ``created`` wrote."""
    try:
        return datetime.strptime(when, _CREATED).replace(tzinfo=timezone.utc).timestamp()
    except ValueError:
        raise Refusal("the backup's time", repr(when), "one as in 2026-11-25T23:33:00Z", "Choose another backup.") from None


def stamp(now: float) -> str:
    """A time as names have it."""
    return datetime.fromtimestamp(now, timezone.utc).strftime(_TIME)


def file_name(cluster: str, now: float) -> str:
    return f"{cluster}-{stamp(now)}{SUFFIX}"


def backups(cluster: str, files: Iterable[str]) -> list[str]:
    """The backups of a cluster, the oldest first, encrypted ones too."""
    return [name for _time, name in _named(cluster, files)]


def newest(cluster: str, files: Iterable[str]) -> Optional[str]:
    return next(reversed(backups(cluster, files)), None)


def no_longer_kept(cluster: str, files: Iterable[str], keep: int) -> list[str]:
    """The oldest backups, so many that ``keep`` are left. Other files do not count."""
    found = backups(cluster, files)
    return found[: max(0, len(found) - keep)]


def unfinished(cluster: str, files: Iterable[str]) -> list[str]:
    """What killed runs have left of backups, on the host or the controller."""
    form = re.compile(rf"\.?{re.escape(cluster)}-{_WRITTEN_TIME}{re.escape(SUFFIX)}(?:\.[a-z]+)*{re.escape(UNFINISHED)}")
    return sorted(name for name in files if form.fullmatch(name))


def _named(cluster: str, files: Iterable[str]) -> list[tuple[str, str]]:
    form = re.compile(rf"{re.escape(cluster)}-({_WRITTEN_TIME}){re.escape(SUFFIX)}(?:{re.escape(ENCRYPTED)})?")
    return sorted((match[1], name) for name in files if (match := form.fullmatch(name)))
